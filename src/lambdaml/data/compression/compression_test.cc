#include "lambdaml/data/compression/compression.h"

#include <functional>
#include <string>

#include <bzlib.h>
#include <gtest/gtest.h>
#include <lzma.h>
#include <zstd.h>

#include "lambdaml/base/rng.h"
#include "lambdaml/data/testing/test_util.h"

/// The same for every format of compressed files, against the library that writes it.
namespace lambdaml::data {
namespace {

using test::error_of;
using test::gzipped;
using test::shared;

std::string bzip2(std::string_view text) {
  std::string out(text.size() + text.size() / 100 + 700, '\0');
  auto size = static_cast<unsigned>(out.size());
  EXPECT_EQ(BZ2_bzBuffToBuffCompress(out.data(), &size, const_cast<char*>(text.data()),
                                     static_cast<unsigned>(text.size()), 1, 0, 0),
            BZ_OK);
  out.resize(size);
  return out;
}

std::string xz(std::string_view text) {
  std::string out(lzma_stream_buffer_bound(text.size()), '\0');
  std::size_t size = 0;
  EXPECT_EQ(lzma_easy_buffer_encode(1, LZMA_CHECK_CRC64, nullptr,
                                    reinterpret_cast<const std::uint8_t*>(text.data()), text.size(),
                                    reinterpret_cast<std::uint8_t*>(out.data()), &size, out.size()),
            LZMA_OK);
  out.resize(size);
  return out;
}

std::string zstd(std::string_view text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  ZSTD_CCtx* const context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
  const std::size_t size =
      ZSTD_compress2(context, out.data(), out.size(), text.data(), text.size());
  EXPECT_EQ(ZSTD_isError(size), 0U);
  ZSTD_freeCCtx(context);
  out.resize(size);
  return out;
}

struct Format {
  std::string name;
  std::function<std::string(std::string_view)> compress;
  std::size_t recognized_by;  ///< bytes that tell the format
};

std::string unzipped(std::string_view bytes) {
  return std::string(decompress(shared(bytes), "FILE")->text());
}

std::string long_text() {
  std::string text;
  for (int i = 0; i < 50000; ++i) text += std::to_string(i * 7919) + "\n";
  return text;
}

class Decompress : public testing::TestWithParam<Format> {
 protected:
  std::string compressed(std::string_view text) const { return GetParam().compress(text); }
};

INSTANTIATE_TEST_SUITE_P(, Decompress,
                         testing::Values(Format{"gzip", gzipped, 2}, Format{"bzip2", bzip2, 10},
                                         Format{"xz", xz, 6}, Format{"zstd", zstd, 4}),
                         [](const auto& info) { return info.param.name; });

TEST(Decompression, OtherBytesPassAsTheyAre) {
  for (const std::string_view text : {"", "\x1f", "1 1:1\n", "BZh", "BZh1,2\n",
                                      "\xfd"
                                      "7z"}) {
    const auto bytes = shared(text);
    EXPECT_EQ(decompress(bytes, "FILE"), bytes);
  }
}

TEST(Decompression, NamesWithoutTheirEnding) {
  for (const char* name : {"a.csv", "a.csv.gz", "a.csv.bz2", "a.csv.xz", "a.csv.zst"})
    EXPECT_EQ(without_ending(name), "a.csv");
}

TEST_P(Decompress, OneMemberAndMany) {
  const std::string text = long_text();
  EXPECT_EQ(unzipped(compressed(text)), text);
  EXPECT_EQ(unzipped(compressed("")), "");
  EXPECT_EQ(unzipped(compressed("a\n") + compressed("") + compressed(text) + compressed("b\n")),
            "a\n" + text + "b\n");
  EXPECT_EQ(unzipped(compressed("a\n") + std::string(512, '\0')), "a\n");
}

TEST_P(Decompress, EveryTruncationIsSeen) {
  const std::string whole = compressed("1 1:1 2:2\n0 1:3\n");
  for (std::size_t size = GetParam().recognized_by; size < whole.size(); ++size)
    EXPECT_EQ(error_of([&] { unzipped(whole.substr(0, size)); }),
              "data_corrupt: unzipping FILE: the file ends early; fetch it again")
        << size;
  const std::string large = compressed(long_text());
  EXPECT_EQ(error_of([&] { unzipped(large.substr(0, large.size() / 2)); }),
            "data_corrupt: unzipping FILE: the file ends early; fetch it again");
}

TEST_P(Decompress, NoFlippedBitGivesOtherContent) {
  const std::string text = "1 1:1 2:2\n0 1:3\n";
  const std::string whole = compressed(text);
  int seen = 0;
  for (std::size_t at = GetParam().recognized_by; at < whole.size(); ++at)
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = whole;
      damaged[at] = static_cast<char>(damaged[at] ^ (1 << bit));
      try {
        // A time stamp or padding may be anything.
        EXPECT_EQ(unzipped(damaged), text) << at << ", bit " << bit;
      } catch (const Error& error) {
        EXPECT_TRUE(error.code() == Code::data_corrupt || error.code() == Code::resource_exhausted);
        ++seen;
      }
    }
  EXPECT_GT(seen, static_cast<int>(whole.size()) * 4);
}

TEST_P(Decompress, JunkBehindIsSeen) {
  const std::string member = compressed("1 1:1\n");
  EXPECT_EQ(error_of([&] { unzipped(member + "junk"); }),
            fmt::format("data_corrupt: unzipping FILE: bytes that are no {} follow at byte {}",
                        GetParam().name, member.size()));
}

TEST_P(Decompress, ABombStopsAtTheLimit) {
  const std::string bomb = compressed(std::string(10'000'000, '1'));
  EXPECT_LT(bomb.size(), 20000U);
  EXPECT_EQ(decompress(shared(bomb), "FILE", 10'000'000)->size(), 10'000'000U);
  EXPECT_EQ(error_of([&] { decompress(shared(bomb), "FILE", 9'999'999); }),
            "resource_exhausted: unzipping FILE: the content is larger than the limit of 10.0 MB; "
            "unzip it by hand");
  EXPECT_EQ(error_of([&] { decompress(shared(bomb), "FILE", 1000); }),
            "resource_exhausted: unzipping FILE: the content is larger than the limit of 1.0 kB; "
            "unzip it by hand");
}

TEST_P(Decompress, FuzzedBytesAreHarmless) {
  Rng rng(3);
  const std::string whole = compressed(long_text().substr(0, 3000));
  for (int i = 0; i < 300; ++i) {
    std::string damaged = whole.substr(0, 1 + rng.below(whole.size()));
    for (int n = 0; n < 3; ++n)
      damaged[rng.below(damaged.size())] = static_cast<char>(rng.below(256));
    try {
      decompress(shared(damaged), "FILE", 1 << 20);
    } catch (const Error& error) {
      EXPECT_TRUE(error.code() == Code::data_corrupt || error.code() == Code::resource_exhausted);
    }
  }
}

}  // namespace
}  // namespace lambdaml::data
