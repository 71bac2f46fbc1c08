#include "lambdaml/base/formats/base64.h"

#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace lambdaml {
namespace {

Buffer bytes_of(std::size_t size) {
  Buffer bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes.data()[i] = static_cast<std::byte>(i * 37 + i / 256);
  return bytes;
}

TEST(Base64, IsThatOfRfc4648) {
  // Section 10.
  for (const auto& [bytes, text] :
       std::vector<std::pair<std::string, std::string>>{{"", ""},
                                                        {"f", "Zg=="},
                                                        {"fo", "Zm8="},
                                                        {"foo", "Zm9v"},
                                                        {"foob", "Zm9vYg=="},
                                                        {"fooba", "Zm9vYmE="},
                                                        {"foobar", "Zm9vYmFy"}}) {
    std::string out = "> ";
    append_base64(out, as_bytes(bytes));
    EXPECT_EQ(out, "> " + text);
    EXPECT_EQ(decode_base64(text)->text(), bytes);
  }
  for (const std::size_t n : {1U, 2U, 3U, 255U, 256U, 257U, 100'000U}) {
    const Buffer bytes = bytes_of(n);
    std::string text;
    append_base64(text, bytes);
    EXPECT_EQ(decode_base64(text)->text(), bytes.text()) << n;
  }
  for (const char* text : {"A", "AA", "AAA", "=", "====", "A===", "AA=A", "AB==", "AAB=", "A A=",
                           "AAAA=", "AA\n=", "AA-_", "AAAA\xff\xff\xff\xff", "=AAA", "AA==AAAA"})
    EXPECT_FALSE(decode_base64(text).has_value()) << text;
}

}  // namespace
}  // namespace lambdaml
