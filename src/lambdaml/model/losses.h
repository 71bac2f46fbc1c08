#pragma once

#include "lambdaml/base/options.h"
#include "lambdaml/model/engine.h"
#include "lambdaml/model/metric.h"

/// The losses that `--loss` names.
namespace lambdaml::model {

/// `loss`, for the options of every model that has a choice of losses: they share its declaration.
Option loss_option();

/// The loss of a deep model: the option's value; by default cross_entropy where targets are whole
/// numbers (classes), and otherwise mse. Throws invalid_argument for another model's loss.
Loss deep_loss(const Options& options, bool integers);

/// `ignore_index`, of deep models, and its value.
Option ignored_target_option();
std::optional<std::int64_t> ignored_target(const Options& options);

/// The metrics of deep models of that loss; the first one is the loss.
std::vector<Metric> deep_metrics(Loss loss);

}  // namespace lambdaml::model
