#include "lambdaml/base/json.h"

#include <string>
#include <string_view>
#include <tuple>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace lambdaml {
namespace {

TEST(Json, CountsAreWholeNumbersNotBelow0OfEitherKind) {
  const nlohmann::json object{{"signed", std::int64_t{2}},
                              {"unsigned", std::uint64_t{3}},
                              {"negative", -1},
                              {"real", 1.5},
                              {"text", "4"}};
  EXPECT_EQ(count_at(object, "signed"), 2U);
  EXPECT_EQ(count_at(object, "unsigned"), 3U);
  for (const char* name : {"negative", "real", "text", "absent"})
    EXPECT_EQ(count_at(object, name, 7), 7U) << name;
}

TEST(Json, IsReadAsItStands) {
  EXPECT_EQ(parse_json(R"({"a": {"b": 1}, "b": [{"b": 2}, {"b": 3}]})")["b"][1]["b"], 3);
  EXPECT_EQ(json_text(parse_ordered_json(R"({"z": 1, "a": 2})")), R"({"z":1,"a":2})");
  for (const char* text : {"", "{", "{\"a\"}", "[1,]", "1 2", "{\"a\": 1}}", "nan"})
    EXPECT_TRUE(parse_json(text).is_discarded()) << text;
}

TEST(Json, ANameTwiceInOneObjectIsRefused) {
  for (const char* text : {R"({"a": 1, "a": 1})", R"([{"b": {"a": 1, "c": 2, "a": 3}}])",
                           R"({"a": 1, "\u0061": 2})"}) {
    EXPECT_TRUE(parse_json(text).is_discarded()) << text;
    EXPECT_TRUE(parse_ordered_json(text).is_discarded()) << text;
  }
}

std::string nested(std::size_t levels, const char* open, const char* inside, const char* close) {
  std::string text;
  for (std::size_t i = 0; i < levels; ++i) text += open;
  text += inside;
  for (std::size_t i = 0; i < levels; ++i) text += close;
  return text;
}

TEST(Json, DepthIsBounded) {
  for (const auto& [open, inside, close] :
       {std::tuple("[", "1", "]"), std::tuple(R"({"a":)", "1", "}"),
        std::tuple(R"([{"a":)", "[]", "}]")}) {
    const std::size_t levels_each = std::string_view(open).starts_with("[{") ? 2 : 1;
    const std::size_t most = (kMostJsonDepth - (inside[0] == '[' ? 1 : 0)) / levels_each;
    EXPECT_EQ(json_text(parse_json(nested(most, open, inside, close))),
              nested(most, open, inside, close));
    EXPECT_TRUE(parse_json(nested(most + 1, open, inside, close)).is_discarded()) << open;
    EXPECT_TRUE(parse_ordered_json(nested(most + 1, open, inside, close)).is_discarded()) << open;
    // Whole, cut, and with what comes after: none of them may take the stack.
    for (const std::size_t levels : {142'000, 1'000'000}) {
      EXPECT_TRUE(parse_json(nested(levels, open, inside, close)).is_discarded()) << open;
      EXPECT_TRUE(parse_json(nested(levels, open, "", "")).is_discarded()) << open;
    }
  }
}

TEST(Json, TheNumberOfValuesIsBounded) {
  std::string text = "[0";
  for (std::size_t i = 2; i < kMostJsonValues; ++i) text += ",0";
  EXPECT_EQ(parse_json(text + "]").size(), kMostJsonValues - 1);
  EXPECT_TRUE(parse_json(text + ",0]").is_discarded());
}

TEST(Json, TheNumberOfOrderedMembersIsBounded) {
  std::string text = R"({"0":0)";
  for (int i = 1; i < 10'000; ++i) text += fmt::format(R"(,"{}":0)", i);
  EXPECT_EQ(parse_ordered_json(text + "}").size(), 10'000U);
  EXPECT_TRUE(parse_ordered_json(text + R"(,"more":0})").is_discarded());
  EXPECT_EQ(parse_json(text + R"(,"more":0})").size(), 10'001U);
}

TEST(Json, WholeNumbersAreWithinTheirType) {
  EXPECT_EQ(whole_number(parse_json("18446744073709551615")), UINT64_MAX);
  EXPECT_EQ(whole_number<std::int64_t>(parse_json("-9223372036854775808")), INT64_MIN);
  EXPECT_EQ(whole_number(nlohmann::json(7)), 7U);
  for (const char* text :
       {"1.0", "1e3", "6e105", "-1", "18446744073709551616", "\"1\"", "null", "[]"})
    EXPECT_THROW(whole_number(parse_json(text)), nlohmann::json::type_error) << text;
  for (const char* text : {"9223372036854775808", "-9223372036854775809", "0.5"})
    EXPECT_THROW(whole_number<std::int64_t>(parse_json(text)), nlohmann::json::type_error) << text;
}

}  // namespace
}  // namespace lambdaml
