#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/base/uri.h"

namespace lambdaml::data {

/// Where a data set is: one place, or several, whose rows follow each other.
struct Places {
  std::vector<Uri> uris;  ///< at least one

  Places(Uri uri) : uris{std::move(uri)} {}
  explicit Places(std::vector<Uri> all) : uris(std::move(all)) {}

  /// A path or URI, `-` for standard input, or several, separated by commas (which the name of a
  /// file that exists may contain). Throws invalid_argument.
  static Places parse(std::string_view text);

  bool several() const { return uris.size() > 1; }
  /// As parse() takes it: absolute, so that it names the same from any folder.
  std::string text() const;
  /// For messages.
  std::string display() const;
};

}  // namespace lambdaml::data
