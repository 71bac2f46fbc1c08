#include "lambdaml/predict/predict.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "lambdaml/base/log.h"
#include "lambdaml/base/parallel.h"
#include "lambdaml/data/source.h"
#include "lambdaml/model/registry.h"
#include "lambdaml/model/rows.h"

namespace lambdaml::predict {
namespace {

/// By ranks (Mann and Whitney 1947): the chance that a positive row scores above a negative one.
/// Absent when there are not both, or a score is no number.
std::optional<double> area_under_curve(const std::vector<float>& scores,
                                       const std::vector<float>& targets) {
  if (std::any_of(scores.begin(), scores.end(), [](float s) { return std::isnan(s); })) return {};
  std::vector<std::size_t> order(scores.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::erase_if(order, [&](std::size_t i) { return targets[i] < 0; });
  std::sort(order.begin(), order.end(), [&](auto a, auto b) { return scores[a] < scores[b]; });
  double positives = 0, rank_sum = 0;
  for (std::size_t begin = 0; begin < order.size();) {
    std::size_t end = begin;
    while (end < order.size() && scores[order[end]] == scores[order[begin]]) ++end;
    const double rank = (static_cast<double>(begin + end) + 1) / 2;
    for (; begin < end; ++begin)
      if (targets[order[begin]] == 1) {
        positives += 1;
        rank_sum += rank;
      }
  }
  const double negatives = static_cast<double>(order.size()) - positives;
  if (positives == 0 || negatives == 0) return {};
  return (rank_sum - positives * (positives + 1) / 2) / (positives * negatives);
}

}  // namespace

Predictions predict(job::TrainedModel& trained, const Uri& uri, const std::string& format) {
  const bool supervised = model::registry().get(trained.name).needs_labels;
  const data::Dataset whole = data::read(uri, format, processors());
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
    out.labels.push_back(supervised ? trained.shape.labels.at(c) : static_cast<std::int32_t>(c));
  out.scores = prediction.scores;
  if (!supervised) {
    out.inertia = trained.model->evaluate(batch, trained.parameters).loss;
    return out;
  }
  if (rows.targets.empty()) return out;
  double correct = 0;
  for (std::size_t i = 0; i < out.labels.size(); ++i)
    correct += out.labels[i] == dataset.labels[i] ? 1 : 0;
  out.accuracy = correct / static_cast<double>(out.rows);
  if (!prediction.target_probabilities.empty()) {
    constexpr double kLeast = 1e-15;  // as scikit-learn's log_loss clips
    double sum = 0;
    for (const float p : prediction.target_probabilities)
      sum -= std::log(std::max(static_cast<double>(p), kLeast));
    out.log_loss = sum / static_cast<double>(out.rows);
  }
  if (trained.shape.classes() == 2) out.auc = area_under_curve(out.scores, rows.targets);
  return out;
}

}  // namespace lambdaml::predict
