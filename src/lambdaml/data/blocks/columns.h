#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <type_traits>
#include <unordered_set>
#include <variant>

#include "lambdaml/data/dataset.h"

/// The values and the columns of data sets in either form; for this layer.
namespace lambdaml::data {

/// `colour` of the category `colour=red`, `age` of `age`.
inline std::string_view column_of_feature(std::string_view feature) {
  return feature.substr(0, feature.find('='));
}
inline bool is_category(std::string_view feature) { return column_of_feature(feature) != feature; }
/// The columns of numbers, as their reader names all: there may be a `=` in their names too.
class NumberColumns {
 public:
  /// `columns`: null if they have no names; must outlive the object.
  explicit NumberColumns(const Names* columns) {
    if (columns != nullptr) names_.insert(columns->features.begin(), columns->features.end());
  }
  bool has(std::string_view feature) const {
    return !is_category(feature) || names_.contains(feature);
  }

 private:
  std::unordered_set<std::string_view> names_;
};

/// The stored values of rows that begin where their arrays do.
inline std::span<const float> values_of(const Dataset& rows) {
  return std::visit(
      [](const auto& view) -> std::span<const float> {
        if constexpr (std::is_same_v<std::decay_t<decltype(view)>, tensor::DenseView>)
          return {view.data, view.rows * view.cols};
        else
          return {view.values, view.nonzeros()};
      },
      rows.features);
}

/// Calls take(column, value) for each stored value.
template <class Take>
void each_value(const Dataset& rows, const Take& take) {
  std::visit(
      [&](const auto& view) {
        if constexpr (std::is_same_v<std::decay_t<decltype(view)>, tensor::DenseView>) {
          for (std::size_t i = 0; i < view.rows * view.cols; ++i) take(i % view.cols, view.data[i]);
        } else {
          for (std::size_t i = 0; i < view.nonzeros(); ++i) take(view.indices[i], view.values[i]);
        }
      },
      rows.features);
}

}  // namespace lambdaml::data
