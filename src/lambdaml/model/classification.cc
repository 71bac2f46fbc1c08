#include "lambdaml/model/classification.h"

#include <algorithm>

namespace lambdaml::model {
namespace {

/// The mean of a measure over the classes that occur as labels or as predictions (scikit-learn's
/// macro average).
double mean_over_classes(const Tally& tally, double (*of_class)(const Tally&, std::size_t)) {
  double sum = 0;
  std::size_t present = 0;
  for (std::size_t c = 0; c < tally.classes(); ++c) {
    if (tally.rows_of(c) + tally.predicted_as(c) == 0) continue;
    sum += of_class(tally, c);
    ++present;
  }
  return sum / static_cast<double>(present);
}

/// 0 of 0 is 0, as in scikit-learn.
double share(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}
double precision_of(const Tally& tally, std::size_t c) {
  return share(tally.count(c, c), tally.predicted_as(c));
}
double recall_of(const Tally& tally, std::size_t c) {
  return share(tally.count(c, c), tally.rows_of(c));
}
double f1_of(const Tally& tally, std::size_t c) {
  return share(2 * tally.count(c, c), tally.rows_of(c) + tally.predicted_as(c));
}

std::optional<double> accuracy_of(const Tally& tally) {
  std::uint64_t correct = 0;
  for (std::size_t c = 0; c < tally.classes(); ++c) correct += tally.count(c, c);
  return share(correct, tally.rows());
}

std::optional<double> log_loss_of(const Tally& tally) {
  if (!tally.has_probabilities()) return {};
  return tally.log_loss() / static_cast<double>(tally.rows());
}

/// The probability that a positive row scores above a negative one, ties counted half (Mann and
/// Whitney 1947). At least one of each.
double area_under_curve(Tally::Ranking ranking) {
  auto& [positives, negatives] = ranking;
  std::ranges::sort(positives);
  std::ranges::sort(negatives);
  double won = 0;
  std::size_t below = 0, not_above = 0;  // negatives below the score, and those up to it
  for (const float score : positives) {
    while (below < negatives.size() && negatives[below] < score) ++below;
    while (not_above < negatives.size() && negatives[not_above] <= score) ++not_above;
    won += static_cast<double>(below) + static_cast<double>(not_above - below) / 2;
  }
  return won / (static_cast<double>(positives.size()) * static_cast<double>(negatives.size()));
}

/// The mean over the rankings that have rows of both kinds; nullopt if none has.
std::optional<double> mean_area_under_curve(const Tally& tally) {
  double sum = 0;
  std::size_t defined = 0;
  for (const Tally::Ranking& ranking : tally.rankings()) {
    if (ranking.positives.empty() || ranking.negatives.empty()) continue;
    sum += area_under_curve(ranking);
    ++defined;
  }
  if (defined == 0) return {};
  return sum / static_cast<double>(defined);
}

Measure per_class(std::string name, std::string help,
                  double (*of_class)(const Tally&, std::size_t)) {
  return {.name = std::move(name),
          .help = std::move(help),
          .of = [of_class](const Tally& tally) { return mean_over_classes(tally, of_class); },
          .of_class = of_class};
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
  return {
      {.name = "accuracy",
       .help = "share of the rows whose predicted class is the label",
       .of = accuracy_of},
      {.name = "log_loss",
       .help = "−mean ln of the probability given to the true label",
       .of = log_loss_of},
      {.name = "auc",
       .help = "area under the ROC curve; of more than two classes the mean of each against "
               "the others",
       .of = mean_area_under_curve},
      per_class("precision", "share of the rows predicted as a class that are of it", precision_of),
      per_class("recall", "share of the rows of a class that are predicted as it", recall_of),
      per_class("f1", "harmonic mean of precision and recall", f1_of)};
}

}  // namespace lambdaml::model
