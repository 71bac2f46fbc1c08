#include "lambdaml/base/formats/yaml.h"

#include <gmock/gmock.h>
#include <yaml-cpp/yaml.h>

#include "lambdaml/base/error.h"

namespace lambdaml {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

std::string repeated(std::size_t n, std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < n; ++i) out += text;
  return out;
}

/// Why the text is refused.
std::string refused(const std::string& text) {
  try {
    load_yaml(text, "FILE");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::invalid_argument);
    EXPECT_THAT(error.what(), StartsWith("FILE:"));
    return error.what();
  }
  return "";
}

TEST(Yaml, IsReadAsItStands) {
  EXPECT_EQ(load_yaml("a: {b: [1, 2]}", "FILE")["a"]["b"][1].as<int>(), 2);
  EXPECT_TRUE(load_yaml("", "FILE").IsNull());
  EXPECT_EQ(load_yaml("a: &x [1, 2]\nb: *x\n", "FILE")["b"][1].as<int>(), 2);
}

TEST(Yaml, MustBeOneDocument) {
  EXPECT_THAT(refused("a: 1\n---\nb: 2\n"), HasSubstr("FILE:2: it must be one YAML document"));
  EXPECT_THAT(refused(","), HasSubstr("FILE:1"));
  EXPECT_THAT(refused("a: [unclosed"), HasSubstr("FILE:1"));
}

TEST(Yaml, DepthIsBounded) {
  const std::string deepest = repeated(64, "[") + repeated(64, "]");
  EXPECT_EQ(refused(deepest), "");
  EXPECT_THAT(refused("[" + deepest + "]"), HasSubstr("nests deeper than 64 levels"));
  for (const char* level : {"[", "{", "{a: ", "- ", "? ", "[?", "a: [", "[{"})
    for (const std::size_t levels : {300, 100'000}) {
      EXPECT_NE(refused(repeated(levels, level)), "") << level;
      EXPECT_NE(refused(repeated(levels, level) + "1"), "") << level;
    }
}

TEST(Yaml, AliasesCountAsWhatTheyStandFor) {
  std::string laughs = "a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha]\n";
  for (int i = 1; i < 9; ++i)
    laughs += fmt::format("a{0}: &a{0} [{1}*a{2}]\n", i, repeated(8, fmt::format("*a{}, ", i - 1)),
                          i - 1);
  EXPECT_THAT(refused(laughs), HasSubstr("FILE:6: here it exceeds 100000 values"));
  EXPECT_THAT(refused("a: &x [1, *x]"), HasSubstr("an alias stands within what it names"));
}

TEST(Yaml, SizeIsBounded) {
  EXPECT_THAT(refused("a: " + std::string(1 << 20, 'x')), HasSubstr("is the most"));
  EXPECT_THAT(refused("[" + repeated(100'000, "1,") + "]"), HasSubstr("exceeds 100000 values"));
}

}  // namespace
}  // namespace lambdaml
