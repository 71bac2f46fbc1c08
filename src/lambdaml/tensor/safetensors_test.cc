#include "lambdaml/tensor/safetensors.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lambdaml::tensor {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

SafetensorsFile open(std::string_view bytes) {
  return {std::make_shared<const Buffer>(as_bytes(bytes)), "x.safetensors"};
}

std::string length(std::uint64_t n) {
  std::string out;
  for (int i = 0; i < 8; ++i) out += static_cast<char>(n >> (8 * i));
  return out;
}
std::string file(std::string_view header, std::string_view data) {
  return length(header.size()) + std::string(header) + std::string(data);
}

TEST(Safetensors, WhatWasWrittenIsRead) {
  const std::vector<float> weights{1.5F, -2.0F, 3.0F, 4.0F, 5.0F, 6.0F};
  const std::vector<std::uint16_t> indices{1, 2, 65535};
  const std::vector<std::int64_t> big{-(1LL << 60)};
  const std::vector<double> none;
  SafetensorsWriter writer;
  writer.add<std::uint16_t>("indices", {3}, indices);
  writer.add<float>("weights \"ä\"", {2, 3}, weights);
  writer.add<std::int64_t>("scalar", {}, big);
  writer.add<double>("empty", {0, 7}, none);
  writer.set_metadata("model", "lr");
  writer.set_metadata("note", "a \"quoted\"\nline");
  auto bytes = std::make_shared<const Buffer>(writer.serialize());
  const SafetensorsFile read(bytes, "model");
  EXPECT_THAT(read.values<float>("weights \"ä\""), testing::ElementsAreArray(weights));
  EXPECT_THAT(read.get("weights \"ä\"").shape, ElementsAre(2, 3));
  EXPECT_THAT(read.values<std::uint16_t>("indices"), testing::ElementsAreArray(indices));
  EXPECT_THAT(read.values<std::int64_t>("scalar"), ElementsAre(-(1LL << 60)));
  EXPECT_THAT(read.get("scalar").shape, ElementsAre());
  EXPECT_TRUE(read.values<double>("empty").empty());
  EXPECT_EQ(read.metadata("model"), "lr");
  EXPECT_EQ(read.metadata("note"), "a \"quoted\"\nline");
  EXPECT_EQ(read.tensors().size(), 4U);
  EXPECT_EQ(read.find("bias"), nullptr);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(read.tensors().front().bytes.data()) % 64, 0U);
}

TEST(Safetensors, EveryDtypeKeepsItsBytesAndIsAligned) {
  const std::string raw("0123456789abcdef0123456789abcdef");
  SafetensorsWriter writer;
  for (const Dtype dtype : {Dtype::u8, Dtype::u16, Dtype::f32, Dtype::i32, Dtype::u32, Dtype::f64,
                            Dtype::i64, Dtype::u64}) {
    // An odd number of elements each: what follows would be misaligned if the order were not
    // chosen.
    const std::size_t size = size_of(dtype);
    writer.add({std::string(to_string(dtype)), dtype, {3}, as_bytes(raw).first(3 * size)});
  }
  const SafetensorsFile read(std::make_shared<const Buffer>(writer.serialize()), "all");
  ASSERT_EQ(read.tensors().size(), 8U);
  for (const Tensor& tensor : read.tensors()) {
    EXPECT_EQ(tensor.name, to_string(tensor.dtype));
    EXPECT_EQ(as_text(tensor.bytes), raw.substr(0, 3 * size_of(tensor.dtype)));
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(tensor.bytes.data()) % size_of(tensor.dtype), 0U);
  }
  EXPECT_EQ(read.values<std::uint16_t>("U16").size(), 3U);
}

TEST(Safetensors, TheBytesAreTheFormats) {
  const std::vector<std::uint8_t> values{7, 8};
  SafetensorsWriter writer;
  writer.add<std::uint8_t>("a", {2}, values);
  writer.set_metadata("k", "v");
  // 8 + 120 bytes: the data begins at 128.
  std::string header =
      R"({"__metadata__":{"k":"v"},"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})";
  header.resize(120, ' ');
  EXPECT_EQ(writer.serialize().text(), file(header, "\7\10"));
}

