#include "lambdaml/optim/square_sum.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace lambdaml::optim {
namespace {

constexpr std::size_t kExponents = 256;
/// Sums of one exponent that are added to in turn, so that no addition waits for the one before.
constexpr std::size_t kBanks = 4;
/// A square of a 24-bit mantissa has 48 bits, so 2^16 of them fit a sum.
constexpr std::size_t kBlock = kBanks << 16U;
/// The smallest float is 2^-149, its square the unit of the sum.
constexpr int kUnit = -298;
constexpr std::size_t kLimbBits = 32;
constexpr std::uint64_t kLimbMask = 0xffffffff;

}  // namespace

void SquareSum::add(std::span<const float> values) {
  while (!values.empty()) {
    const std::size_t n = std::min(values.size(), kBlock);
    add_block(values.first(n));
    values = values.subspan(n);
  }
}

void SquareSum::add_block(std::span<const float> values) {
  std::array<std::array<std::uint64_t, kExponents>, kBanks> sums{};
  std::array<std::uint64_t, kExponents> infinite{};
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto bits = std::bit_cast<std::uint32_t>(values[i]);
    const std::uint32_t exponent = bits >> 23U & 0xffU;
    const std::uint64_t mantissa = (bits & 0x7fffffU) | (exponent != 0 ? 0x800000U : 0U);
    sums[i % kBanks][exponent] += mantissa * mantissa;
    infinite[exponent] += exponent == kExponents - 1 ? 1 : 0;
  }
  not_finite_ += infinite[kExponents - 1];
  // A float of exponent e ≥ 1 is its mantissa times 2^(e − 150); those of 0 are as if e were 1.
  for (std::size_t e = 0; e + 1 < kExponents; ++e)
    for (const auto& bank : sums)
      if (bank[e] != 0) add_shifted(bank[e], 2 * (std::max<std::size_t>(e, 1) - 1));
  for (std::size_t i = 0; i + 1 < kLimbs; ++i) {
    limbs_[i + 1] += limbs_[i] >> kLimbBits;
    limbs_[i] &= kLimbMask;
  }
}

void SquareSum::add_shifted(std::uint64_t value, std::size_t bits) {
  const std::size_t limb = bits / kLimbBits;
  const std::size_t shift = bits % kLimbBits;
  const std::uint64_t low = (value & kLimbMask) << shift;
  const std::uint64_t high = (value >> kLimbBits) << shift;
  limbs_[limb] += low & kLimbMask;
  limbs_[limb + 1] += (low >> kLimbBits) + (high & kLimbMask);
  limbs_[limb + 2] += high >> kLimbBits;
}

std::array<double, SquareSum::kNumbers> SquareSum::numbers() const {
  std::array<double, kNumbers> out{};
  for (std::size_t i = 0; i < kLimbs; ++i) out[i] = static_cast<double>(limbs_[i]);
  out[kLimbs] = static_cast<double>(not_finite_);
  return out;
}

double SquareSum::value(std::span<const double> numbers) {
  if (numbers[kLimbs] > 0) return std::numeric_limits<double>::infinity();
  std::array<std::uint64_t, kLimbs> limbs{};
  std::uint64_t carry = 0;
  for (std::size_t i = 0; i < kLimbs; ++i) {
    const std::uint64_t sum = static_cast<std::uint64_t>(numbers[i]) + carry;
    limbs[i] = i + 1 < kLimbs ? sum & kLimbMask : sum;
    carry = sum >> kLimbBits;
  }
  // From the most significant limb, of which the first three decide.
  double value = 0;
  for (std::size_t i = kLimbs; i-- > 0;)
    value += std::ldexp(static_cast<double>(limbs[i]), kUnit + static_cast<int>(i * kLimbBits));
  return value;
}

}  // namespace lambdaml::optim
