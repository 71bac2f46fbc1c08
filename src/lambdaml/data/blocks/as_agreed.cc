#include <cmath>
#include <memory>
#include <span>
#include <unordered_map>
#include <utility>

#include "lambdaml/data/align.h"
#include "lambdaml/data/array.h"
#include "lambdaml/data/blocks/columns.h"
#include "lambdaml/data/blocks/findings.h"
#include "lambdaml/data/rows.h"

namespace lambdaml::data {
namespace {

/// The same rows with other values in the same places.
Dataset with_values(const Dataset& rows, Array<float> values) {
  auto owner = std::make_shared<std::pair<Array<float>, std::shared_ptr<const void>>>(
      std::move(values), rows.owner);
  Dataset out = rows;
  std::visit(
      [&](auto& view) {
        if constexpr (std::is_same_v<std::decay_t<decltype(view)>, tensor::DenseView>)
          view.data = owner->first.data();
        else
          view.values = owner->first.data();
      },
      out.features);
  out.owner = std::move(owner);
  return out;
}

/// With the columns at their places by name, for align(), which would miss a column of categories
/// of which the block has none.
Dataset placed(const Dataset& rows, const Agreement& agreement) {
  const bool named = rows.names && !rows.names->features.empty() && agreement.names &&
                     !agreement.names->features.empty();
  if (!named || rows.names->features == agreement.names->features) return rows;
  std::unordered_map<std::string_view, std::uint32_t> place;
  for (std::uint32_t i = 0; i < agreement.names->features.size(); ++i)
    place.emplace(agreement.names->features[i], i);
  std::vector<std::uint32_t> places;
  for (const std::string& feature : rows.names->features) {
    const auto at = place.find(feature);
    places.push_back(at == place.end() ? kDroppedColumn : at->second);
  }
  Dataset out = with_columns_at(rows, places, static_cast<std::size_t>(agreement.features));
  auto names = std::make_shared<Names>(*rows.names);
  names->features = agreement.names->features;
  names->fills.clear();
  out.names = std::move(names);
  return out;
}

Dataset filled(const Dataset& rows, const Agreement& agreement) {
  if (!agreement.names || agreement.names->fills.empty()) return rows;
  const std::span<const float> values = values_of(rows);
  if (std::none_of(values.begin(), values.end(), [](float value) { return std::isnan(value); }))
    return rows;
  Array<float> out(values.size());
  std::size_t i = 0;
  each_value(rows, [&](std::size_t column, float value) {
    out[i++] = std::isnan(value) ? agreement.names->fills[column] : value;
  });
  return with_values(rows, std::move(out));
}

}  // namespace

Dataset as_agreed(const Dataset& rows, const Agreement& agreement, bool ignore_labels,
                  const std::string& what) {
  Dataset out = filled(placed(rows, agreement), agreement);
  if (agreement.targets && !out.labels.empty()) out = with_labels_as_targets(out);
  out = align(out,
              {static_cast<std::size_t>(agreement.features), agreement.names, ignore_labels,
               agreement.tensors.inputs},
              what);
  return in_form(out, agreement.form);
}

}  // namespace lambdaml::data
