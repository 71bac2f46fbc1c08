#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "lambdaml/model/model.h"

namespace lambdaml::job {

/// What is known when an epoch ends, by name; `docs/metrics.md` lists the names. Losses are means
/// per row, `inertia` a sum.
struct EpochMetrics {
  std::uint64_t epoch = 0;  ///< the first is 1
  std::map<std::string, double> values;

  /// One line without its end; numbers print in the shortest form that reads back the same.
  std::string to_json() const;
  /// Throws data_corrupt.
  static EpochMetrics from_json(std::string_view text);
};

/// Adds PREFIX_loss and PREFIX_accuracy when the totals have rows.
void add_supervised(const std::string& prefix, const model::Totals& totals,
                    std::map<std::string, double>& values);

}  // namespace lambdaml::job
