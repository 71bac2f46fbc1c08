#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "lambdaml/base/options.h"
#include "lambdaml/base/registry.h"
#include "lambdaml/optim/optimizer.h"

namespace lambdaml::optim {

/// One of Optimizer::metrics().
struct Metric {
  std::string name;
  std::string help;        ///< one sentence without a full stop
  std::string label = {};  ///< on lines of progress; empty: it is not shown there
};

struct Plugin {
  std::string name;  ///< the value of --optim
  std::string help;
  std::vector<Option> options =
      {};  ///< settings of its own; one declared by several plug-ins is one
  /// What it reports of each epoch, besides the model's metrics.
  std::vector<Metric> metrics = {};
  /// Epochs of the job when the optimizer counts its own way (ADMM's outer ones): the option's
  /// name.
  std::string epochs_option = "epochs";
  /// Whether it merges increments; states (k-means' sums, ADMM's variables) are not compressed.
  bool merges_increments = true;
  /// Throws invalid_argument when the model is not of a kind it can train.
  std::function<std::unique_ptr<Optimizer>(Problem, const Options&)> make;
};

using Registry = RegistryOf<Plugin>;

const Registry& registry();
/// Generated from the lambdaml_add_plugin() lines.
void register_plugins(Registry& registry);

}  // namespace lambdaml::optim
