#include "lambdaml/comm/message.h"

#include <cstring>
#include <limits>

#include <gmock/gmock.h>

#include "lambdaml/base/error.h"

namespace lambdaml::comm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const MessageHead kHead{.kind = MessageHead::Kind::merged,
                        .job = 0x0123456789abcdef,
                        .round = 17,
                        .worker = 3,
                        .chunk = 2,
                        .last = true};
const std::vector<double> kSentTotals = {1.5, -2.25};
const std::vector<float> kSentValues = {1, 2, 3};

std::string decoding_error_of(Bytes bytes) {
  try {
    decode(bytes, "some/key");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::data_corrupt);
    EXPECT_THAT(error.what(), HasSubstr("'some/key'"));
    return error.what();
  }
  return "";
}

TEST(Message, ComesBackAsItWas) {
  const Buffer bytes = encode(kHead, kSentTotals, kSentValues);
  EXPECT_EQ(bytes.size(), 64U + 2 * 8 + 3 * 4);
  const Message message = decode(bytes, "key");
  EXPECT_EQ(message.head, kHead);
  EXPECT_THAT(message.totals, ElementsAre(1.5, -2.25));
  EXPECT_THAT(message.values, ElementsAre(1, 2, 3));
}

TEST(Message, MayBeEmpty) {
  const Buffer bytes = encode({}, {}, {});
  EXPECT_EQ(bytes.size(), 64U);
  EXPECT_TRUE(decode(bytes, "key").values.empty());
}

TEST(Message, ABuilderGivesTheSameBytes) {
  MessageBuilder builder(kSentTotals.size(), kSentValues.size());
  std::ranges::copy(kSentTotals, builder.totals.begin());
  std::ranges::copy(kSentValues, builder.values.begin());
  EXPECT_EQ(builder.finish(kHead).text(), encode(kHead, kSentTotals, kSentValues).text());
}

TEST(Message, EveryFlippedBitIsNoticed) {
  Buffer bytes = encode(kHead, kSentTotals, kSentValues);
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    bytes.data()[bit / 8] ^= std::byte(1U << (bit % 8));
    EXPECT_NE(decoding_error_of(bytes), "") << "bit " << bit;
    bytes.data()[bit / 8] ^= std::byte(1U << (bit % 8));
  }
  EXPECT_EQ(decoding_error_of(bytes), "");
}

TEST(Message, EveryTruncationIsNoticed) {
  const Buffer bytes = encode(kHead, kSentTotals, kSentValues);
  for (std::size_t n = 0; n < bytes.size(); ++n)
    EXPECT_NE(decoding_error_of(Buffer(bytes.view().subspan(0, n))), "") << n;
  Buffer longer(bytes.size() + 4);
  std::memcpy(longer.data(), bytes.data(), bytes.size());
  EXPECT_NE(decoding_error_of(longer), "");
}

TEST(Message, CountsWhoseBytesOverflowAreRefused) {
  for (const std::uint64_t count :
       {std::numeric_limits<std::uint64_t>::max(), std::uint64_t{1} << 61, std::uint64_t{1} << 62,
        std::uint64_t{1} << 63}) {
    for (const std::size_t at : {32U, 40U}) {
      Buffer bytes = encode(kHead, {}, {});
      std::memcpy(bytes.data() + at, &count, sizeof count);
      EXPECT_THAT(decoding_error_of(bytes), HasSubstr("not as long as its head says"));
    }
  }
}

TEST(Message, SaysWhatDoesNotFit) {
  const Buffer bytes = encode(kHead, kSentTotals, kSentValues);
  const auto error = [&](MessageHead expected, std::size_t totals, std::size_t values) {
    try {
      decode(bytes, "v/17-3", expected, totals, values);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::data_corrupt);
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_EQ(error(kHead, 2, 3), "");
  MessageHead other = kHead;
  other.round = 16;
  EXPECT_EQ(error(other, 2, 3), "the message 'v/17-3' has round 17 where 16 belongs");
  other = kHead;
  other.job = 1;
  EXPECT_THAT(error(other, 2, 3), HasSubstr("job"));
  other = kHead;
  other.worker = 1;
  EXPECT_THAT(error(other, 2, 3), HasSubstr("worker 3 where 1"));
  other = kHead;
  other.chunk = 1;
  EXPECT_THAT(error(other, 2, 3), HasSubstr("chunk 2 where 1"));
  other = kHead;
  other.last = false;
  EXPECT_THAT(error(other, 2, 3), HasSubstr("last mark"));
  other = kHead;
  other.kind = MessageHead::Kind::contribution;
  EXPECT_THAT(error(other, 2, 3), HasSubstr("kind merged where contribution"));
  EXPECT_THAT(error(kHead, 1, 3), HasSubstr("number of doubles 2 where 1"));
  EXPECT_THAT(error(kHead, 2, 4), HasSubstr("number of floats 3 where 4"));
}

TEST(Message, NamesTheVersionThatItCannotRead) {
  Buffer bytes = encode(kHead, kSentTotals, kSentValues);
  bytes.data()[4] = std::byte{9};
  EXPECT_THAT(decoding_error_of(bytes), HasSubstr("has version 9"));
  bytes.data()[0] = std::byte{'X'};
  EXPECT_THAT(decoding_error_of(bytes), HasSubstr("it is no message"));
}

}  // namespace
}  // namespace lambdaml::comm
