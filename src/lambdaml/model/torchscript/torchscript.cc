#include <algorithm>
#include <memory>
#include <optional>
#include <span>

#include <fmt/ranges.h>

#include "lambdaml/base/error.h"
#include "lambdaml/model/class_weights.h"
#include "lambdaml/model/classification.h"
#include "lambdaml/model/deep.h"
#include "lambdaml/model/losses.h"
#include "lambdaml/model/registry.h"
#include "lambdaml/model/script_file.h"

/// Any network that was exported from Python by torch.jit, for any inputs, targets and losses. Its
/// initial parameters are those of the file, and the trained model file contains the module, so
/// that it can be used again.
namespace lambdaml::model::torchscript {
namespace {

/// Those of a target tensor's class numbers; those of labels come with the rows.
std::vector<float> weights_of_numbers(const Shape& shape, const Options& options) {
  if (!shape.target || options.text(class_weight_option().name).empty()) return {};
  if (are_balanced(options))
    fail(Code::invalid_argument,
         "class_weight balanced counts labels, and the target '{}' is a tensor: give "
         "CLASS=WEIGHT,…",
         shape.target->name);
  constexpr std::int32_t kMostClasses = 65'536;
  Shape numbers;
  for (std::int32_t c = 0; c < kMostClasses; ++c) numbers.labels.push_back(c);
  return class_weights(options, numbers, {});
}

/// The class number that is no target. Of labels it is that of the label which the option names.
std::optional<std::int64_t> ignored_class(const Shape& shape, Loss loss, const Options& options) {
  const std::optional<std::int64_t> number = ignored_target(options);
  if (!number) return {};
  if (loss != Loss::cross_entropy)
    fail(Code::invalid_argument,
         "ignore_index {}: only the loss cross_entropy has class numbers: leave it out", *number);
  if (shape.target) return number;
  const auto label = std::ranges::find(shape.labels, *number);
  if (label == shape.labels.end())
    fail(Code::invalid_argument,
         "ignore_index {}: no row has that label; there are {}{}: name one of them, or leave it "
         "out",
         *number,
         fmt::join(std::span(shape.labels).first(std::min<std::size_t>(10, shape.classes())), ", "),
         shape.classes() > 10 ? ", …" : "");
  return label - shape.labels.begin();
}

std::unique_ptr<Model> make(const Shape& shape, const Options& options) {
  require_engine_library("torchscript");
  const std::string what = options.text("script").empty() ? "torchscript" : options.text("script");
  if (!shape.definition)
    fail(Code::invalid_argument, "torchscript: name the file: --model torchscript:FILE");
  require_script_file(shape.definition->view(), what);
  if (options.flag("sync_batch_norm"))
    fail(Code::invalid_argument,
         "sync_batch_norm: a TorchScript module runs whole inside libtorch, which normalizes each "
         "worker's batch by itself; use a built-in network, a larger --batch-size, or "
         "--freeze-batch-norm");
  EngineSettings settings = engine_settings(options);
  settings.loss = deep_loss(options, shape.has_integers());
  settings.ignored_target = ignored_class(shape, settings.loss, options);
  settings.class_weights = weights_of_numbers(shape, options);
  DeepRows rows(shape, settings.loss, augment_of(options));
  LoadedNetwork loaded = engine_library().script(
      shape.definition->view(), what, {.inputs = rows.inputs(), .target = rows.target()}, settings);
  // Besides what the module keeps, a batch and the next one.
  std::uint64_t activations = loaded.activation_bytes;
  for (const data::TensorShape& input : rows.inputs()) activations += 2 * input.row_bytes();
  // The module's tensors, and their first values.
  const std::uint64_t copies =
      2 * sizeof(float) * (elements(loaded.learned) + elements(loaded.statistics));
  DeepParts parts{.name = what,
                  .learned = std::move(loaded.learned),
                  .statistics = std::move(loaded.statistics),
                  .output = std::move(loaded.output),
                  .activation_bytes = static_cast<double>(activations),
                  .engine_bytes = copies,
                  .loss = settings.loss,
                  .ignored_target = settings.ignored_target,
                  .start = [engine = std::make_shared<std::unique_ptr<Engine>>(
                                std::move(loaded.engine))] { return std::move(*engine); }};
  return std::make_unique<DeepModel>(std::move(parts), std::move(rows), shape, options);
}

Plugin plugin_of(std::vector<Metric> metrics) {
  std::vector<Option> options = deep_options();
  options.push_back({.name = "script",
                     .default_value = std::string(),
                     .help = "the TorchScript file of the model torchscript; `--model "
                             "torchscript:FILE` sets both"});
  options.push_back(loss_option());
  options.push_back(ignored_target_option());
  options.push_back(class_weight_option());
  return {.name = "torchscript",
          .help = "a network exported from Python: torchscript:FILE",
          .metrics = std::move(metrics),
          .tabulate = table_of_labels_or_numbers,
          .options = std::move(options),
          .file_option = "script",
          .make = make};
}

/// As one that learns classes or numbers by that loss.
Plugin variant_of(Loss loss, bool integers) {
  Plugin plugin = plugin_of(deep_metrics(loss));
  const bool are_classes =
      integers && (loss == Loss::cross_entropy || loss == Loss::bce_with_logits);
  plugin.predicts_numbers = !are_classes && !(integers && loss == Loss::module);
  if (are_classes) plugin.measures = classification_measures();
  return plugin;
}

const Plugin* variant(const Options& options, std::optional<bool> integers) {
  if (!integers && deep_loss(options, true) != deep_loss(options, false)) return nullptr;
  const bool whole = integers.value_or(true);
  const Loss loss = deep_loss(options, whole);
  static const std::vector<Plugin> all = [] {
    std::vector<Plugin> made;
    for (const Loss one : kLosses)
      for (const bool of_integers : {false, true}) made.push_back(variant_of(one, of_integers));
    return made;
  }();
  return &all[2 * static_cast<std::size_t>(loss) + (whole ? 1 : 0)];
}

/// Those that one of the variants has.
std::vector<Metric> all_metrics() {
  std::vector<Metric> all;
  for (const Loss loss : kLosses)
    for (Metric& metric : deep_metrics(loss))
      if (std::ranges::find(all, metric.name, &Metric::name) == all.end())
        all.push_back(std::move(metric));
  return all;
}

}  // namespace

void register_plugin(Registry& registry) {
  Plugin plugin = plugin_of(all_metrics());
  plugin.variant = variant;
  registry.add(std::move(plugin));
}

}  // namespace lambdaml::model::torchscript
