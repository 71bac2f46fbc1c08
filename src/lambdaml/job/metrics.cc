#include "lambdaml/job/metrics.h"

#include <cmath>

#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/text.h"

namespace lambdaml::job {

std::string EpochMetrics::to_json() const {
  nlohmann::ordered_json object{{"epoch", epoch}};
  for (const auto& [name, value] : values) object[name] = value;
  return json_text(object);
}

EpochMetrics EpochMetrics::from_json(std::string_view text) {
  const nlohmann::json object = parse_json(text);
  if (!object.is_object() || !object.contains("epoch") || !object["epoch"].is_number_unsigned())
    fail(Code::data_corrupt, "metrics: not a record of an epoch: '{}'", printable(text, 60));
  EpochMetrics out;
  out.epoch = whole_number(object["epoch"]);
  for (const auto& [name, value] : object.items())
    if (name != "epoch" && value.is_number()) out.values[name] = value.get<double>();
  return out;
}

}  // namespace lambdaml::job
