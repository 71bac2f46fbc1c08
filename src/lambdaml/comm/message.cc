#include "lambdaml/comm/message.h"

#include <bit>
#include <cstring>

#include "lambdaml/base/checksum.h"
#include "lambdaml/base/error.h"

namespace lambdaml::comm {
namespace {

static_assert(std::endian::native == std::endian::little, "messages are little-endian");

constexpr std::uint32_t kMagic = 0x4D444D4C;  // "LMDM"
constexpr std::uint8_t kVersion = 1;

struct WireHead {
  std::uint32_t magic = kMagic;
  std::uint8_t version = kVersion;
  std::uint8_t kind = 0;
  std::uint8_t last = 0;
  std::uint8_t form = 0;
  std::uint64_t job = 0;
  std::uint64_t round = 0;
  std::uint32_t worker = 0;
  std::uint32_t chunk = 0;
  std::uint64_t totals = 0;
  std::uint64_t values = 0;
  std::uint64_t packed = 0;  ///< bytes of the values when they are packed
  std::uint64_t checksum = 0;
};
static_assert(sizeof(WireHead) == 64);

std::uint64_t checksum_of(const WireHead& head, Bytes numbers) {
  const Bytes fields{reinterpret_cast<const std::byte*>(&head), offsetof(WireHead, checksum)};
  return checksum(numbers, checksum(fields));
}

WireHead wire_of(const MessageHead& head) {
  WireHead wire;
  wire.kind = static_cast<std::uint8_t>(head.kind);
  wire.last = head.last ? 1 : 0;
  wire.job = head.job;
  wire.round = head.round;
  wire.worker = head.worker;
  wire.chunk = head.chunk;
  return wire;
}

std::string_view name_of(MessageHead::Kind kind) {
  switch (kind) {
    case MessageHead::Kind::contribution:
      return "contribution";
    case MessageHead::Kind::merged:
      return "merged";
    case MessageHead::Kind::cumulative:
      return "cumulative";
    case MessageHead::Kind::state:
      return "state";
    case MessageHead::Kind::sum:
      return "sum";
  }
  return "unknown";
}

}  // namespace

MessageBuilder::MessageBuilder(std::size_t n_totals, std::size_t n_values)
    : bytes(sizeof(WireHead) + n_totals * sizeof(double) + n_values * sizeof(float)),
      totals(reinterpret_cast<double*>(bytes.data() + sizeof(WireHead)), n_totals),
      values(reinterpret_cast<float*>(bytes.data() + sizeof(WireHead) + n_totals * sizeof(double)),
             n_values) {}

Buffer MessageBuilder::finish(const MessageHead& head) {
  WireHead wire = wire_of(head);
  wire.totals = totals.size();
  wire.values = values.size();
  wire.checksum = checksum_of(wire, bytes.view().subspan(sizeof wire));
  std::memcpy(bytes.data(), &wire, sizeof wire);
  totals = {};
  values = {};
  return std::move(bytes);
}

Buffer encode(const MessageHead& head, std::span<const double> totals,
              std::span<const float> values, Packing packing) {
  const std::size_t packed = packed_bytes(packing.form, values, packing.begin);
  if (packing.form == Form::f32 || packed >= values.size_bytes()) {
    MessageBuilder builder(totals.size(), values.size());
    std::copy(totals.begin(), totals.end(), builder.totals.begin());
    std::copy(values.begin(), values.end(), builder.values.begin());
    return builder.finish(head);
  }
  Buffer bytes(sizeof(WireHead) + totals.size_bytes() + packed);
  std::byte* at = bytes.data() + sizeof(WireHead);
  if (!totals.empty()) std::memcpy(at, totals.data(), totals.size_bytes());
  pack(packing.form, values, packing.begin, at + totals.size_bytes());
  WireHead wire = wire_of(head);
  wire.form = static_cast<std::uint8_t>(packing.form);
  wire.packed = packed;
  wire.totals = totals.size();
  wire.values = values.size();
  wire.checksum = checksum_of(wire, bytes.view().subspan(sizeof wire));
  std::memcpy(bytes.data(), &wire, sizeof wire);
  return bytes;
}

Message decode(Bytes bytes, std::string_view key) {
  const auto corrupt = [&](std::string_view why) {
    fail(Code::data_corrupt, "the message '{}' of {} bytes {}", key, bytes.size(), why);
  };
  WireHead wire;
  if (bytes.size() < sizeof wire) corrupt("is shorter than its head of 64 bytes");
  std::memcpy(&wire, bytes.data(), sizeof wire);
  if (wire.magic != kMagic) corrupt("does not begin with LMDM: it is no message");
  if (wire.version != kVersion)
    corrupt(fmt::format("has version {}, this program reads {}: all workers must run the same one",
                        wire.version, kVersion));
  // Divisions, not products: the counts may be anything.
  const std::size_t numbers = bytes.size() - sizeof wire;
  const bool packed = wire.form != 0;
  if (wire.totals > numbers / sizeof(double) ||
      (packed ? wire.packed != numbers - wire.totals * sizeof(double)
              : wire.values > (numbers - wire.totals * sizeof(double)) / sizeof(float) ||
                    wire.totals * sizeof(double) + wire.values * sizeof(float) != numbers))
    corrupt(fmt::format("is not as long as its head says: {} doubles and {} floats", wire.totals,
                        wire.values));
  if (wire.checksum != checksum_of(wire, bytes.subspan(sizeof wire)))
    corrupt("does not have its checksum");
  if (wire.kind < static_cast<std::uint8_t>(MessageHead::Kind::contribution) ||
      wire.kind > static_cast<std::uint8_t>(MessageHead::Kind::sum) || wire.last > 1 ||
      wire.form > static_cast<std::uint8_t>(Form::sparse) || (!packed && wire.packed != 0))
    corrupt("has a head that this version does not write");
  if (reinterpret_cast<std::uintptr_t>(bytes.data()) % alignof(double) != 0)
    fail(Code::internal, "the message '{}' is misaligned in memory", key);

  Message message;
  message.head = {.kind = static_cast<MessageHead::Kind>(wire.kind),
                  .job = wire.job,
                  .round = wire.round,
                  .worker = wire.worker,
                  .chunk = wire.chunk,
                  .last = wire.last == 1};
  const std::byte* at = bytes.data() + sizeof wire;
  message.totals = {reinterpret_cast<const double*>(at), wire.totals};
  message.form = static_cast<Form>(wire.form);
  message.count = wire.values;
  message.packed = bytes.subspan(sizeof wire + wire.totals * sizeof(double));
  if (!packed)
    message.values = {reinterpret_cast<const float*>(message.packed.data()), wire.values};
  return message;
}

void expect(Message& message, std::string_view key, const MessageHead& expected, std::size_t totals,
            std::size_t values) {
  const auto check = [&](std::string_view what, auto is, auto should) {
    if (is != should)
      fail(Code::data_corrupt, "the message '{}' has {} {} where {} belongs", key, what, is,
           should);
  };
  check("kind", name_of(message.head.kind), name_of(expected.kind));
  check("job", message.head.job, expected.job);
  check("round", message.head.round, expected.round);
  check("worker", message.head.worker, expected.worker);
  check("chunk", message.head.chunk, expected.chunk);
  check("last mark", message.head.last, expected.last);
  check("number of doubles", message.totals.size(), totals);
  check("number of floats", message.count, values);
  if (message.form == Form::f32) return;
  const auto owned = std::make_shared<Buffer>(values * sizeof(float));
  const std::span<float> unpacked{reinterpret_cast<float*>(owned->data()), values};
  if (!unpack(message.form, message.packed, unpacked))
    fail(Code::data_corrupt, "the message '{}' has packed values that this program does not write",
         key);
  message.values = unpacked;
  message.owned = owned;
}

Message decode(Bytes bytes, std::string_view key, const MessageHead& expected, std::size_t totals,
               std::size_t values) {
  Message message = decode(bytes, key);
  expect(message, key, expected, totals, values);
  return message;
}

std::string contribution_key(std::uint64_t round, std::uint32_t worker) {
  return fmt::format("v/{}-{}", round, worker);
}
std::string merged_key(std::uint64_t round) { return fmt::format("m/{}", round); }
std::string contribution_chunk_key(std::uint64_t round, std::uint32_t worker, std::uint32_t chunk) {
  return fmt::format("v{}/{}-{}", chunk, round, worker);
}
std::string merged_chunk_key(std::uint64_t round, std::uint32_t chunk) {
  return fmt::format("m/{}-{}", round, chunk);
}
std::string sum_key(std::uint64_t round, std::uint32_t chunk) {
  return fmt::format("s/{}-{}", round, chunk);
}
std::string latest_key(MessageHead::Kind kind, std::uint32_t worker, std::size_t totals,
                       std::size_t values) {
  return fmt::format("a/{}-{}-{}-{}", name_of(kind), totals, values, worker);
}
std::string final_key(std::uint32_t worker, std::size_t totals, std::size_t values) {
  return fmt::format("a/final-{}-{}-{}", totals, values, worker);
}

}  // namespace lambdaml::comm
