#pragma once

#include <string>
#include <vector>

#include <yaml-cpp/yaml.h>

#include "lambdaml/base/batch_limits.h"
#include "lambdaml/worker/measure_store.h"

/// Parts of a profile file, from what was measured.
namespace lambdaml::plan {

/// Quantiles of seconds, in milliseconds; `more_s` is added to each, which stays
/// at least a tenth of what it was. `seconds` must not be empty.
YAML::Node latency_entry(const std::vector<double>& seconds, double more_s = 0);
/// The same time always.
YAML::Node constant_entry(double ms);
/// MB a second for functions with that memory.
YAML::Node rate_entry(double memory_mb, double bytes_per_s);

/// Sets the latencies, bandwidths of functions with `memory_mb`, `parallel` and `pushes` of a
/// store's entry. A request of a job takes `request_s` longer than was measured.
void set_measured(YAML::Node store, const worker::StoreMeasure& measured, double memory_mb,
                  double request_s = 0);
/// Sets what the store itself says of how it is waited for, and whether it is durable.
void set_capabilities(YAML::Node store, const storage::Capabilities& capabilities);

/// Sets how batches are split into requests, and large values into parts.
void set_splits(YAML::Node store, const BatchLimits& put, const BatchLimits& get,
                const BatchLimits& remove, const PartLimits& parts);

/// Today, YYYY-MM-DD in UTC.
std::string today();

/// The file's text: a comment and the entries.
std::string profile_text(const YAML::Node& root, const std::string& comment);

}  // namespace lambdaml::plan
