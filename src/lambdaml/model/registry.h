#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/base/options.h"
#include "lambdaml/base/registry.h"
#include "lambdaml/model/metric.h"
#include "lambdaml/model/model.h"
#include "lambdaml/model/table.h"

namespace lambdaml::model {

struct Plugin {
  std::string name;  ///< the value of --model
  std::string help;
  std::vector<std::string> aliases = {};  ///< other values accepted: sparse_lr
  bool needs_labels = true;
  /// Targets are numbers to be predicted, and Shape::labels is empty; else they are classes.
  bool predicts_numbers = false;
  /// It counts rows by Batch::weights.
  bool takes_weights = false;
  bool needs_images = false;  ///< make() refuses rows that are no images (data/images.h)
  /// Optimizers by name, the preferred one first: a job that names none gets the first that can do
  /// what its other options ask for (job/optimizer_choice.h).
  std::vector<std::string> optimizers = {"grad_avg"};
  /// The model's metrics, at least one. The first is the loss, which training minimizes.
  std::vector<Metric> metrics;
  /// The measures that `predict` reports for labelled rows; if empty, the metrics.
  std::vector<Measure> measures = {};
  /// How predictions are shown; the default is for models that learn from labels.
  Tabulate tabulate = table_of_labels;
  std::vector<Option> options = {};  ///< settings of its own
  /// Values for options of the job that new jobs have if nothing else is given, by name; they come
  /// before the optimizer's (optim/registry.h). Empty: none.
  std::function<std::map<std::string, std::string>(const Options& given)> defaults = {};
  /// The option whose value is the path or URI of a file that defines the model; then `NAME:FILE`
  /// is a value of --model, and Shape::definition holds the file's bytes. Empty: none.
  std::string file_option = {};
  /// Throws invalid_argument for an unsuitable shape (only one class, …).
  std::function<std::unique_ptr<Model>(const Shape&, const Options&)> make;
  /// For a model that learns classes or numbers as its options say, or by default as the data are:
  /// the plug-in as one of both, under the same name. `integers`: labels and target tensors are
  /// whole numbers; nullopt: the data are not known yet. Null if the choice depends on them. Empty:
  /// the plug-in is always the same.
  std::function<const Plugin*(const Options&, std::optional<bool> integers)> variant = {};

  /// The plug-in of a job with these options and this kind of data; this one, which has all metrics
  /// that the job may have, as long as that is not known.
  const Plugin& for_job(const Options& job, std::optional<bool> integers) const {
    const Plugin* const chosen = variant ? variant(job, integers) : nullptr;
    return chosen == nullptr ? *this : *chosen;
  }
};

using Registry = RegistryOf<Plugin>;

const Registry& registry();
/// The model that a value of --model selects: a name, an alias, or NAME:FILE. Null for another
/// value.
const Plugin* find_by_value(std::string_view value);
/// Generated from the lambdaml_add_plugin() lines.
void register_plugins(Registry& registry);

}  // namespace lambdaml::model
