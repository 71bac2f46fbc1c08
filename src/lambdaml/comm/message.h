#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "lambdaml/base/bytes.h"

/// The one form in which vectors lie in a store, and the names they lie under. Both are written and
/// read here only.
namespace lambdaml::comm {

/// What a message is, apart from its numbers. Every field must be what the reader expects.
struct MessageHead {
  enum class Kind : std::uint8_t { contribution = 1, merged = 2, cumulative = 3, state = 4 };
  Kind kind = Kind::contribution;
  std::uint64_t job = 0;
  std::uint64_t round = 0;   ///< cumulative: how many contributions it is the sum of
  std::uint32_t worker = 0;  ///< who wrote it; merged: who merged it
  std::uint32_t chunk = 0;   ///< reduce_scatter: which chunk of the vector
  bool last = false;         ///< async: the worker will contribute no more

  bool operator==(const MessageHead&) const = default;
};

/// A 64-byte head (magic "LMDM", version, kind, counts, job, round, worker, chunk, XXH3 of all the
/// rest), then the doubles, then the floats, little-endian.
Buffer encode(const MessageHead& head, std::span<const double> totals,
              std::span<const float> values);

/// A checked view of a message's numbers; lives as long as the bytes.
struct Message {
  MessageHead head;
  std::span<const double> totals;
  std::span<const float> values;
};

/// Checks magic, version, sizes and checksum. `key` names it in errors. Throws data_corrupt.
Message decode(Bytes bytes, std::string_view key);
/// The same, and checks that the head is `expected` and the sizes are those.
Message decode(Bytes bytes, std::string_view key, const MessageHead& expected, std::size_t totals,
               std::size_t values);

/// Keys of a round, all in one folder: "round/{round}-v{worker}", …
std::string contribution_key(std::uint64_t round, std::uint32_t worker);
std::string merged_key(std::uint64_t round);
std::string contribution_chunk_key(std::uint64_t round, std::uint32_t worker, std::uint32_t chunk);
std::string merged_chunk_key(std::uint64_t round, std::uint32_t chunk);
/// Keys of the async pattern: one per worker and meaning, written again and again.
std::string latest_key(MessageHead::Kind kind, std::uint32_t worker);

}  // namespace lambdaml::comm
