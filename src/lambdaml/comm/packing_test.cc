#include "lambdaml/comm/packing.h"

#include <cmath>
#include <limits>

#include <gmock/gmock.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/rng.h"
#include "lambdaml/comm/message.h"

namespace lambdaml::comm {
namespace {

using ::testing::ElementsAre;

std::vector<float> values_of_all_sizes(std::size_t n) {
  Rng rng(n);
  std::vector<float> values(n);
  for (float& v : values) v = static_cast<float>(rng.normal() * std::exp(20 * rng.normal()));
  return values;
}

std::vector<float> through(Form form, std::span<const float> values, std::size_t begin) {
  Buffer bytes(packed_bytes(form, values, begin));
  pack(form, values, begin, bytes.data());
  std::vector<float> out(values.size(), 7.0F);
  EXPECT_TRUE(unpack(form, bytes.view(), out));
  return out;
}

TEST(Packing, WhatWasRoundedIsPackedWithoutLossAlsoInPieces) {
  for (const std::size_t n : {0U, 1U, 255U, 256U, 257U, 1000U, 5003U})
    for (const Form form : {Form::f32, Form::bf16, Form::int8, Form::sparse}) {
      std::vector<float> values = values_of_all_sizes(n);
      round_to(form, values, 0);
      EXPECT_EQ(through(form, values, 0), values);
      for (const std::size_t cut : {n / 3, n / 2}) {
        const auto first = std::span<const float>(values).first(cut);
        const auto second = std::span<const float>(values).subspan(cut);
        EXPECT_EQ(through(form, first, 0), std::vector(first.begin(), first.end()));
        EXPECT_EQ(through(form, second, cut), std::vector(second.begin(), second.end()));
      }
    }
}

TEST(Packing, RoundingErrorsAreWithinTheForm) {
  const std::vector<float> exact = values_of_all_sizes(4096);
  std::vector<float> half = exact;
  round_to(Form::bf16, half, 0);
  for (std::size_t i = 0; i < exact.size(); ++i)
    EXPECT_LE(std::abs(half[i] - exact[i]), std::abs(exact[i]) / 256);
  std::vector<float> bytes = exact;
  round_to(Form::int8, bytes, 0);
  for (std::size_t block = 0; block < exact.size(); block += 256) {
    float most = 0;
    for (std::size_t i = block; i < block + 256; ++i) most = std::max(most, std::abs(exact[i]));
    // Half a unit; a unit is below most / 63.5.
    for (std::size_t i = block; i < block + 256; ++i)
      EXPECT_LE(std::abs(bytes[i] - exact[i]), most / 127);
  }
}

TEST(Packing, TheLargestAreKeptAndOfEqualsTheFirst) {
  std::vector<float> values = {1, -3, 2, 3, -2, 0.5F, 2};
  keep_largest(values, 4);
  EXPECT_THAT(values, ElementsAre(0, -3, 2, 3, -2, 0, 0));
  std::vector<float> many = values_of_all_sizes(10'000);
  std::vector<float> sizes;
  for (const float v : many) sizes.push_back(std::abs(v));
  std::sort(sizes.rbegin(), sizes.rend());
  keep_largest(many, 100);
  std::size_t kept = 0;
  for (const float v : many) {
    if (v == 0) continue;
    ++kept;
    EXPECT_GE(std::abs(v), sizes[99]);
  }
  EXPECT_EQ(kept, 100);
}

TEST(Packing, EdgesOfTheNumbers) {
  std::vector<float> values = {std::numeric_limits<float>::max(), -1e-45F, 0, 1e-38F};
  std::vector<float> half = values;
  round_to(Form::bf16, half, 0);
  EXPECT_TRUE(all_finite(half));
  round_to(Form::int8, values, 0);
  EXPECT_TRUE(all_finite(values));
  EXPECT_EQ(through(Form::int8, values, 0), values);
  EXPECT_FALSE(all_finite(std::vector<float>{1, std::nanf(""), 2}));
  EXPECT_FALSE(all_finite(std::vector<float>{-INFINITY}));
}

TEST(Packing, BytesOfAnotherLengthOrOrderAreRefused) {
  std::vector<float> out(3);
  for (const Form form : {Form::f32, Form::bf16, Form::int8, Form::sparse})
    EXPECT_FALSE(unpack(form, Buffer(7).view(), out));
  const std::vector<float> values = {0, 5, 6, 0};
  Buffer bytes(packed_bytes(Form::sparse, values, 0));
  pack(Form::sparse, values, 0, bytes.data());
  EXPECT_FALSE(unpack(Form::sparse, bytes.view(), std::span(out).first(2)));  // index 2 of 2
  bytes.data()[8] = std::byte{1};  // the second index as large as the first
  EXPECT_FALSE(unpack(Form::sparse, bytes.view(), out));
}

TEST(Packing, PackedMessagesAreCheckedLikeOthers) {
  const std::vector<double> totals = {1, 2};
  std::vector<float> values = values_of_all_sizes(1000);
  for (const Form form : {Form::bf16, Form::int8}) {
    round_to(form, values, 0);
    const MessageHead head{.kind = MessageHead::Kind::contribution, .job = 3, .round = 4};
    const Buffer bytes = encode(head, totals, values, {form, 0});
    EXPECT_LT(bytes.size(), 64 + 16 + values.size() * 2 + 1);
    const Message message = decode(bytes, "key", head, 2, values.size());
    EXPECT_EQ(std::vector(message.values.begin(), message.values.end()), values);
    EXPECT_THAT(message.totals, ElementsAre(1, 2));
    EXPECT_THROW(decode(bytes, "key", head, 2, values.size() + 1), Error);
    EXPECT_THROW(decode(bytes.view().first(bytes.size() - 1), "key"), Error);
  }
}

}  // namespace
}  // namespace lambdaml::comm
