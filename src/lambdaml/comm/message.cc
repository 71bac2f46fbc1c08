#include "lambdaml/comm/message.h"

#include <bit>
#include <cstring>

#include <fmt/core.h>

#include "lambdaml/base/checksum.h"
#include "lambdaml/base/error.h"

namespace lambdaml::comm {
namespace {

static_assert(std::endian::native == std::endian::little, "messages are little-endian");

constexpr std::uint32_t kMagic = 0x4d444d4c;  // "LMDM"
constexpr std::uint8_t kVersion = 1;

/// As it lies in the message; every byte is set.
struct Wire {
  std::uint32_t magic = kMagic;
  std::uint8_t version = kVersion;
  MessageHead::Kind kind{};
  std::uint8_t last = 0;
  std::uint8_t zero = 0;
  std::uint64_t totals = 0;
  std::uint64_t values = 0;
  std::uint64_t job = 0;
  std::uint64_t round = 0;
  std::uint32_t worker = 0;
  std::uint32_t chunk = 0;
  std::uint64_t reserved = 0;
  std::uint64_t checksum = 0;  ///< of all before it, then of the numbers
};
static_assert(sizeof(Wire) == 64);

std::uint64_t checksum_of(const Wire& wire, Bytes numbers) {
  const Bytes head(reinterpret_cast<const std::byte*>(&wire), offsetof(Wire, checksum));
  return checksum(numbers, checksum(head));
}

[[noreturn]] void corrupt(std::string_view key, std::string_view why) {
  fail(Code::data_corrupt, "message {}: {}", key, why);
}

}  // namespace

Buffer encode(const MessageHead& head, std::span<const double> totals,
              std::span<const float> values) {
  Wire wire;
  wire.kind = head.kind;
  wire.last = head.last ? 1 : 0;
  wire.totals = totals.size();
  wire.values = values.size();
  wire.job = head.job;
  wire.round = head.round;
  wire.worker = head.worker;
  wire.chunk = head.chunk;
  Buffer message(sizeof wire + totals.size_bytes() + values.size_bytes());
  std::byte* numbers = message.data() + sizeof wire;
  if (!totals.empty()) std::memcpy(numbers, totals.data(), totals.size_bytes());
  if (!values.empty())
    std::memcpy(numbers + totals.size_bytes(), values.data(), values.size_bytes());
  wire.checksum = checksum_of(wire, message.view().subspan(sizeof wire));
  std::memcpy(message.data(), &wire, sizeof wire);
  return message;
}

Message decode(Bytes bytes, std::string_view key) {
  Wire wire;
  if (bytes.size() < sizeof wire) corrupt(key, fmt::format("{} bytes are too few", bytes.size()));
  std::memcpy(&wire, bytes.data(), sizeof wire);
  if (wire.magic != kMagic) corrupt(key, "not a message of this program");
  if (wire.version != kVersion)
    corrupt(key, fmt::format("version {} instead of {}", wire.version, kVersion));
  const Bytes numbers = bytes.subspan(sizeof wire);
  // Compared by division: the counts are not to be trusted.
  const bool fits =
      wire.totals <= numbers.size() / sizeof(double) &&
      wire.values <= (numbers.size() - wire.totals * sizeof(double)) / sizeof(float) &&
      wire.totals * sizeof(double) + wire.values * sizeof(float) == numbers.size();
  if (!fits)
    corrupt(key, fmt::format("{} bytes for {} doubles and {} floats", numbers.size(), wire.totals,
                             wire.values));
  if (wire.kind < MessageHead::Kind::contribution || wire.kind > MessageHead::Kind::state ||
      wire.last > 1)
    corrupt(key, "unknown kind");
  if (wire.checksum != checksum_of(wire, numbers))
    corrupt(key, "its checksum does not fit; it was damaged");
  Message message;
  message.head = {wire.kind, wire.job, wire.round, wire.worker, wire.chunk, wire.last == 1};
  message.totals = {reinterpret_cast<const double*>(numbers.data()), wire.totals};
  message.values = {reinterpret_cast<const float*>(numbers.data() + wire.totals * sizeof(double)),
                    wire.values};
  return message;
}

Message decode(Bytes bytes, std::string_view key, const MessageHead& expected, std::size_t totals,
               std::size_t values) {
  const Message message = decode(bytes, key);
  const auto check = [&](std::string_view name, std::uint64_t is, std::uint64_t should) {
    if (is != should) corrupt(key, fmt::format("{} {} instead of {}", name, is, should));
  };
  check("kind", static_cast<std::uint64_t>(message.head.kind),
        static_cast<std::uint64_t>(expected.kind));
  check("job", message.head.job, expected.job);
  check("round", message.head.round, expected.round);
  check("worker", message.head.worker, expected.worker);
  check("chunk", message.head.chunk, expected.chunk);
  check("number of totals", message.totals.size(), totals);
  check("number of values", message.values.size(), values);
  return message;
}

std::string contribution_key(std::uint64_t round, std::uint32_t worker) {
  return fmt::format("in/{}-{}", round, worker);
}
std::string merged_key(std::uint64_t round) { return fmt::format("out/{}", round); }
std::string contribution_chunk_key(std::uint64_t round, std::uint32_t worker, std::uint32_t chunk) {
  return fmt::format("in/{}-{}-{}", round, worker, chunk);
}
std::string merged_chunk_key(std::uint64_t round, std::uint32_t chunk) {
  return fmt::format("out/{}-{}", round, chunk);
}
std::string latest_key(MessageHead::Kind kind, std::uint32_t worker) {
  return fmt::format("latest/{}-{}", kind == MessageHead::Kind::cumulative ? "sum" : "state",
                     worker);
}

}  // namespace lambdaml::comm
