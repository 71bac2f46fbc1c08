#pragma once

#include <functional>
#include <optional>
#include <string>

#include "lambdaml/model/model.h"
#include "lambdaml/model/tally.h"

namespace lambdaml::model {

/// How a number is formatted for people.
enum class Notation {
  fixed,        ///< so many digits after the point: 0.6931
  significant,  ///< so many digits in all: 1.23457e+06
  percent,      ///< a share, times 100, with so many digits after the point: 93.2 %
};
std::string shown(double value, Notation notation, int digits);

/// A metric of a model over rows: how it is computed from their totals, which direction is better,
/// and how it is shown. A job reports it for each epoch and at its end, under the name from
/// reported_metrics(), and a search can optimize it.
struct Metric {
  std::string name;  ///< snake_case
  std::string help;  ///< one sentence without a full stop
  bool higher_is_better = false;
  /// The value for the totals of at least one row; nullopt if it is undefined for them.
  std::function<std::optional<double>(const Totals&)> of;
  bool of_evaluation = false;  ///< needs Model::evaluate(); not known of a training epoch
  Notation notation = Notation::fixed;
  int digits = 4;

  std::string shown(double value) const { return model::shown(value, notation, digits); }
};

/// A measure that `predict` computes from predictions of labelled rows, for what totals cannot
/// express.
struct Measure {
  std::string name;  ///< snake_case
  std::string help;  ///< one sentence without a full stop
  /// The value over all rows, at least one; nullopt if it is undefined for them.
  std::function<std::optional<double>(const Tally&)> of;
  /// The value for one class against all others, for measures that have one; `of` is then the mean
  /// over the classes that occur. Empty: there is none.
  std::function<double(const Tally&, std::size_t c)> of_class = {};
};

}  // namespace lambdaml::model
