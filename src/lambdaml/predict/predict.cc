#include "lambdaml/predict/predict.h"

#include "lambdaml/base/log.h"
#include "lambdaml/base/parallel.h"
#include "lambdaml/data/source.h"
#include "lambdaml/model/registry.h"
#include "lambdaml/model/rows.h"

namespace lambdaml::predict {
Predictions predict(job::TrainedModel& trained, const Uri& uri, const std::string& format,
                    const Options& format_options) {
  const model::Plugin& plugin = model::registry().get(trained.name);
  const data::Dataset whole = data::read(uri, format, processors(), nullptr, format_options);
  if (whole.cols() > trained.shape.features)
    log::warning("{}: its features beyond the model's {} are left out", uri.display(),
                 trained.shape.features);
  const data::Dataset dataset = data::with_cols(whole, trained.shape.features);
  const model::Rows rows = model::with_targets(dataset, trained.shape.labels);
  const model::Batch batch = rows.all();
  const model::Model::Prediction prediction = trained.model->predict(batch, trained.parameters);

  Predictions out;
  out.rows = rows.size();
  out.labels.reserve(out.rows);
  for (const std::uint32_t c : prediction.classes)
    out.labels.push_back(plugin.needs_labels ? trained.shape.labels.at(c)
                                             : static_cast<std::int32_t>(c));
  out.scores = prediction.scores;
  if (plugin.needs_labels && rows.targets.empty()) return out;
  if (!plugin.measures.empty() && !rows.targets.empty()) {
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
