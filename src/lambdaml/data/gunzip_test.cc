#include <string>

#include <gtest/gtest.h>
#include <zlib.h>

#include "lambdaml/data/source.h"
#include "lambdaml/data/testing/test_util.h"

namespace lambdaml::data {
namespace {

using test::error_of;
using test::shared;

std::string gzip(std::string_view text) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(deflateBound(&stream, text.size()) + 32, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string unzipped(std::string_view bytes) {
  return std::string(gunzip(shared(bytes), "FILE")->text());
}

std::string long_text() {
  std::string text;
  for (int i = 0; i < 50000; ++i) text += std::to_string(i * 7919) + "\n";
  return text;
}

TEST(Gunzip, OtherBytesPassAsTheyAre) {
  for (const std::string_view text : {"", "\x1f", "1 1:1\n"}) {
    const auto bytes = shared(text);
    EXPECT_EQ(gunzip(bytes, "FILE"), bytes);
  }
}

TEST(Gunzip, OneMemberAndMany) {
  const std::string text = long_text();
  EXPECT_EQ(unzipped(gzip(text)), text);
  EXPECT_EQ(unzipped(gzip("")), "");
  EXPECT_EQ(unzipped(gzip("a\n") + gzip("") + gzip(text) + gzip("b\n")), "a\n" + text + "b\n");
  EXPECT_EQ(unzipped(gzip("a\n") + std::string(512, '\0')), "a\n");
}

TEST(Gunzip, EveryTruncationIsSeen) {
  const std::string whole = gzip("1 1:1 2:2\n0 1:3\n");
  for (std::size_t size = 2; size < whole.size(); ++size)
    EXPECT_EQ(error_of([&] { unzipped(whole.substr(0, size)); }),
              "data_corrupt: unzipping FILE: the file ends early; fetch it again")
        << size;
  const std::string large = gzip(long_text());
  EXPECT_EQ(error_of([&] { unzipped(large.substr(0, large.size() / 2)); }),
            "data_corrupt: unzipping FILE: the file ends early; fetch it again");
}

TEST(Gunzip, EveryFlippedBitOfContentAndChecksumIsSeen) {
  const std::string whole = gzip("1 1:1 2:2\n0 1:3\n");
  constexpr std::size_t kHeader = 10;  // its time stamp and system may be anything
  for (std::size_t at = kHeader; at < whole.size(); ++at)
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = whole;
      damaged[at] = static_cast<char>(damaged[at] ^ (1 << bit));
      EXPECT_THROW(unzipped(damaged), Error) << at << ", bit " << bit;
    }
}

TEST(Gunzip, JunkBehindIsSeen) {
  const std::string member = gzip("1 1:1\n");
  EXPECT_EQ(error_of([&] { unzipped(member + "junk"); }),
            fmt::format("data_corrupt: unzipping FILE: bytes that are no gzip follow at byte {}",
                        member.size()));
}

TEST(Gunzip, ABombStopsAtTheLimit) {
  const std::string bomb = gzip(std::string(10'000'000, '1'));
  EXPECT_LT(bomb.size(), 20000U);
  EXPECT_EQ(gunzip(shared(bomb), "FILE", 10'000'000)->size(), 10'000'000U);
  EXPECT_EQ(error_of([&] { gunzip(shared(bomb), "FILE", 9'999'999); }),
            "resource_exhausted: unzipping FILE: the content is larger than the limit of 10.0 MB; "
            "unzip it by hand");
  EXPECT_EQ(error_of([&] { gunzip(shared(bomb), "FILE", 1000); }),
            "resource_exhausted: unzipping FILE: the content is larger than the limit of 1.0 kB; "
            "unzip it by hand");
}

}  // namespace
}  // namespace lambdaml::data
