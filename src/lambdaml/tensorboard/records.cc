#include "lambdaml/tensorboard/records.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <vector>

#include <boost/crc.hpp>

#include "lambdaml/base/bytes.h"

namespace lambdaml::tensorboard {
namespace {

static_assert(std::endian::native == std::endian::little, "numbers are written as they are");

constexpr std::size_t kBuckets = 60;

/// A message of Protocol Buffers: https://protobuf.dev/programming-guides/encoding/
class Message {
 public:
  Message& add(int field, double value) { return tag(field, kFixed64).raw(value); }
  Message& add(int field, float value) { return tag(field, kFixed32).raw(value); }
  Message& add(int field, std::int64_t value) {
    return tag(field, kVarint).varint(static_cast<std::uint64_t>(value));
  }
  Message& add(int field, std::string_view text) {
    tag(field, kBytes).varint(text.size());
    bytes_ += text;
    return *this;
  }
  Message& add(int field, std::span<const double> values) {
    return add(field, as_text(std::as_bytes(values)));
  }
  Message& add(int field, const Message& message) {
    return add(field, std::string_view(message.bytes_));
  }
  const std::string& bytes() const { return bytes_; }

 private:
  enum Wire { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

  Message& tag(int field, Wire wire) {
    return varint(static_cast<std::uint64_t>(field) << 3U | static_cast<std::uint64_t>(wire));
  }
  Message& varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7U) bytes_ += static_cast<char>(value | 0x80U);
    bytes_ += static_cast<char>(value);
    return *this;
  }
  template <class T>
  Message& raw(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof(value));
    return *this;
  }

  std::string bytes_;
};

// Numbers of the fields in event.proto and summary.proto.
namespace event {
constexpr int kWallTime = 1, kStep = 2, kFileVersion = 3, kSummary = 5, kSessionLog = 7;
}
namespace summary {
constexpr int kValue = 1, kTag = 1, kSimpleValue = 2, kHistogram = 5;
}
namespace histogram {
constexpr int kMin = 1, kMax = 2, kCount = 3, kSum = 4, kSumOfSquares = 5, kLimits = 6,
              kBucketCounts = 7;
}

Message event_at(Moment moment) {
  return Message().add(event::kWallTime, moment.wall_s).add(event::kStep, moment.step);
}

template <class T>
std::string_view raw(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof(value)};
}

std::string record(const Message& message) {
  const std::string& data = message.bytes();
  const auto length = static_cast<std::uint64_t>(data.size());
  std::string out(raw(length));
  out += raw(masked_crc(raw(length)));
  out += data;
  out += raw(masked_crc(data));
  return out;
}

}  // namespace

std::uint32_t masked_crc(std::string_view bytes) {
  boost::crc_optimal<32, 0x1EDC6F41, 0xFFFFFFFF, 0xFFFFFFFF, true, true> crc;
  crc.process_bytes(bytes.data(), bytes.size());
  return std::rotr(static_cast<std::uint32_t>(crc.checksum()), 15) + 0xA282EAD8U;
}

std::string version_record(Moment moment) {
  return record(event_at(moment).add(event::kFileVersion, std::string_view("brain.Event:2")));
}

std::string restart_record(Moment moment) {
  constexpr std::int64_t kStart = 1;
  return record(event_at(moment).add(event::kSessionLog, Message().add(1, kStart)));
}

std::string scalars_record(Moment moment, const std::map<std::string, double>& values) {
  Message all;
  for (const auto& [name, value] : values)
    all.add(summary::kValue, Message()
                                 .add(summary::kTag, std::string_view(tag_of(name)))
                                 .add(summary::kSimpleValue, static_cast<float>(value)));
  return record(event_at(moment).add(event::kSummary, all));
}

std::string histogram_record(Moment moment, std::string_view tag, std::span<const float> values) {
  double low = HUGE_VAL, high = -HUGE_VAL, sum = 0, squares = 0, count = 0;
  for (const float value : values) {
    if (!std::isfinite(value)) continue;
    const double v = value;
    low = std::min(low, v);
    high = std::max(high, v);
    sum += v;
    squares += v * v;
    ++count;
  }
  if (count == 0) return {};
  const double width = (high - low) / static_cast<double>(kBuckets);
  std::array<double, kBuckets> limits{}, counts{};
  for (std::size_t i = 0; i < kBuckets; ++i) limits[i] = low + width * static_cast<double>(i + 1);
  limits.back() = high;
  for (const float value : values) {
    if (!std::isfinite(value)) continue;
    const auto bucket =
        width > 0 ? static_cast<std::size_t>((static_cast<double>(value) - low) / width) : 0;
    ++counts[std::min(bucket, kBuckets - 1)];
  }
  const Message numbers = Message()
                              .add(histogram::kMin, low)
                              .add(histogram::kMax, high)
                              .add(histogram::kCount, count)
                              .add(histogram::kSum, sum)
                              .add(histogram::kSumOfSquares, squares)
                              .add(histogram::kLimits, std::span<const double>(limits))
                              .add(histogram::kBucketCounts, std::span<const double>(counts));
  const Message value = Message().add(summary::kTag, tag).add(summary::kHistogram, numbers);
  return record(event_at(moment).add(event::kSummary, Message().add(summary::kValue, value)));
}

std::string tag_of(std::string_view metric) {
  for (const std::string_view rows : {"train", "valid", "test"})
    if (metric.size() > rows.size() + 1 && metric.starts_with(rows) && metric[rows.size()] == '_')
      return std::string(metric.substr(rows.size() + 1)) + "/" + std::string(rows);
  return std::string(metric);
}

}  // namespace lambdaml::tensorboard
