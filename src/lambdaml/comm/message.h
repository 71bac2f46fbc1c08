#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "lambdaml/base/bytes.h"
#include "lambdaml/comm/packing.h"

/// The one form in which vectors lie in a store, and the names they lie under. Both are written and
/// read here only.
namespace lambdaml::comm {

/// What a message is, apart from its numbers. Every field must be what the reader expects.
struct MessageHead {
  enum class Kind : std::uint8_t { contribution = 1, merged = 2, cumulative = 3, state = 4 };
  Kind kind = Kind::contribution;
  std::uint64_t job = 0;
  std::uint64_t round = 0;   ///< cumulative, state: how many contributions went into it
  std::uint32_t worker = 0;  ///< whose it is; merged: the aggregator's
  std::uint32_t chunk = 0;   ///< which chunk of the vector
  bool last = false;         ///< async: the worker will contribute no more

  bool operator==(const MessageHead&) const = default;
};

/// How the floats of a message are written, and the index of the first in the whole vector. Values
/// must be ones that the form carries (see round_to).
struct Packing {
  Form form = Form::f32;
  std::size_t begin = 0;
};

/// A 64-byte head (magic "LMDM", version, kind, form, counts, job, round, worker, chunk, XXH3 of
/// all the rest), then the doubles, then the floats, packed or not, little-endian.
Buffer encode(const MessageHead& head, std::span<const double> totals,
              std::span<const float> values, Packing packing = {});

/// A message whose numbers are computed in place: fill `totals` and `values`, then seal() it. Saves
/// the copy that encode() makes.
struct Draft {
  Draft(std::size_t totals, std::size_t values);
  /// Writes the head; the draft is empty afterwards.
  Buffer seal(const MessageHead& head);

  Buffer bytes;
  std::span<double> totals;
  std::span<float> values;
};

/// A checked view of a message's numbers; lives as long as the bytes.
struct Message {
  MessageHead head;
  std::span<const double> totals;
  std::span<const float> values;  ///< empty while they are packed
  Form form = Form::f32;
  std::size_t count = 0;                     ///< of values
  Bytes packed = {};                         ///< the values as they lie in the message
  std::shared_ptr<const Buffer> owned = {};  ///< unpacked values
};

/// Checks magic, version, sizes and checksum; packed values are left packed, for their number is
/// not to be believed yet. `key` names it in errors. `bytes` begin at an address that 8 divides, as
/// a Buffer's do. Throws data_corrupt.
Message decode(Bytes bytes, std::string_view key);
/// Throws data_corrupt unless the head is `expected` and the sizes are those. Then unpacks values.
void expect(Message& message, std::string_view key, const MessageHead& expected, std::size_t totals,
            std::size_t values);
/// Both: decodes and checks that the head is `expected` and the sizes are those.
Message decode(Bytes bytes, std::string_view key, const MessageHead& expected, std::size_t totals,
               std::size_t values);

/// Keys of a round. What one reader waits for lies in a folder of its own, so that in a store of
/// files it is woken by that only: "v/ROUND-WORKER" for the merging worker, "vCHUNK/ROUND-WORKER"
/// for the one that merges the chunk, "m/ROUND" and "m/ROUND-CHUNK" for all.
std::string contribution_key(std::uint64_t round, std::uint32_t worker);
std::string merged_key(std::uint64_t round);
std::string contribution_chunk_key(std::uint64_t round, std::uint32_t worker, std::uint32_t chunk);
std::string merged_chunk_key(std::uint64_t round, std::uint32_t chunk);
/// Keys of the async pattern: one per worker, meaning and sizes, written again and again, and one
/// for the last sum of a worker, written once.
std::string latest_key(MessageHead::Kind kind, std::uint32_t worker, std::size_t totals,
                       std::size_t values);
std::string final_key(std::uint32_t worker, std::size_t totals, std::size_t values);

}  // namespace lambdaml::comm
