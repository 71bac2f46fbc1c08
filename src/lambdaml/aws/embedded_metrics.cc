#include "lambdaml/aws/embedded_metrics.h"

#include <cmath>
#include <vector>

#include <nlohmann/json.hpp>

#include "lambdaml/base/json.h"

namespace lambdaml::aws {

std::string line_of(const EmbeddedMetrics& metrics) {
  using nlohmann::json;
  constexpr std::size_t kMostMetrics = 100;
  json line = json::object();
  json names = json::array();
  for (const auto& [name, value] : metrics.values) {
    if (!std::isfinite(value) || names.size() == kMostMetrics) continue;
    names.push_back({{"Name", name}});
    line[name] = value;
  }
  std::vector<std::string> dimensions;
  for (const auto& [name, value] : metrics.dimensions) {
    dimensions.push_back(name);
    line[name] = value;
  }
  for (const auto& [name, value] : metrics.properties) line[name] = value;
  line["_aws"] = {{"Timestamp", metrics.at_ms},
                  {"CloudWatchMetrics", json::array({{{"Namespace", metrics.name_space},
                                                      {"Dimensions", json::array({dimensions})},
                                                      {"Metrics", names}}})}};
  return json_text(line);
}

}  // namespace lambdaml::aws