TEST(Safetensors, AFileByHandIsRead) {
  // Little-endian float 1.0 after two bytes, names out of order, blanks around.
  const std::string bytes = file(R"({"z" : {"dtype":"U8","shape":[2],"data_offsets":[0,2]},
               "b":{"data_offsets":[2,6],"shape":[1,1],"dtype":"F32"}}  )",
                                 std::string("\1\2\0\0\x80\x3f", 6));
  const SafetensorsFile read = open(bytes);
  EXPECT_THAT(read.values<std::uint8_t>("z"), ElementsAre(1, 2));
  EXPECT_THAT(read.get("b").shape, ElementsAre(1, 1));
  float value = 0;
  std::memcpy(&value, read.get("b").bytes.data(), 4);
  EXPECT_EQ(value, 1.0F);
  EXPECT_TRUE(read.metadata().empty());
}

TEST(Safetensors, AnEmptyFileOfTheKindIsRead) {
  EXPECT_TRUE(open(file("{}", "")).tensors().empty());
}

TEST(Safetensors, AskingForWhatIsNotThereSaysSo) {
  const SafetensorsFile read =
      open(file(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", "1234"));
  const auto message = [&](auto ask) -> std::string {
    try {
      ask();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::data_corrupt);
      return error.what();
    }
    return "nothing was thrown";
  };
  EXPECT_EQ(message([&] { read.get("w"); }),
            "reading x.safetensors as safetensors: there is no tensor 'w'");
  EXPECT_THAT(message([&] { read.metadata("k"); }), HasSubstr("metadata 'k'"));
  EXPECT_THAT(message([&] { read.values<double>("a"); }), HasSubstr("'a' is F32, not F64"));
  // The data begins at 8 + 55, so the float lies misaligned.
  EXPECT_THAT(message([&] { read.values<float>("a"); }), HasSubstr("multiple of 4 bytes"));
}

TEST(Safetensors, TheWriterRefusesWhatItsCallerGotWrong) {
  const std::vector<float> values(4);
  SafetensorsWriter writer;
  writer.add<float>("a", {4}, values);
  EXPECT_THROW(writer.add<float>("a", {4}, values), Error);
  EXPECT_THROW(writer.add<float>("b", {5}, values), Error);
  EXPECT_THROW(writer.add<float>("__metadata__", {4}, values), Error);
  writer.set_metadata("bad", "\xff");
  EXPECT_THROW(writer.serialize(), Error);
}

struct Corrupt {
  const char* title;
  std::string bytes;
  std::string error;
};

TEST(Safetensors, CorruptFilesAreRefused) {
  const std::string good = R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
  const auto tensor = [](const std::string& fields) { return "{\"a\":{" + fields + "}}"; };
  const std::vector<Corrupt> cases{
      {"empty", "", "0 bytes are too few"},
      {"short", "1234567", "7 bytes are too few"},
      {"header beyond the end", length(100) + "{}", "promise a header of 100 bytes, 2 follow"},
      {"huge header", length(~0ULL) + "{}", "promise a header of 18446744073709551615 bytes"},
      {"another kind", "not a safetensors file", "of another kind"},
      {"empty header", file("", ""), "does not begin with '{'"},
      {"leading blank", file(" {}", ""), "does not begin with '{'"},
      {"list", file("[]", ""), "does not begin with '{'"},
      {"no JSON", file("{x", ""), "the header is no JSON"},
      {"cut JSON", file(good.substr(0, 20), ""), "the header is no JSON"},
      {"after JSON", file("{}x", ""), "the header is no JSON"},
      {"no UTF-8", file("{\"\xff\":1}", ""), "the header is no JSON"},
      {"twice", file("{\"a\":{},\"a\":{}}", ""), "the name 'a' occurs twice"},
      {"field twice", file(tensor(R"("dtype":"F32","dtype":"F64")"), ""), "'dtype' occurs twice"},
      {"metadata twice", file(R"({"__metadata__":{"k":"1","k":"2"}})", ""), "'k' occurs twice"},
      {"metadata number", file(R"({"__metadata__":{"k":1}})", ""), "metadata 'k' is no string"},
      {"metadata text", file(R"({"__metadata__":"k"})", ""), "the metadata are no map"},
      {"metadata map", file(R"({"__metadata__":{"k":{}}})", ""), "nests deeper"},
      {"deep list", file(R"({"a":{"shape":[[1]]}})", ""), "a list where none belongs"},
      {"top list", file(R"({"a":[1]})", ""), "a list where none belongs"},
      {"no entry", file(R"({"a":1})", ""), "tensor 'a' has no entry"},
      {"no dtype", file("{\"a\":{}}", ""), "tensor 'a' has no dtype"},
      {"dtype number", file(tensor(R"("dtype":3)"), ""), "tensor 'a' has no dtype"},
      {"dtype of others",
       file(tensor(R"("dtype":"F8_E4M3","shape":[2],"data_offsets":[0,2])"), "12"),
       "has the dtype 'F8_E4M3'; this program reads F16"},
      {"no shape", file(tensor(R"("dtype":"F32","data_offsets":[0,4])"), "1234"),
       "has no list 'shape'"},
      {"negative", file(tensor(R"("dtype":"F32","shape":[-1],"data_offsets":[0,4])"), "1234"),
       "has -1 in 'shape'"},
      {"fraction", file(tensor(R"("dtype":"F32","shape":[1.0],"data_offsets":[0,4])"), "1234"),
       "has 1.0 in 'shape'"},
      {"beyond 64 bits",
       file(tensor(R"("dtype":"F32","shape":[18446744073709551616],"data_offsets":[0,4])"), "1234"),
       "in 'shape'"},
      {"overflow",
       file(tensor(R"("dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0])"), ""),
       "tensor 'a' of F32 [4294967296,4294967296] has 0 bytes"},
      {"overflow to the right size",
       file(tensor(R"("dtype":"F32","shape":[4611686018427387905],"data_offsets":[0,4])"), "1234"),
       "tensor 'a' of F32 [4611686018427387905] has 4 bytes"},
      {"too many dimensions",
       file(tensor("\"shape\":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]"),
            ""),
       "more than 32 numbers"},
      {"no offsets", file(tensor(R"("dtype":"F32","shape":[1])"), "1234"),
       "has no list 'data_offsets'"},
      {"one offset", file(tensor(R"("dtype":"F32","shape":[1],"data_offsets":[4])"), "1234"),
       "does not lie within the 4 bytes"},
      {"backwards", file(tensor(R"("dtype":"F32","shape":[1],"data_offsets":[4,0])"), "1234"),
       "does not lie within"},
      {"beyond the data", file(good, "123"), "does not lie within the 3 bytes of data"},
      {"wrong size", file(tensor(R"("dtype":"F32","shape":[2],"data_offsets":[0,4])"), "1234"),
       "tensor 'a' of F32 [2] has 4 bytes"},
      {"more fields",
       file(tensor(R"("dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1)"), "1234"),
       "more than dtype, shape and data_offsets"},
      {"trailing bytes", file(good, "12345"), "end at byte 4 of 5"},
      {"data without tensors", file("{}", "1"), "end at byte 0 of 1"},
      {"gap",
       file(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},
                "b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}})",
            "123"),
       "'b' begins at byte 2 of the data, the one before ends at 1"},
      {"overlap",
       file(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},
                "b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})",
            "123"),
       "'b' begins at byte 1 of the data, the one before ends at 2"},
      {"escape in a name", file("{\"a\\u001b[31m\":1}", ""), "tensor 'a"},
  };
  for (const Corrupt& c : cases) {
    SCOPED_TRACE(c.title);
    try {
      open(c.bytes);
      ADD_FAILURE() << "was taken";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::data_corrupt);
      EXPECT_THAT(error.what(), HasSubstr(c.error));
      EXPECT_THAT(error.what(), testing::StartsWith("reading x.safetensors as safetensors: "));
      EXPECT_THAT(error.what(), testing::Not(testing::AnyOf(HasSubstr("\n"), HasSubstr("\x1b"))));
    }
  }
}

TEST(Safetensors, EveryPrefixOfAFileIsRefused) {
  const std::vector<float> values{1, 2, 3};
  SafetensorsWriter writer;
  writer.add<float>("a", {3}, values);
  const Buffer whole = writer.serialize();
  for (std::size_t n = 0; n < whole.size(); ++n)
    EXPECT_THROW(open(whole.text().substr(0, n)), Error) << n << " bytes";
  EXPECT_NO_THROW(open(whole.text()));
}

}  // namespace
}  // namespace lambdaml::tensor
