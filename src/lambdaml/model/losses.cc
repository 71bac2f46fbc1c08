#include "lambdaml/model/losses.h"

#include <array>
#include <cmath>
#include <utility>

#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"

namespace lambdaml::model {
namespace {

/// The option's default, which deep models do not have.
constexpr const char* kNotChosen = "hinge";

constexpr std::array<std::pair<const char*, Loss>, 6> kNames = {
    {{"cross_entropy", Loss::cross_entropy},
     {"bce_with_logits", Loss::bce_with_logits},
     {"mse", Loss::mse},
     {"l1", Loss::l1},
     {"huber", Loss::huber},
     {"module", Loss::module}}};

Metric number(std::string name, std::string help, double (*of)(const Totals&), bool of_evaluation) {
  return {.name = std::move(name),
          .help = std::move(help),
          .of = of,
          .of_evaluation = of_evaluation,
          .notation = Notation::significant,
          .digits = 6};
}

}  // namespace

Option loss_option() {
  Option option{.name = "loss",
                .default_value = std::string(kNotChosen),
                .help =
                    "what training minimizes. svm: hinge or squared_hinge, which lbfgs takes by "
                    "default, because it needs a gradient everywhere. torchscript: any other, "
                    "by default cross_entropy for classes and mse for real numbers; module: "
                    "forward returns the loss itself and takes the target too",
                .choices = {kNotChosen, "squared_hinge"}};
  for (const auto& [name, loss] : kNames) option.choices.emplace_back(name);
  return option;
}

Loss deep_loss(const Options& options, bool integers) {
  const std::string& chosen = options.text("loss");
  if (chosen == kNotChosen) return integers ? Loss::cross_entropy : Loss::mse;
  for (const auto& [name, loss] : kNames)
    if (chosen == name) return loss;
  fail(Code::invalid_argument, "loss {}: it belongs to the model svm", chosen);
}

Option ignored_target_option() {
  return {.name = "ignore_index",
          .default_value = std::string(),
          .help =
              "class number in a target tensor, or label of a row, that stands for no target, such "
              "as padding; empty: there is none (torchscript with cross_entropy)"};
}

std::optional<std::int64_t> ignored_target(const Options& options) {
  const std::string& text = options.text("ignore_index");
  if (text.empty()) return {};
  const std::optional<std::int64_t> number = to_integer(text);
  if (!number) fail(Code::invalid_argument, "ignore_index '{}': it is no whole number", text);
  return number;
}

std::vector<Metric> deep_metrics(Loss loss) {
  const auto mean_loss = [](const Totals& totals) { return totals.loss / totals.rows; };
  const auto accuracy = [](const Totals& totals) { return totals.correct / totals.rows; };
  const auto among_five = [](const Totals& totals) {
    return totals.among_five < 0 ? std::nullopt : std::optional(totals.among_five / totals.rows);
  };
  const auto rmse = [](const Totals& totals) {
    return std::sqrt(totals.squared_error / totals.rows);
  };
  const auto mae = [](const Totals& totals) { return totals.absolute_error / totals.rows; };
  const std::string help = "the model's loss, mean per row, without penalties";
  std::vector<Metric> out;
  if (loss == Loss::cross_entropy || loss == Loss::bce_with_logits)
    out.push_back({.name = "loss", .help = help, .of = mean_loss});
  else
    out.push_back(number("loss", help, mean_loss, false));
  if (loss == Loss::cross_entropy || loss == Loss::bce_with_logits)
    out.push_back({.name = "accuracy",
                   .help = "share of the targets that are predicted",
                   .higher_is_better = true,
                   .of = accuracy});
  if (loss == Loss::cross_entropy)
    out.push_back({.name = "accuracy_top5",
                   .help = "share of the targets that are among the five best of more classes",
                   .higher_is_better = true,
                   .of = among_five,
                   .of_evaluation = true});
  if (loss == Loss::mse || loss == Loss::l1 || loss == Loss::huber) {
    out.push_back(
        number("rmse", "root of the mean squared error, in the unit of the target", rmse, true));
    out.push_back(number("mae", "mean absolute error, in the unit of the target", mae, true));
  }
  return out;
}

}  // namespace lambdaml::model
