#include "lambdaml/predict/predict.h"

#include <algorithm>
#include <set>

#include <fmt/ranges.h>

#include "lambdaml/base/log.h"
#include "lambdaml/base/parallel.h"
#include "lambdaml/data/source.h"
#include "lambdaml/model/registry.h"
#include "lambdaml/model/rows.h"

namespace lambdaml::predict {
namespace {

/// The labels of `data` that the model does not know, ascending, and how many rows have them.
struct Unknown {
  std::set<std::int32_t> labels;
  std::uint64_t rows = 0;
};
Unknown unknown_labels(const data::Dataset& data, const std::vector<std::int32_t>& known) {
  Unknown out;
  for (const std::int32_t label : data.labels)
    if (!std::ranges::binary_search(known, label)) {
      out.labels.insert(label);
      ++out.rows;
    }
  return out;
}

void warn_of(const Unknown& unknown, const model::Rows& rows, const job::TrainedModel& trained,
             const Uri& uri) {
  static constexpr std::size_t kMostListed = 10;
  const auto some_of = [](const auto& labels) {
    std::vector<std::int32_t> some(labels.begin(), labels.end());
    const bool all = some.size() <= kMostListed;
    some.resize(std::min(some.size(), kMostListed));
    return fmt::format("{}{}", fmt::join(some, ", "), all ? "" : " …");
  };
  log::warning(
      "{}: {} of its {} rows have labels that the model does not know ({}; it knows {}); they are "
      "predicted but not measured: give the labels the model's coding",
      uri.display(), unknown.rows, rows.size(), some_of(unknown.labels),
      some_of(trained.shape.labels));
}

/// Removes the rows whose label the model does not know.
void keep_known(model::Model::Prediction& prediction, std::vector<float>& targets) {
  const auto keep = [&](auto& values) {
    if (values.empty()) return;  // the model has none of these
    std::size_t kept = 0;
    for (std::size_t i = 0; i < targets.size(); ++i)
      if (targets[i] >= 0) values[kept++] = values[i];
    values.resize(kept);
  };
  keep(prediction.classes);
  keep(prediction.scores);
  keep(prediction.target_probabilities);
  std::erase_if(targets, [](float target) { return target < 0; });
}

}  // namespace

Predictions predict(job::TrainedModel& trained, const Uri& uri, const std::string& format,
                    const Options& format_options) {
  const model::Plugin& plugin = model::registry().get(trained.name);
  const data::Dataset whole = data::read(uri, format, processors(), nullptr, format_options);
  if (whole.cols() > trained.shape.features)
    log::warning("{}: it has {} features; those beyond the model's {} are left out", uri.display(),
                 whole.cols(), trained.shape.features);
  const data::Dataset dataset = data::with_cols(whole, trained.shape.features);
  model::Rows rows = model::with_targets(dataset, trained.shape.labels);
  const model::Batch batch = rows.all();
  model::Model::Prediction prediction = trained.model->predict(batch, trained.parameters);

  Predictions out;
  out.rows = rows.size();
  out.labels.reserve(out.rows);
  for (const std::uint32_t c : prediction.classes)
    out.labels.push_back(plugin.needs_labels ? trained.shape.labels.at(c)
                                             : static_cast<std::int32_t>(c));
  out.scores = prediction.scores;
  if (plugin.needs_labels) {
    if (rows.targets.empty()) return out;
    const Unknown unknown = unknown_labels(dataset, trained.shape.labels);
    out.unknown_labels = unknown.rows;
    if (unknown.rows > 0) warn_of(unknown, rows, trained, uri);
    // Totals cannot leave rows out.
    if (unknown.rows == out.rows || (unknown.rows > 0 && plugin.measures.empty())) return out;
  }
  if (!plugin.measures.empty() && !rows.targets.empty()) {
    if (out.unknown_labels > 0) keep_known(prediction, rows.targets);
    const model::Judged judged{prediction, rows.targets, trained.shape.classes()};
    for (const model::Measure& measure : plugin.measures)
      if (const std::optional<double> value = measure.of(judged))
        out.values.push_back({measure.name, *value});
    return out;
  }
  const model::Totals totals = trained.model->evaluate(batch, trained.parameters);
  for (const model::Metric& metric : plugin.metrics)
    out.values.push_back({metric.name, metric.of(totals)});
  return out;
}

}  // namespace lambdaml::predict
