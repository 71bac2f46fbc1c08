#include "lambdaml/model/rows.h"

#include <algorithm>

namespace lambdaml::model {

Batch Rows::batch(std::size_t begin, std::size_t end) const {
  const auto part = [&](const std::vector<float>& values) {
    return values.empty() ? std::span<const float>()
                          : std::span(values).subspan(begin, end - begin);
  };
  return {tensor::slice(data.features, begin, end),
          part(targets),
          {},
          part(weights),
          data::from_row(data.tensors, begin),
          data::from_row(data.target_tensor, begin)};
}

Rows with_numbers(data::Dataset data) {
  Rows rows;
  if (data.targets.empty())
    rows.targets.assign(data.labels.begin(), data.labels.end());
  else
    rows.targets.assign(data.targets.begin(), data.targets.end());
  rows.data = std::move(data);
  return rows;
}

Rows with_targets(data::Dataset data, const std::vector<std::int32_t>& map) {
  Rows rows;
  rows.targets.reserve(data.labels.size());
  for (const std::int32_t label : data.labels) {
    const auto it = std::lower_bound(map.begin(), map.end(), label);
    rows.targets.push_back(it != map.end() && *it == label ? static_cast<float>(it - map.begin())
                                                           : -1.0F);
  }
  rows.data = std::move(data);
  return rows;
}

}  // namespace lambdaml::model
