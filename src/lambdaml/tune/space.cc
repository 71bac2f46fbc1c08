#include "lambdaml/tune/space.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <nlohmann/json.hpp>

#include "lambdaml/base/checksum.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/rng.h"
#include "lambdaml/base/text.h"

namespace lambdaml::tune {
namespace {

/// Options that belong to the whole search, not to a trial.
constexpr std::array kNotSearched = {"data",     "test_data",  "init",      "format",
                                     "output",   "checkpoint", "platform",  "function",
                                     "deadline", "keep",       "log_level", "stop_after",
                                     "until",    "budget",     "folds",     "fold"};

/// Flips each bit of `x` depending on a hash of the bits above it: a random permutation that keeps
/// aligned blocks of 2^k numbers together.
std::uint64_t scramble(std::uint64_t x, std::uint64_t seed) {
  std::uint64_t out = 0;
  for (int bit = 63; bit >= 0; --bit) {
    const std::uint64_t above = bit == 63 ? 0 : x >> (bit + 1);
    const std::uint64_t flip = mix({seed, static_cast<std::uint64_t>(bit), above}) & 1;
    out |= ((x >> bit ^ flip) & 1) << bit;
  }
  return out;
}

std::uint64_t reversed(std::uint64_t x) {
  std::uint64_t out = 0;
  for (int bit = 0; bit < 64; ++bit) out |= (x >> bit & 1) << (63 - bit);
  return out;
}

/// Number `i` of a spread sequence in [0, 1).
double spread(std::uint64_t seed, std::uint64_t i) {
  const std::uint64_t shuffled = scramble(i, mix({seed, 1}));
  return static_cast<double>(scramble(reversed(shuffled), mix({seed, 2})) >> 11) * 0x1.0p-53;
}

}  // namespace

std::string kind_name(Parameter::Kind kind) {
  switch (kind) {
    case Parameter::Kind::choice:
      return "choice";
    case Parameter::Kind::uniform:
      return "uniform";
    case Parameter::Kind::log_uniform:
      return "log_uniform";
    default:
      return "int";
  }
}

std::optional<std::uint64_t> Parameter::count() const {
  if (kind == Kind::choice) return choices.size();
  if (kind == Kind::integer) return static_cast<std::uint64_t>(high - low) + 1;
  return {};
}

Option::Value Parameter::at(double share) const {
  if (const auto n = count()) {
    const auto i = static_cast<std::uint64_t>(share * static_cast<double>(*n));
    return point(std::min(i, *n - 1), *n);
  }
  // Rounding must not lead outside the bounds.
  const double value = kind == Kind::log_uniform
                           ? std::exp(std::log(low) + (std::log(high) - std::log(low)) * share)
                           : low + (high - low) * share;
  return std::clamp(value, low, high);
}

Option::Value Parameter::point(std::uint64_t i, std::uint64_t n) const {
  if (kind == Kind::choice) return choices.at(i);
  if (kind == Kind::integer) return static_cast<std::int64_t>(low) + static_cast<std::int64_t>(i);
  if (n > 1 && (i == 0 || i + 1 == n)) return i == 0 ? low : high;
  return at(n > 1 ? static_cast<double>(i) / static_cast<double>(n - 1) : 0.5);
}

void check(const Parameter& parameter, const Options& declared, const std::string& where) {
  const std::string& name = parameter.name;
  Options probe = declared;
  const Option* option = declared.find(name);
  if (option == nullptr) probe.parse(name, "", where);  // throws: unknown
  if (std::find(kNotSearched.begin(), kNotSearched.end(), option->name) != kNotSearched.end())
    fail(Code::invalid_argument, "{}: {} is one for all trials; it cannot be searched", where,
         option->name);
  if (parameter.kind == Parameter::Kind::choice) {
    if (parameter.choices.empty())
      fail(Code::invalid_argument, "{}: the choice for {} is empty; give at least one value", where,
           name);
    for (const Option::Value& value : parameter.choices) {
      probe.set(name, value, where);
      if (const auto* text = std::get_if<std::string>(&value); text != nullptr && !is_utf8(*text))
        fail(Code::invalid_argument, "{}: the value '{}' of {} is not UTF-8", where,
             printable(*text), name);
    }
    return;
  }
  const std::string kind = kind_name(parameter.kind);
  const bool real = type_of(*option) == OptionType::real;
  const bool whole = type_of(*option) == OptionType::integer;
  if (!real && !whole)
    fail(Code::invalid_argument, "{}: {} is no number; give its values with choice: […]", where,
         name);
  if (whole && parameter.kind != Parameter::Kind::integer)
    fail(Code::invalid_argument, "{}: {} is a whole number; use int: [a, b] or choice: […]", where,
         name);
  if (parameter.low > parameter.high)
    fail(Code::invalid_argument, "{}: the bounds of {} are in the wrong order: {} is above {}",
         where, name, parameter.low, parameter.high);
  if (parameter.kind == Parameter::Kind::log_uniform && !(parameter.low > 0))
    fail(Code::invalid_argument,
         "{}: {} has no logarithm at {}; log_uniform needs a lower bound "
         "above 0",
         where, name, parameter.low);
  for (const double bound : {parameter.low, parameter.high}) {
    if (parameter.kind == Parameter::Kind::integer && bound != std::floor(bound))
      fail(Code::invalid_argument, "{}: {} has the bound {}; int needs whole numbers", where, name,
           bound);
    probe.set(name, Option::Value(bound), where);
  }
}

bool Space::contains(const std::string& name) const {
  return std::any_of(parameters_.begin(), parameters_.end(),
                     [&](const Parameter& parameter) { return parameter.name == name; });
}

Assignments Space::draw(std::uint64_t seed, std::uint64_t trial) const {
  Assignments out;
  for (const Parameter& parameter : parameters_) {
    out.push_back({parameter.name,
                   parameter.at(spread(mix({seed, checksum(as_bytes(parameter.name))}), trial))});
  }
  return out;
}

nlohmann::ordered_json json_of(const Option::Value& value) {
  return std::visit([](const auto& v) { return nlohmann::ordered_json(v); },
                    value_without_passwords(value));
}

}  // namespace lambdaml::tune
