#include "lambdaml/trigger/rehearsal.h"

#include <algorithm>
#include <memory>
#include <string>

#include <fmt/ranges.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/uri.h"
#include "lambdaml/comm/registry.h"
#include "lambdaml/cost/cost.h"
#include "lambdaml/faas/registry.h"
#include "lambdaml/model/class_weights.h"
#include "lambdaml/model/micro_batches.h"
#include "lambdaml/model/registry.h"
#include "lambdaml/optim/registry.h"
#include "lambdaml/trigger/engine_process.h"
#include "lambdaml/trigger/initial_model.h"

namespace lambdaml::trigger {
namespace {

/// Copies of its part of the data, while a worker puts the rows in order.
constexpr std::uint64_t kCopiesOfData = 2;
/// A model that does not state its memory is small, unless its vectors and merging are not.
constexpr std::uint64_t kWorthAsking = 32U << 20U;

/// A model gives no probability to an unknown label, so such rows have no loss.
void require_known_labels(const data::Manifest& test, const data::Manifest& data,
                          const Options& options) {
  for (const std::int32_t label : test.labels)
    if (!std::ranges::binary_search(data.labels, label))
      fail(Code::invalid_argument,
           "{}: it has the label {}, the training data have only {}: remove such rows, or train "
           "with "
           "some",
           data::Places::parse(options.text("test_data")).display(), label,
           fmt::join(std::span(data.labels).first(std::min<std::size_t>(10, data.labels.size())),
                     ", "));
}

bool learns_classes(const model::Plugin& plugin) {
  return plugin.needs_labels && !plugin.predicts_numbers;
}

/// ", column 'y'" if the column of labels or targets has a name.
std::string column_of(const data::Manifest& data) {
  if (!data.names || data.names->label.empty()) return "";
  return fmt::format(", column '{}'", printable(data.names->label, 60));
}

/// Throws unless the data set has what the model learns from.
void require_targets(const model::Plugin& plugin, const data::Manifest& data,
                     const std::string& place) {
  if (!plugin.needs_labels) return;
  std::string what = data::Places::parse(place).display();
  if (!data.labelled())
    fail(Code::invalid_argument,
         "{}: it has no labels, and {} learns from labels: name their column by --label, or their "
         "file by --labels-file",
         what, plugin.name);
  what += column_of(data);
  if (learns_classes(plugin) && data.targets)
    fail(Code::invalid_argument,
         "{}: its targets are numbers, and {} learns classes: use --model linear, labels that are "
         "whole numbers, or another column by --label",
         what, plugin.name);
  if (plugin.predicts_numbers && data.names && !data.names->labels.empty())
    fail(Code::invalid_argument,
         "{}: its labels are texts ('{}' …), and {} learns numbers: use --model lr, or numbers",
         what, printable(data.names->labels.front()), plugin.name);
}

/// Throws if labels of classes look like numbers to predict: most have few rows or one.
void require_classes(const model::Plugin& plugin, const data::Manifest& data,
                     const std::string& what) {
  constexpr std::size_t kFew = 50;
  const bool has_features = data.tensors.empty() && plugin.file_option.empty();
  const bool has_texts = data.names && !data.names->labels.empty();
  if (!learns_classes(plugin) || !has_features || has_texts) return;
  if (data.labels.size() <= kFew || 2 * data.labels.size() <= data.rows()) return;
  fail(Code::invalid_argument,
       "{}{}: {} different labels in {} rows look like numbers to predict, and {} learns classes: "
       "use --model linear, or name another column by --label",
       what, column_of(data), data.labels.size(), data.rows(), plugin.name);
}

/// Throws if the data set has tensors and the model learns from features.
void require_features(const model::Plugin& plugin, const data::Manifest& data,
                      const std::string& what) {
  const bool takes_tensors = plugin.needs_images || !plugin.file_option.empty();
  if (data.tensors.empty() || takes_tensors) return;
  if (what.ends_with(".npz") && !data.tensors.inputs.empty())
    fail(Code::invalid_argument,
         "{}: it has no matrix X but arrays of other names ({}), and {} learns from features: save "
         "them as X and their labels as y, numpy.savez(FILE, X={}, y=…), or use --model "
         "torchscript:FILE",
         what, data.tensors.text(), plugin.name, printable(data.tensors.inputs.front().name, 60));
  fail(
      Code::invalid_argument,
      "{}: it has tensors ({}), and {} learns from features: use --model torchscript:FILE, or give "
      "rows of numbers",
      what, data.tensors.text(), plugin.name);
}

/// Throws if rows have weights which the model does not take.
void require_no_weights(const model::Plugin& plugin, const data::Manifest& data,
                        const std::string& what) {
  if (data.weights == 0 || plugin.takes_weights) return;
  fail(Code::invalid_argument,
       "{}: its rows have weights, and {} takes none: use --weight-column none", what, plugin.name);
}

/// Throws unless the classes that have weights are those of the data.
void require_class_weights(const model::Plugin& plugin, const model::Shape& shape,
                           const Options& options) {
  const std::string name = model::class_weight_option().name;
  if (std::ranges::find(plugin.options, name, &Option::name) == plugin.options.end()) return;
  if (options.text(name).empty() || shape.target) return;
  model::class_weights(options, shape, std::vector<double>(shape.classes(), 1.0));
}

std::uint64_t bytes_for_merging(const Options& options, const model::Model& model,
                                const optim::Optimizer& optimizer, storage::Storage& channel) {
  comm::MergeSizes sizes;
  sizes.workers = static_cast<std::uint32_t>(options.integer("workers"));
  const std::size_t numbers =
      optimizer.starts() * std::max(model.parameter_count(), model.sums_count());
  (optimizer.merges_doubles() ? sizes.totals : sizes.values) = numbers;
  sizes.options = comm::pattern_options(options);
  return comm::bytes_needed(options.text("sync_mode"), sizes, channel);
}

/// What the user may change so that the optimizer's vectors take less, each followed by ", ".
std::string less_memory_for_vectors(const optim::Plugin& optimizer, const Options& options,
                                    const model::Model& model) {
  if (optimizer.memory_option.empty()) return "";
  std::string advice;
  const auto option = std::ranges::find(optimizer.options, optimizer.memory_option, &Option::name);
  if (option != optimizer.options.end() &&
      static_cast<double>(options.integer(option->name)) > option->minimum.value_or(0))
    advice += "a smaller " + flag_of(option->name) + ", ";
  // Others can train it, too.
  if (dynamic_cast<const model::GradientModel*>(&model) != nullptr) advice += "another --optim, ";
  return advice;
}

/// Throws if a worker needs more memory than a function may use. Takes none of that size itself.
void require_memory(const Options& options, const StagedData& staged, const model::Plugin& plugin,
                    const model::Model& model, const optim::Optimizer& optimizer,
                    storage::Storage& channel) {
  const data::Manifest& data = staged.data;
  const auto rows = std::min(static_cast<std::uint64_t>(options.integer("batch_size")),
                             *std::max_element(data.part_rows.begin(), data.part_rows.end()));
  const std::uint64_t training = model.training_bytes(rows);
  const std::uint64_t merging = bytes_for_merging(options, model, optimizer, channel);
  // Of its state a worker makes a copy before a step in which its time may end, and for a store
  // that takes a checkpoint in one piece.
  const std::uint64_t vectors = optimizer.vector_bytes() + optimizer.state_bytes();
  if (training == 0 && merging + vectors < kWorthAsking) return;
  const std::uint64_t definition = staged.definition ? staged.definition->size() : 0;
  const std::uint64_t needed =
      training + definition + vectors + data.bytes / data.parts() * kCopiesOfData + merging;
  if (needed <= static_cast<std::uint64_t>(options.integer("memory_mb")) << 20U) return;
  const std::string& optim = options.text("optim");
  std::string advice;
  if (training > 0) advice += "a smaller --batch-size or --micro-batch, ";
  if (vectors > needed / 2)
    advice += less_memory_for_vectors(optim::registry().get(optim), options, model);
  else
    advice += optimizer.merges_doubles() ? "more --workers, " : "more --workers or --aggregators, ";
  if (!advice.empty()) advice += "or ";
  const bool is_deployed =
      faas::registry().get(options.text("platform")).deployed_function != nullptr;
  fail(Code::invalid_argument,
       "{} needs about {} for the vectors of {} and a copy of its state ({}), batches of {} rows, "
       "its part of the data and merging ({}), and a function may use {} MB: use {}a larger "
       "--memory-mb{}",
       plugin.name, human_bytes(needed), optim, human_bytes(vectors), rows, human_bytes(merging),
       options.integer("memory_mb"), advice, is_deployed ? " of lambdaml deploy" : "");
}

}  // namespace

void rehearse(Options options, const StagedData& staged, storage::Storage& channel) {
  require_engine_in_reach(options, channel);
  if (needs_engine_process(options)) return rehearse_in_process(options, staged);
  // The workers use a different one; this one has no effect.
  if (options.integer("threads") == 0) options.set("threads", Option::Value(std::int64_t{1}), "");
  cost::Prices::current();  // needed at the end: fail now if invalid
  const data::Manifest& data = staged.data;
  const std::optional<data::Manifest>& test = staged.test;
  const std::string what = data::Places::parse(options.text("data")).display();
  const model::Plugin& plugin =
      model::registry().get(options.text("model")).for_job(options, data.has_integers());
  require_features(plugin, data, what);
  require_targets(plugin, data, options.text("data"));
  require_classes(plugin, data, what);
  require_no_weights(plugin, data, what);
  const model::Shape shape{
      data.features,       learns_classes(plugin) ? data.labels : std::vector<std::int32_t>(),
      staged.definition,   data.names,
      data.tensors.inputs, data.tensors.target};
  std::unique_ptr<model::Model> model;
  try {
    model = model::in_micro_batches(plugin.make(shape, options),
                                    static_cast<std::size_t>(options.integer("micro_batch")));
  } catch (...) {
    rethrow_with(what);
  }
  require_class_weights(plugin, shape, options);
  if (staged.init) require_fit(*staged.init, shape, *model, options);
  if (test) require_targets(plugin, *test, options.text("test_data"));
  if (test && learns_classes(plugin)) require_known_labels(*test, data, options);
  if (!staged.init && data.rows() < model->minimum_rows())
    fail(Code::invalid_argument, "{}: its {} rows are too few: {} with these options needs {}",
         what, data.rows(), plugin.name, model->minimum_rows());
  // That of the first worker, which is an aggregator if any is.
  const auto communicator = comm::make_communicator(
      options.text("sync_mode"), {.store = {std::shared_ptr<void>(), &channel},
                                  .workers = static_cast<std::uint32_t>(options.integer("workers")),
                                  .options = comm::pattern_options(options)});
  optim::Problem problem{*model, *communicator};
  problem.rows_per_round = {1.0};
  problem.rows = problem.own_rows = 1;
  problem.bulk_synchronous = comm::registry().get(options.text("sync_mode")).bulk_synchronous;
  const auto optimizer = optim::registry().get(options.text("optim")).make(problem, options);
  require_memory(options, staged, plugin, *model, *optimizer, channel);
  if (const auto* gradient = dynamic_cast<const model::GradientModel*>(model.get()))
    if (std::vector<float> factors = gradient->penalty_factors({}); !factors.empty())
      optimizer->set_penalty_factors(std::move(factors));
}

}  // namespace lambdaml::trigger
