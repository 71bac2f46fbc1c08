#include "lambdaml/data/weights.h"

#include <algorithm>
#include <memory>
#include <numeric>
#include <utility>

#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"

namespace lambdaml::data {

WeightColumn::WeightColumn(const Options& options) {
  if (options.find("weight_column") == nullptr) return;
  const std::string& wanted = options.text("weight_column");
  is_refused = wanted == "none";
  if (!is_refused) name = wanted;
}

void require_weights(const WeightColumn& wanted, bool has, const std::string& what) {
  if (wanted.name.empty() || has) return;
  fail(
      Code::invalid_argument,
      "{}: its rows have no weights: --weight-column '{}' is for a column of a CSV or TSV file, an "
      "array of an .npz file, or a set that was prepared with it",
      what, printable(wanted.name, 60));
}

void require_positive_weights(const Dataset& dataset, const std::string& what) {
  const auto is_positive = [](float weight) { return weight > 0; };
  if (dataset.weights.empty() || std::ranges::any_of(dataset.weights, is_positive)) return;
  fail(Code::invalid_argument,
       "{}: the weights of all rows are 0, so that nothing can be learned: give some rows a weight "
       "above 0, or leave --weight-column away",
       what);
}

double sum_of_weights(const Dataset& dataset) {
  return std::accumulate(dataset.weights.begin(), dataset.weights.end(), 0.0);
}

Dataset with_weights(const Dataset& rows, Array<float> weights, const std::string& what) {
  if (weights.size() != rows.rows())
    fail(Code::invalid_argument, "{}: it has {} weights for {} rows", what,
         human_count(weights.size()), human_count(rows.rows()));
  const std::span<const float> values = weights.span();
  const auto wrong = std::ranges::find_if(values, [](float weight) { return !(weight >= 0); });
  if (wrong != values.end())
    fail(Code::data_corrupt, "{}: row {}: the weight {} is negative: write a number from 0 up",
         what, wrong - values.begin() + 1, *wrong);
  const auto owner = std::make_shared<const std::pair<Array<float>, std::shared_ptr<const void>>>(
      std::move(weights), rows.owner);
  Dataset out = rows;
  out.weights = owner->first.span();
  out.owner = owner;
  return out;
}

}  // namespace lambdaml::data
