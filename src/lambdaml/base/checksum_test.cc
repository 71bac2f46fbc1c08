#include "lambdaml/base/checksum.h"

#include <string>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "lambdaml/base/formats/checked_json.h"
#include "lambdaml/base/json.h"

namespace lambdaml {
namespace {

TEST(Checksum, IsXxh3) {
  // By xxhash 0.8.1 itself.
  EXPECT_EQ(checksum_text(checksum(as_bytes("lambdaml"))), "6892924bbdd6107d");
  EXPECT_EQ(checksum_text(checksum({})), "2d06800538d394c2");
}

TEST(Checksum, OfPiecesIsThatOfTheWhole) {
  std::string text;
  for (int i = 0; i < 5000; ++i) text += std::to_string(i);
  for (const std::size_t piece : {1U, 7U, 64U, 1000U, 20000U}) {
    RunningChecksum sum;
    for (std::size_t at = 0; at < text.size(); at += piece)
      sum.add(as_bytes(std::string_view(text).substr(at, piece)));
    EXPECT_EQ(sum.value(), checksum(as_bytes(text))) << piece;
  }
  EXPECT_EQ(RunningChecksum().value(), checksum({}));
}

TEST(Checksum, HasOneText) {
  EXPECT_EQ(checksum_text(0xfULL), "000000000000000f");
  EXPECT_EQ(checksum_from("000000000000000f"), 0xfULL);
  EXPECT_EQ(checksum_from("fedcba9876543210"), 0xfedcba9876543210ULL);
  for (const char* text : {"", "f", "000000000000000F", "00000000000000000", "-00000000000000f",
                           "000000000000000g", "0x0000000000000f"})
    EXPECT_FALSE(checksum_from(text)) << text;
}

TEST(CheckedJson, CarriesAChecksumOfAllThatItSays) {
  const nlohmann::json object{{"name", "ä"}, {"list", {1, 2.5, -3e-300, true, nullptr}}};
  for (const int indent : {-1, 2}) {
    const std::string text = checked_json_text(object, indent);
    nlohmann::json read = parse_json(text);
    EXPECT_EQ(take_checksum(read), Checked::fits);
    EXPECT_EQ(read, object);
    EXPECT_EQ(take_checksum(read), Checked::none);
    // No bit can be another (but the e of a number, which is as good as E), and none makes it a
    // file without a checksum.
    for (std::size_t bit = 0; bit < text.size() * 8; ++bit) {
      std::string damaged = text;
      damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
      nlohmann::json other = parse_json(damaged);
      if (!other.is_object()) continue;
      if (take_checksum(other) == Checked::damaged) continue;
      EXPECT_EQ(other, object) << damaged;
    }
  }
}

}  // namespace
}  // namespace lambdaml
