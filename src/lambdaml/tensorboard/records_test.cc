#include "lambdaml/tensorboard/records.h"

#include <cmath>
#include <cstring>

#include <gtest/gtest.h>

namespace lambdaml::tensorboard {
namespace {

/// What RFC 3720, B.4 says of CRC32C, masked as TFRecord does.
TEST(TensorBoardRecords, HaveTheChecksumsOfTheRfc) {
  const auto masked = [](std::uint32_t crc) { return ((crc >> 15) | (crc << 17)) + 0xA282EAD8U; };
  EXPECT_EQ(masked_crc(std::string(32, '\0')), masked(0x8A9136AA));
  EXPECT_EQ(masked_crc(std::string(32, '\xff')), masked(0x62A8AB43));
  EXPECT_EQ(masked_crc("123456789"), masked(0xE3069283));
}

/// By hand from the encoding's documentation: 1: double 2.0, 2: varint 3, 3: text.
TEST(TensorBoardRecords, AreFramedMessages) {
  const std::string record = version_record({2.0, 3});
  const std::string data =
      std::string("\x09\0\0\0\0\0\0\0\x40\x10\x03\x1a\x0d", 13) + "brain.Event:2";
  std::uint64_t length = 0;
  std::memcpy(&length, record.data(), sizeof(length));
  EXPECT_EQ(length, data.size());
  EXPECT_EQ(record.substr(12, data.size()), data);
  EXPECT_EQ(record.size(), 8 + 4 + data.size() + 4);
}

TEST(TensorBoardRecords, OfNoFiniteValueAreEmpty) {
  EXPECT_TRUE(histogram_record({}, "w", {}).empty());
  const float none[] = {NAN, INFINITY};
  EXPECT_TRUE(histogram_record({}, "w", none).empty());
  const float same[] = {1, 1, NAN};
  EXPECT_FALSE(histogram_record({}, "w", same).empty());
}

TEST(TensorBoardRecords, GroupMetricsByWhatTheyMeasure) {
  EXPECT_EQ(tag_of("valid_loss"), "loss/valid");
  EXPECT_EQ(tag_of("train_accuracy"), "accuracy/train");
  EXPECT_EQ(tag_of("inertia"), "inertia");
  EXPECT_EQ(tag_of("test_"), "test_");
}

}  // namespace
}  // namespace lambdaml::tensorboard
