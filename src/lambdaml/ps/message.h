#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lambdaml/base/bytes.h"

namespace apache::thrift::protocol {
class TProtocol;
}

/// The two structs of parameter_server.thrift that carry vectors, read and written without the
/// copies of generated code, which keeps a `binary` in a string: here numbers go from the socket
/// into aligned memory, and from their place into the socket.
namespace lambdaml::ps {

enum class Kind : std::int32_t { round = 1, running = 2, newest = 3, result = 4 };

/// `Part` without its numbers; see parameter_server.thrift.
struct Part {
  std::string id;
  Kind kind = Kind::round;
  std::uint64_t round = 0;
  std::uint32_t worker = 0;
  std::uint32_t workers = 1;
  std::uint32_t wait_ms = 0;
  std::uint64_t retired = 0;
  std::uint64_t length = 0;
  std::optional<std::uint32_t> staleness = {};
  bool last = false;
  bool again = false;
  bool pull_only = false;
  std::optional<double> scale = {};
  std::optional<double> learning_rate = {};
  std::optional<std::uint64_t> generation = {};
};

/// `Sum` without its numbers.
struct Sum {
  std::uint64_t merged = 0;
  std::uint64_t length = 0;
  std::vector<std::uint32_t> missing = {};
  bool resend = false;
  std::uint64_t generation = 0;
};

/// The numbers of either, as views to be sent.
struct NumbersView {
  Bytes totals, values;
  std::optional<Bytes> indices = {}, wanted = {};
};
/// The numbers of either, as received.
struct Numbers {
  Buffer totals, values;
  std::optional<Buffer> indices = {}, wanted = {};
};

using Protocol = ::apache::thrift::protocol::TProtocol;

/// The memory limits of a reader. Memory for an announced length is not touched before the bytes
/// arrive.
struct Room {
  Room(std::uint32_t largest_binary) : largest(largest_binary) {}

  std::uint32_t largest;  ///< bytes of the longest `binary`; a longer one ends the message
  /// Called before this many more bytes are kept. False: there is no memory for them; then the
  /// binary is read to its end without keeping any of it, so that the peer can be told.
  std::function<bool(std::uint64_t bytes)> has_memory = {};
};

/// Write and read the struct including its end marker. Skip unknown fields. Throw Thrift's
/// exceptions.
void write(Protocol& out, const Part& part, const NumbersView& numbers);
void read(Protocol& in, const Room& room, Part& part, Numbers& numbers);
void write(Protocol& out, const Sum& sum, const NumbersView& numbers);
void read(Protocol& in, const Room& room, Sum& sum, Numbers& numbers);

void write_binary(Protocol& out, Bytes bytes);
Buffer read_binary(Protocol& in, const Room& room);
void write_binary_field(Protocol& out, std::int16_t id, Bytes bytes);

/// The original's vectors, of type list<double>. After reading, the buffer holds doubles of this
/// machine; the list may have as many elements as floats fit in a `binary` of the room.
void write_doubles(Protocol& out, std::span<const float> values);
Buffer read_doubles(Protocol& in, const Room& room);

/// A vector as the entries whose bits are not those of 0; nullopt if that would not be shorter.
struct Sparse {
  std::vector<std::uint32_t> indices;
  std::vector<float> values;
};
std::optional<Sparse> as_sparse(std::span<const float> values);

}  // namespace lambdaml::ps
