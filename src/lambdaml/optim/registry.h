#pragma once

#include <functional>
#include <map>
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
  std::string label = {};  ///< on progress lines; empty: not shown there
};

/// What stays the same when a model is trained to the same quality with more rows, other batches or
/// other workers: for plans, which learn from a sample how long that takes.
enum class Pace {
  epochs,  ///< the number of epochs
  steps,   ///< that of steps, each with the rows of all workers' batches together: P workers with
           ///< batches of B rows compute what one computes with batches of P · B
  own_steps,  ///< that of each worker's steps, with its own batches, between two merges
};

struct Plugin {
  std::string name;  ///< the value of --optim
  std::string help;
  std::vector<Option> options =
      {};  ///< settings of its own; plug-ins that declare the same option share it
  /// What it reports for each epoch besides the model's metrics.
  std::vector<Metric> metrics = {};
  /// The option that gives the number of epochs, if the optimizer counts them its own way (ADMM's
  /// outer epochs).
  std::string epochs_option = "epochs";
  /// The option of which a smaller value takes less memory; empty: none.
  std::string memory_option = "";
  /// Values that a new job has of options of its own, of the job or of models, by name, where they
  /// are not set, given those that are. In job files of old versions, what is not set has the
  /// option's default. Empty: none.
  std::function<std::map<std::string, std::string>(const Options& given)> defaults = {};
  /// Whether it merges increments; states (k-means' sums, ADMM's variables) are not compressed.
  bool merges_increments = true;
  /// Whether all workers must take part in every merge, so that only bulk-synchronous patterns do.
  bool needs_all_workers = false;
  /// Whether it only adds up whole passes, so that the order of the rows affects no more than
  /// rounding.
  bool whole_passes = false;
  /// With `epochs` and whole_passes, workers and batches change nothing.
  Pace pace = Pace::epochs;
  /// Whether Optimizer::converged() can become true: a job that ends by its epochs has not
  /// converged.
  bool converges = false;
  /// Throws invalid_argument if it cannot train a model of that kind.
  std::function<std::unique_ptr<Optimizer>(Problem, const Options&)> make;
};

using Registry = RegistryOf<Plugin>;

const Registry& registry();
/// Generated from the lambdaml_add_plugin() lines.
void register_plugins(Registry& registry);

}  // namespace lambdaml::optim
