#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "lambdaml/base/options.h"

/// The values that a search chooses from.
namespace lambdaml::tune {

/// One option of a job and its possible values.
struct Parameter {
  enum class Kind { choice, uniform, log_uniform, integer };
  std::string name;  ///< of the option
  Kind kind = Kind::choice;
  std::vector<Option::Value> choices = {};
  double low = 0, high = 0;  ///< both may be drawn; of a choice: unused

  /// The value at `share` of the way from the first to the last, 0 ≤ share < 1; equal intervals of
  /// `share` are equally likely.
  Option::Value at(double share) const;
  /// The number of values; nullopt for real numbers.
  std::optional<std::uint64_t> count() const;
  /// Value i of n evenly spaced values from low to high, both included (log_uniform: evenly spaced
  /// in the logarithm). i < n; n is count() if that is known.
  Option::Value point(std::uint64_t i, std::uint64_t n) const;
};

/// The names in job files: choice, uniform, log_uniform, int.
std::string kind_name(Parameter::Kind kind);

/// A value for an option.
struct Assignment {
  std::string name;
  Option::Value value;
  bool operator==(const Assignment&) const = default;
};
using Assignments = std::vector<Assignment>;

/// Throws invalid_argument for a parameter that no job can use: an option that the search itself
/// sets, another type, values out of the option's range, bounds in the wrong order, a logarithm of
/// zero. `where` begins the message.
void check(const Parameter& parameter, const Options& declared, const std::string& where);

class Space {
 public:
  Space() = default;
  explicit Space(std::vector<Parameter> parameters) : parameters_(std::move(parameters)) {}

  const std::vector<Parameter>& parameters() const { return parameters_; }
  bool contains(const std::string& name) const;

  /// The parameters of trial `trial`: random but evenly spread. Of the first 2^k trials, one is in
  /// each of 2^k equal parts of every parameter's range, and different parameters are independent:
  /// a van der Corput sequence, shuffled and scrambled (Owen 1995; Burley 2020, "Practical
  /// hash-based Owen scrambling"). A value depends only on the seed, the trial and the option's
  /// name, not on other trials or options.
  Assignments draw(std::uint64_t seed, std::uint64_t trial) const;

 private:
  std::vector<Parameter> parameters_;
};

/// A value as stored in records and summaries: without passwords.
nlohmann::ordered_json json_of(const Option::Value& value);

}  // namespace lambdaml::tune
