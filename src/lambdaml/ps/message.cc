#include "lambdaml/ps/message.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <new>

#include <endian.h>
#include <thrift/protocol/TProtocol.h>

namespace lambdaml::ps {
namespace {

using namespace ::apache::thrift::protocol;

static_assert(std::endian::native == std::endian::little, "numbers on the wire are little-endian");

[[noreturn]] void refuse(TProtocolException::TProtocolExceptionType type, const char* why) {
  throw TProtocolException(type, why);
}

std::uint32_t natural(std::int32_t number) {
  if (number < 0) refuse(TProtocolException::INVALID_DATA, "a negative number");
  return static_cast<std::uint32_t>(number);
}
std::uint64_t natural(std::int64_t number) {
  if (number < 0) refuse(TProtocolException::INVALID_DATA, "a negative number");
  return static_cast<std::uint64_t>(number);
}

void write_field(Protocol& out, std::int16_t id, std::int32_t value) {
  out.writeFieldBegin("", T_I32, id);
  out.writeI32(value);
}
void write_field(Protocol& out, std::int16_t id, std::uint32_t value) {
  write_field(out, id, static_cast<std::int32_t>(value));
}
void write_field(Protocol& out, std::int16_t id, std::uint64_t value) {
  out.writeFieldBegin("", T_I64, id);
  out.writeI64(static_cast<std::int64_t>(value));
}
void write_field(Protocol& out, std::int16_t id, bool value) {
  out.writeFieldBegin("", T_BOOL, id);
  out.writeBool(value);
}
void write_field(Protocol& out, std::int16_t id, double value) {
  out.writeFieldBegin("", T_DOUBLE, id);
  out.writeDouble(value);
}

std::int32_t read_i32(Protocol& in) {
  std::int32_t value = 0;
  in.readI32(value);
  return value;
}
std::int64_t read_i64(Protocol& in) {
  std::int64_t value = 0;
  in.readI64(value);
  return value;
}
bool read_bool(Protocol& in) {
  bool value = false;
  in.readBool(value);
  return value;
}
double read_double(Protocol& in) {
  double value = 0;
  in.readDouble(value);
  return value;
}

/// Calls take(id, type) for each field; skips fields for which it returns false.
template <class Take>
void read_fields(Protocol& in, Take&& take) {
  std::string name;
  in.readStructBegin(name);
  while (true) {
    TType type = T_STOP;
    std::int16_t id = 0;
    in.readFieldBegin(name, type, id);
    if (type == T_STOP) break;
    if (!take(id, type)) in.skip(type);
    in.readFieldEnd();
  }
  in.readStructEnd();
}

}  // namespace

void write_binary(Protocol& out, Bytes bytes) {
  if (bytes.size() > std::numeric_limits<std::int32_t>::max())
    refuse(TProtocolException::SIZE_LIMIT, "a vector of more than 2 GB");
  out.writeI32(static_cast<std::int32_t>(bytes.size()));
  if (!bytes.empty())
    out.getTransport()->write(reinterpret_cast<const std::uint8_t*>(bytes.data()),
                              static_cast<std::uint32_t>(bytes.size()));
}

void write_binary_field(Protocol& out, std::int16_t id, Bytes bytes) {
  out.writeFieldBegin("", T_STRING, id);
  write_binary(out, bytes);
}

namespace {

/// Reads `size` bytes in steps, asking for memory before each one, because a huge page is touched
/// as a whole.
Buffer read_bytes(Protocol& in, std::uint64_t size, const Room& room) {
  constexpr std::uint64_t kStep = 2 << 20;
  constexpr std::uint64_t kDropped = 64 << 10;
  std::optional<Buffer> bytes;
  try {
    bytes.emplace(size);
  } catch (const std::bad_alloc&) {
    // Treated like lack of memory.
    if (!room.has_memory || room.has_memory(std::numeric_limits<std::uint64_t>::max())) throw;
  }
  std::vector<std::uint8_t> dropped;
  for (std::uint64_t done = 0; done < size;) {
    std::uint64_t n = std::min(size - done, kStep);
    if (bytes && room.has_memory && !room.has_memory(n)) bytes.reset();
    if (!bytes) {
      n = std::min(n, kDropped);
      dropped.resize(kDropped);
    }
    in.getTransport()->readAll(
        bytes ? reinterpret_cast<std::uint8_t*>(bytes->data() + done) : dropped.data(),
        static_cast<std::uint32_t>(n));
    done += n;
  }
  return bytes ? std::move(*bytes) : Buffer();
}

}  // namespace

Buffer read_binary(Protocol& in, const Room& room) {
  const std::int32_t size = read_i32(in);
  if (size < 0) refuse(TProtocolException::NEGATIVE_SIZE, "a binary of negative size");
  if (static_cast<std::uint32_t>(size) > room.largest)
    refuse(TProtocolException::SIZE_LIMIT, "a binary beyond the limit");
  return read_bytes(in, static_cast<std::uint32_t>(size), room);
}

void write_doubles(Protocol& out, std::span<const float> values) {
  if (values.size() > std::numeric_limits<std::int32_t>::max())
    refuse(TProtocolException::SIZE_LIMIT, "a list of more than 2^31 elements");
  out.writeListBegin(T_DOUBLE, static_cast<std::uint32_t>(values.size()));
  for (const float value : values) out.writeDouble(value);
  out.writeListEnd();
}

Buffer read_doubles(Protocol& in, const Room& room) {
  TType element = T_STOP;
  std::uint32_t size = 0;
  in.readListBegin(element, size);
  if (size > 0 && element != T_DOUBLE)
    refuse(TProtocolException::INVALID_DATA, "a list of no doubles");
  if (size > room.largest / sizeof(float))
    refuse(TProtocolException::SIZE_LIMIT, "a list beyond the limit");
  Buffer doubles = read_bytes(in, std::uint64_t{size} * sizeof(double), room);
  for (std::size_t at = 0; at + sizeof(double) <= doubles.size(); at += sizeof(double)) {
    std::uint64_t bits = 0;
    std::memcpy(&bits, doubles.data() + at, sizeof bits);
    bits = be64toh(bits);
    std::memcpy(doubles.data() + at, &bits, sizeof bits);
  }
  in.readListEnd();
  return doubles;
}

void write(Protocol& out, const Part& part, const NumbersView& numbers) {
  out.writeFieldBegin("", T_STRING, 1);
  out.writeString(part.id);
  write_field(out, 2, static_cast<std::int32_t>(part.kind));
  write_field(out, 3, part.round);
  write_field(out, 4, part.worker);
  write_field(out, 5, part.workers);
  write_field(out, 6, part.wait_ms);
  write_field(out, 7, part.retired);
  write_field(out, 11, part.length);
  if (part.staleness) write_field(out, 12, *part.staleness);
  if (part.last) write_field(out, 13, true);
  if (part.again) write_field(out, 14, true);
  if (part.pull_only) write_field(out, 15, true);
  if (part.scale) write_field(out, 17, *part.scale);
  if (part.learning_rate) write_field(out, 18, *part.learning_rate);
  if (part.generation) write_field(out, 19, *part.generation);
  write_binary_field(out, 8, numbers.totals);
  if (numbers.indices) write_binary_field(out, 10, *numbers.indices);
  if (numbers.wanted) write_binary_field(out, 16, *numbers.wanted);
  write_binary_field(out, 9, numbers.values);
  out.writeFieldStop();
}

void read(Protocol& in, const Room& room, Part& part, Numbers& numbers) {
  read_fields(in, [&](std::int16_t id, TType type) {
    if (id == 1 && type == T_STRING) {
      in.readString(part.id);
    } else if (id == 2 && type == T_I32) {
      part.kind = static_cast<Kind>(read_i32(in));
    } else if (id == 3 && type == T_I64) {
      part.round = natural(read_i64(in));
    } else if (id == 4 && type == T_I32) {
      part.worker = natural(read_i32(in));
    } else if (id == 5 && type == T_I32) {
      part.workers = natural(read_i32(in));
    } else if (id == 6 && type == T_I32) {
      part.wait_ms = natural(read_i32(in));
    } else if (id == 7 && type == T_I64) {
      part.retired = natural(read_i64(in));
    } else if (id == 8 && type == T_STRING) {
      numbers.totals = read_binary(in, room);
    } else if (id == 9 && type == T_STRING) {
      numbers.values = read_binary(in, room);
    } else if (id == 10 && type == T_STRING) {
      numbers.indices = read_binary(in, room);
    } else if (id == 11 && type == T_I64) {
      part.length = natural(read_i64(in));
    } else if (id == 12 && type == T_I32) {
      part.staleness = natural(read_i32(in));
    } else if (id == 13 && type == T_BOOL) {
      part.last = read_bool(in);
    } else if (id == 14 && type == T_BOOL) {
      part.again = read_bool(in);
    } else if (id == 15 && type == T_BOOL) {
      part.pull_only = read_bool(in);
    } else if (id == 16 && type == T_STRING) {
      numbers.wanted = read_binary(in, room);
    } else if (id == 17 && type == T_DOUBLE) {
      part.scale = read_double(in);
    } else if (id == 18 && type == T_DOUBLE) {
      part.learning_rate = read_double(in);
    } else if (id == 19 && type == T_I64) {
      part.generation = natural(read_i64(in));
    } else {
      return false;
    }
    return true;
  });
}

void write(Protocol& out, const Sum& sum, const NumbersView& numbers) {
  write_field(out, 1, sum.merged);
  write_field(out, 5, sum.length);
  if (!sum.missing.empty()) {
    out.writeFieldBegin("", T_LIST, 6);
    out.writeListBegin(T_I32, static_cast<std::uint32_t>(sum.missing.size()));
    for (const std::uint32_t worker : sum.missing) out.writeI32(static_cast<std::int32_t>(worker));
    out.writeListEnd();
  }
  if (sum.resend) write_field(out, 7, true);
  if (sum.generation != 0) write_field(out, 8, sum.generation);
  write_binary_field(out, 2, numbers.totals);
  if (numbers.indices) write_binary_field(out, 4, *numbers.indices);
  write_binary_field(out, 3, numbers.values);
  out.writeFieldStop();
}

void read(Protocol& in, const Room& room, Sum& sum, Numbers& numbers) {
  read_fields(in, [&](std::int16_t id, TType type) {
    if (id == 1 && type == T_I64) {
      sum.merged = natural(read_i64(in));
    } else if (id == 2 && type == T_STRING) {
      numbers.totals = read_binary(in, room);
    } else if (id == 3 && type == T_STRING) {
      numbers.values = read_binary(in, room);
    } else if (id == 4 && type == T_STRING) {
      numbers.indices = read_binary(in, room);
    } else if (id == 5 && type == T_I64) {
      sum.length = natural(read_i64(in));
    } else if (id == 6 && type == T_LIST) {
      TType element = T_STOP;
      std::uint32_t size = 0;
      in.readListBegin(element, size);
      if (element != T_I32) refuse(TProtocolException::INVALID_DATA, "a list of no numbers");
      for (std::uint32_t i = 0; i < size; ++i) sum.missing.push_back(natural(read_i32(in)));
      in.readListEnd();
    } else if (id == 7 && type == T_BOOL) {
      sum.resend = read_bool(in);
    } else if (id == 8 && type == T_I64) {
      sum.generation = natural(read_i64(in));
    } else {
      return false;
    }
    return true;
  });
}

std::optional<Sparse> as_sparse(std::span<const float> values) {
  constexpr std::size_t kWorthIt = 1024;
  constexpr std::size_t kSample = 512;
  const auto is_zero = [](float value) { return std::bit_cast<std::uint32_t>(value) == 0; };
  if (values.size() < kWorthIt) return {};
  const std::size_t stride = values.size() / kSample;
  std::size_t zeros = 0;
  for (std::size_t i = 0; i < kSample; ++i) zeros += is_zero(values[i * stride]) ? 1 : 0;
  if (zeros < kSample * 5 / 8) return {};
  const std::size_t most = values.size() / 2;
  Sparse out;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (is_zero(values[i])) continue;
    if (out.values.size() == most) return {};
    out.indices.push_back(static_cast<std::uint32_t>(i));
    out.values.push_back(values[i]);
  }
  return out;
}

}  // namespace lambdaml::ps
