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
/// copies of generated code, which keeps a `binary` in a string: here the numbers go from the
/// socket into aligned memory, and from where they lie into the socket.
namespace lambdaml::ps {

enum class Kind : std::int32_t { round = 1, running = 2, newest = 3, result = 4 };

/// `Part` but for its numbers; see parameter_server.thrift.
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

/// `Sum` but for its numbers.
struct Sum {
  std::uint64_t merged = 0;
  std::uint64_t length = 0;
  std::vector<std::uint32_t> missing = {};
  bool resend = false;
  std::uint64_t generation = 0;
};

/// The numbers of either as bytes, where they lie.
struct NumbersView {
  Bytes totals, values;
  std::optional<Bytes> indices = {}, wanted = {};
};
/// And as they came.
struct Numbers {
  Buffer totals, values;
  std::optional<Buffer> indices = {}, wanted = {};
};

using Protocol = ::apache::thrift::protocol::TProtocol;

/// What a reader has room for. Memory for what a peer has announced is not touched before it comes.
struct Room {
  Room(std::uint32_t largest_binary) : largest(largest_binary) {}

  std::uint32_t largest;  ///< bytes of the longest `binary`; a longer one ends the message
  /// Asked before so many more bytes are kept. False: there is no memory for them; the binary, of
  /// which nothing is kept, is read to its end, so that the peer can be told.
  std::function<bool(std::uint64_t bytes)> has_memory = {};
};

/// Write and read the struct, with its end. Fields that are not known are skipped. Throw Thrift's
/// exceptions.
void write(Protocol& out, const Part& part, const NumbersView& numbers);
void read(Protocol& in, const Room& room, Part& part, Numbers& numbers);
void write(Protocol& out, const Sum& sum, const NumbersView& numbers);
void read(Protocol& in, const Room& room, Sum& sum, Numbers& numbers);

void write_binary(Protocol& out, Bytes bytes);
Buffer read_binary(Protocol& in, const Room& room);
void write_binary_field(Protocol& out, std::int16_t id, Bytes bytes);

/// The original's vectors, a list<double>. When read, they lie in the buffer as doubles of this
/// machine; the list may have as many elements as fit in a `binary` of the room as floats.
void write_doubles(Protocol& out, std::span<const float> values);
Buffer read_doubles(Protocol& in, const Room& room);

/// A vector as its entries whose bits are not those of 0, where that is shorter than the whole.
struct Sparse {
  std::vector<std::uint32_t> indices;
  std::vector<float> values;
};
std::optional<Sparse> as_sparse(std::span<const float> values);

}  // namespace lambdaml::ps
