#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>

#include "lambdaml/base/bytes.h"

/// What a format of compressed files provides; for this folder.
namespace lambdaml::data::compression {

/// What a step has taken and given.
struct Step {
  std::size_t read = 0;
  std::size_t written = 0;
  bool ended = false;  ///< this was the end of a member
};

/// Unpacks one file, member by member. Used by one thread.
class Decoder {
 public:
  Decoder() = default;
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;
  virtual ~Decoder() = default;

  /// Unpacks some of `in`, the file's rest, to `out`, which is not empty. A step that neither reads
  /// nor writes says that the file ends early. Throws Damaged; resource_exhausted.
  virtual Step step(Bytes in, std::span<std::byte> out) = 0;
  /// Begins with another member.
  virtual void restart() = 0;
};

/// Bytes that are not of the format; why, as its library says it.
struct Damaged {
  std::string_view why;
};

struct Codec {
  std::string_view name;    ///< for messages, e.g. gzip
  std::string_view ending;  ///< of file names, e.g. `.gz`
  bool (*recognizes)(Bytes bytes);
  std::unique_ptr<Decoder> (*decoder)();
};

Codec gzip();
Codec bzip2();
Codec xz();
Codec zstd();

}  // namespace lambdaml::data::compression
