#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>

#include "lambdaml/model/model.h"

namespace lambdaml::model {

/// How numbers are shown to people.
enum class Notation {
  fixed,        ///< so many digits after the point: 0.6931
  significant,  ///< so many digits in all: 1.23457e+06
  percent,      ///< a share, times 100, with so many digits after the point: 93.2 %
};
std::string shown(double value, Notation notation, int digits);

/// What a model reports of rows: how it follows from their totals, which way it gets better, how it
/// is shown. A job reports it for each epoch and at its end, under the name that reported_metrics()
/// gives it, and a search can be for the best one.
struct Metric {
  std::string name;  ///< snake_case
  std::string help;  ///< one sentence without a full stop
  bool higher_is_better = false;
  /// The value for the totals of at least one row.
  std::function<double(const Totals&)> of;
  Notation notation = Notation::fixed;
  int digits = 4;

  std::string shown(double value) const { return model::shown(value, notation, digits); }
};

/// Predictions beside the truth.
struct Judged {
  const Model::Prediction& prediction;
  std::span<const float> targets;  ///< a row's class number, −1 for a label not in the map
  std::size_t classes = 0;
};

/// What `predict` says of predictions of labelled rows, where metrics do not say it well enough.
struct Measure {
  std::string name;  ///< snake_case
  std::string help;  ///< one sentence without a full stop
  /// nullopt where it is not defined for such predictions.
  std::function<std::optional<double>(const Judged&)> of;
};

}  // namespace lambdaml::model
