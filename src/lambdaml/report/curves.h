#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace lambdaml::report {

/// What metrics.jsonl says, column by column. A file of many epochs is thinned: every k-th epoch,
/// the first and the last ones are kept.
struct Curves {
  std::uint64_t epochs = 0;  ///< the last one of the file
  std::uint64_t every = 1;   ///< of the lines, how many one row stands for
  std::uint64_t damaged_lines = 0;
  std::vector<std::uint64_t> epoch;
  std::map<std::string, std::vector<double>> columns;  ///< NaN where a line has no number
  /// Since training began: worker 0's time of all epochs up to this one. Between kept rows of a
  /// thinned file it is that of the kept ones, times `every`.
  std::vector<double> seconds;
  /// Names of metrics that were not finite, with the first such epoch.
  std::map<std::string, std::uint64_t> not_finite;

  nlohmann::ordered_json to_json() const;
};

/// Lines that are no record of an epoch are counted and skipped. Keeps about `most_rows` rows.
Curves read_curves(std::string_view text, std::size_t most_rows);

/// What is known of the metrics of this model (a plug-in's name; if unknown, of all models): a list
/// of name, rows, metric, help and notation, in the order in which models declare them.
nlohmann::ordered_json metrics_json(const std::string& model);

}  // namespace lambdaml::report
