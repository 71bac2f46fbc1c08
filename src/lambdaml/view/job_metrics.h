#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "lambdaml/base/formats/metrics_text.h"

namespace lambdaml::view {

/// What a running job tells Prometheus: the same names wherever it is asked
/// (docs/reference/metrics.md).
struct JobNumbers {
  std::string job_id, model;
  std::uint64_t epoch = 0;  ///< epochs done
  std::uint64_t epochs = 0;
  std::uint64_t workers = 0;
  std::uint64_t workers_running = 0;
  double elapsed_s = 0;
  std::optional<double> left_s = {};           ///< if all epochs are needed
  std::optional<double> cost_usd = {};         ///< of the functions so far, an estimate
  std::map<std::string, double> metrics = {};  ///< of the last epoch
};

void add_job(const JobNumbers& job, MetricsText& page);

/// What a search tells.
struct SearchNumbers {
  std::string search_id, metric;
  std::map<std::string, std::uint64_t> trials = {};  ///< by state
  std::optional<double> best = {};                   ///< value of the metric
  std::uint64_t epochs = 0;                          ///< of all trials so far
  std::optional<double> left_s = {};
  double cost_usd = 0;  ///< of all trials so far
};

void add_search(const SearchNumbers& search, MetricsText& page);

}  // namespace lambdaml::view
