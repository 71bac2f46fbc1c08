#include "lambdaml/job/quality.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include "lambdaml/base/text.h"
#include "lambdaml/job/event.h"
#include "lambdaml/model/names.h"
#include "lambdaml/model/registry.h"
#include "lambdaml/model/regression.h"
#include "lambdaml/optim/registry.h"

namespace lambdaml::job {
namespace {

constexpr const char* kAdvice =
    "use --scale standard, a smaller --lr or more epochs, and look at the labels";

/// −Σ w · ln share / Σ n over the classes of n rows and the sum of weights w, where a share is that
/// of w: the mean loss of the best model that gives the same probabilities to every row.
double loss_of_shares(const Outcome& outcome) {
  std::vector<double> weighted;
  double rows = 0, sum = 0;
  for (std::size_t c = 0; c < outcome.class_rows.size(); ++c) {
    const auto n = static_cast<double>(outcome.class_rows[c]);
    weighted.push_back(outcome.class_weight_sums.empty() ? n : outcome.class_weight_sums[c]);
    rows += n;
    sum += weighted.back();
  }
  double loss = 0;
  for (const double w : weighted)
    if (w > 0) loss -= w * std::log(w / sum);
  return loss / rows;
}

std::optional<std::string> constant_by_log_loss(const Outcome& outcome) {
  const double loss = outcome.train.loss / outcome.train.rows;
  const double constant = loss_of_shares(outcome);
  if (loss < constant) return {};
  return fmt::format(
      "the model is no better than a constant one: its log loss on the training rows is {:.4g}, "
      "and that of the classes' shares {:.4g}; {}",
      loss, constant, kAdvice);
}

std::optional<std::string> constant_by_accuracy(const Outcome& outcome, const model::Shape& shape) {
  const auto most = std::ranges::max_element(outcome.class_rows);
  if (outcome.train.correct > static_cast<double>(*most)) return {};
  const auto c = static_cast<std::size_t>(most - outcome.class_rows.begin());
  return fmt::format(
      "the model is no better than a constant one: its accuracy on the training rows is {:.4g}, "
      "and {:.4g} if every row is taken for {}; {}",
      outcome.train.correct / outcome.train.rows, static_cast<double>(*most) / outcome.train.rows,
      printable(model::label_text(shape, c)), kAdvice);
}

bool has(const model::Plugin& plugin, std::string_view metric) {
  return std::ranges::find(plugin.metrics, metric, &model::Metric::name) != plugin.metrics.end();
}

std::optional<std::string> constant_by_r2(const Outcome& outcome, const model::Plugin& plugin) {
  const auto metric = std::ranges::find(plugin.metrics, "r2", &model::Metric::name);
  if (metric == plugin.metrics.end()) return {};
  if (model::spread_of_targets(outcome.train) == 0)
    return fmt::format(
        "every target of the training rows is {:.6g}, so there is nothing to learn: name the "
        "column of targets by --label",
        outcome.train.targets / outcome.train.rows);
  const std::optional<double> r2 = metric->of(outcome.train);
  if (!r2 || *r2 > 0) return {};
  return fmt::format(
      "the model is no better than a constant one: its R² on the training rows is {:.4g}, and "
      "that of their mean 0; use --scale standard, a smaller --lr or more epochs",
      *r2);
}

std::optional<std::string> not_converged(const Outcome& outcome) {
  const optim::Plugin& optimizer = optim::registry().get(outcome.options.text("optim"));
  if (!optimizer.converges || outcome.ended_by != "epochs") return {};
  return fmt::format(
      "{} has not converged in {} epochs: give it more with {}, or scale the features",
      optimizer.name, outcome.epochs, flag_of(optimizer.epochs_option));
}

}  // namespace

std::vector<std::string> warnings_of(const Outcome& outcome) {
  std::vector<std::string> out;
  if (outcome.ended_by == kPaused || outcome.train.rows == 0) return out;
  const auto add = [&](std::optional<std::string> warning) {
    if (warning) out.push_back(*std::move(warning));
  };
  const model::Plugin& plugin = model::registry()
                                    .get(outcome.options.text("model"))
                                    .for_job(outcome.options, outcome.data.has_integers());
  const model::Shape shape{outcome.data.features, outcome.data.labels, nullptr, outcome.data.names};
  const bool are_counted =
      outcome.class_rows.size() == shape.classes() && shape.classes() > 0 &&
      (outcome.class_weight_sums.empty() || outcome.class_weight_sums.size() == shape.classes());
  if (plugin.predicts_numbers)
    add(constant_by_r2(outcome, plugin));
  else if (are_counted && outcome.loss_is_log_loss)
    add(constant_by_log_loss(outcome));
  else if (are_counted && outcome.class_weight_sums.empty() && has(plugin, "accuracy"))
    add(constant_by_accuracy(outcome, shape));
  add(not_converged(outcome));
  if (are_counted)
    for (std::size_t c = 0; c < shape.classes(); ++c)
      if (outcome.class_rows[c] == 0)
        add(fmt::format("the label {} occurs in no training row, so the model cannot learn it",
                        printable(model::label_text(shape, c))));
  return out;
}

}  // namespace lambdaml::job
