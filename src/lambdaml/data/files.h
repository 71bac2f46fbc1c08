#pragma once

#include <memory>
#include <string>
#include <vector>

#include "lambdaml/base/uri.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::data {

/// Files that are one data set, in the order of their names.
struct Files {
  std::shared_ptr<storage::Storage> store;
  std::vector<storage::Entry> entries;
  std::string folder;  ///< for messages
};

/// The files that a pattern names: `*`, `?` and `[…]` in the last part of the path. None if there
/// is no such sign in it. Throws not_found if no file fits.
Files files_of_pattern(const Uri& uri);

/// The files of a folder, or under a prefix of a store: those that Spark or Hadoop wrote
/// (`part-*`), else all of one kind, without those whose names begin with `_` or `.`. Throws
/// invalid_argument if there are several kinds.
Files files_of_folder(const Uri& uri);

}  // namespace lambdaml::data
