#include "lambdaml/model/classification.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace lambdaml::model {
namespace {

std::optional<double> accuracy_of(const Judged& judged) {
  double correct = 0;
  for (std::size_t i = 0; i < judged.targets.size(); ++i)
    correct += static_cast<float>(judged.prediction.classes[i]) == judged.targets[i] ? 1 : 0;
  return correct / static_cast<double>(judged.targets.size());
}

std::optional<double> log_loss_of(const Judged& judged) {
  constexpr double kLeast = 1e-15;  // as scikit-learn's log_loss clips
  if (judged.prediction.target_probabilities.empty()) return {};
  double sum = 0;
  for (const float p : judged.prediction.target_probabilities)
    sum -= std::log(std::max(static_cast<double>(p), kLeast));
  return sum / static_cast<double>(judged.targets.size());
}

/// By ranks (Mann and Whitney 1947): the probability that a positive row scores above a negative
/// one. nullopt if one of the classes has no rows or a score is NaN.
std::optional<double> area_under_curve(const Judged& judged) {
  const std::vector<float>& scores = judged.prediction.scores;
  const std::span<const float> targets = judged.targets;
  if (judged.classes != 2) return {};
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

std::vector<Metric> classification_metrics() {
  return {{.name = "loss",
           .help = "the model's loss, mean per row, without penalties",
           .of = [](const Totals& totals) { return totals.loss / totals.rows; }},
          {.name = "accuracy",
           .help = "share of the rows whose predicted class is the label",
           .higher_is_better = true,
           .of = [](const Totals& totals) { return totals.correct / totals.rows; }}};
}

std::vector<Measure> classification_measures() {
  return {{.name = "accuracy",
           .help = "share of the rows whose predicted class is the label",
           .of = accuracy_of},
          {.name = "log_loss",
           .help = "−mean ln of the probability given to the true label",
           .of = log_loss_of},
          {.name = "auc", .help = "area under the ROC curve", .of = area_under_curve}};
}

}  // namespace lambdaml::model
