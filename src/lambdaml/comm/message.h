#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "lambdaml/base/bytes.h"
#include "lambdaml/comm/packing.h"

/// The only format of vectors in a store, and the names of their keys. Both are written and parsed
/// only here.
namespace lambdaml::comm {

/// A message's metadata. Every field must equal what the reader expects.
struct MessageHead {
  enum class Kind : std::uint8_t {
    contribution = 1,
    merged = 2,
    cumulative = 3,
    state = 4,
    sum = 5,  ///< of a chunk, for its aggregator alone
  };
  Kind kind = Kind::contribution;
  std::uint64_t job = 0;
  std::uint64_t round = 0;   ///< cumulative, state: the number of contributions
  std::uint32_t worker = 0;  ///< the sender; merged: the aggregator
  std::uint32_t chunk = 0;   ///< which chunk of the vector
  bool last = false;         ///< async: the worker will contribute no more

  bool operator==(const MessageHead&) const = default;
};

/// How the floats of a message are encoded, and the index of the first in the whole vector. The
/// values must be representable in that form (see round_to).
struct Packing {
  Form form = Form::f32;
  std::size_t begin = 0;
};

/// The bytes of a message: a 64-byte head (magic "LMDM", version, kind, form, counts, job, round,
/// worker, chunk, XXH3 of everything else), then the doubles, then the floats, packed or not,
/// little-endian.
Buffer encode(const MessageHead& head, std::span<const double> totals,
              std::span<const float> values, Packing packing = {});

/// A message whose numbers are computed in place: fill `totals` and `values`, then finish() it.
/// Avoids the copy that encode() makes.
struct MessageBuilder {
  MessageBuilder(std::size_t totals, std::size_t values);
  /// Writes the head and returns the message; the builder is empty afterwards.
  Buffer finish(const MessageHead& head);

  Buffer bytes;
  std::span<double> totals;
  std::span<float> values;
};

/// A checked view of a message's numbers; valid as long as the bytes.
struct Message {
  MessageHead head;
  std::span<const double> totals;
  std::span<const float> values;  ///< empty while they are packed
  Form form = Form::f32;
  std::size_t count = 0;                     ///< of values
  Bytes packed = {};                         ///< the values as they lie in the message
  std::shared_ptr<const Buffer> owned = {};  ///< unpacked values
};

/// Checks magic, version, sizes and checksum. Packed values stay packed, because their count is not
/// verified yet. `key` names the message in errors. `bytes` must be aligned to 8 bytes, as a Buffer
/// is. Throws data_corrupt.
Message decode(Bytes bytes, std::string_view key);
/// Throws data_corrupt unless the head is `expected` and the sizes match. Then unpacks values.
void expect(Message& message, std::string_view key, const MessageHead& expected, std::size_t totals,
            std::size_t values);
/// Both: decodes, checks the head and the sizes, and unpacks.
Message decode(Bytes bytes, std::string_view key, const MessageHead& expected, std::size_t totals,
               std::size_t values);

/// Keys of a round. The keys that one reader waits for are in a folder of their own, so that in a
/// store of files only they wake it: "v/ROUND-WORKER" for the merging worker, "vCHUNK/ROUND-WORKER"
/// for the one that merges the chunk, "m/ROUND" and "m/ROUND-CHUNK" for all.
std::string contribution_key(std::uint64_t round, std::uint32_t worker);
std::string merged_key(std::uint64_t round);
std::string contribution_chunk_key(std::uint64_t round, std::uint32_t worker, std::uint32_t chunk);
std::string merged_chunk_key(std::uint64_t round, std::uint32_t chunk);
/// "s/ROUND-CHUNK": the sum that an aggregator steps.
std::string sum_key(std::uint64_t round, std::uint32_t chunk);
/// Keys of the async pattern: one per worker, kind and sizes, which is overwritten at each merge,
/// and one for a worker's final sum, written once.
std::string latest_key(MessageHead::Kind kind, std::uint32_t worker, std::size_t totals,
                       std::size_t values);
std::string final_key(std::uint32_t worker, std::size_t totals, std::size_t values);

}  // namespace lambdaml::comm
