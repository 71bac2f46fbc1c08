#pragma once

#include <span>

#include <nlohmann/json_fwd.hpp>

#include "lambdaml/base/formats/metrics_text.h"

namespace lambdaml::dashboard {

/// The jobs and searches of the board for Prometheus; deploy/grafana.json draws them. Jobs that
/// have ended only count.
MetricsText metrics_of(std::span<const nlohmann::ordered_json> rows);

}  // namespace lambdaml::dashboard
