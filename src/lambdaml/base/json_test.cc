#include "lambdaml/base/json.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace lambdaml {
namespace {

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

}  // namespace
}  // namespace lambdaml
