#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "lambdaml/base/bytes.h"
#include "lambdaml/model/registry.h"
#include "lambdaml/model/tally.h"

namespace lambdaml::predict {

/// How good predictions are. The quality of a set of rows is the sum of that of its parts: tallies
/// add up exactly, totals up to rounding.
struct Quality {
  std::uint64_t rows = 0;                    ///< predicted
  std::optional<model::Tally> tally = {};    ///< of labelled rows, for models with measures
  std::optional<model::Totals> totals = {};  ///< for models that are judged by their metrics

  /// The other one is of other rows of the same set, predicted by the same model.
  void add(const Quality& other);
  /// For another process. from_bytes() throws data_corrupt, naming `what`.
  Buffer to_bytes() const;
  static Quality from_bytes(Bytes bytes, const std::string& what);
};

/// The labels of a model's classes, in their order: numbers or texts.
nlohmann::ordered_json classes_of(const model::Shape& shape);

/// `rows`, and the values that the model declares for predictions, under their names: its measures
/// or its metrics. Measures that each class has are in `per_class`, by label, with the class's
/// `rows`; `confusion` counts rows by label and prediction, both in the order of `classes`.
nlohmann::ordered_json json_of(const Quality& quality, const model::Plugin& plugin,
                               const model::Shape& shape);

/// The same for people: one line of values, then tables of at most 20 classes.
std::vector<std::string> lines_of(const Quality& quality, const model::Plugin& plugin,
                                  const model::Shape& shape);

}  // namespace lambdaml::predict
