#include <memory>

#include "lambdaml/base/error.h"
#include "lambdaml/model/classification.h"
#include "lambdaml/model/deep.h"
#include "lambdaml/model/registry.h"

/// Any image classifier that was exported from Python by torch.jit. Its initial parameters are
/// those of the file, and the trained model file contains the module, so that it can be used again.
namespace lambdaml::model::torchscript {
namespace {

std::unique_ptr<Model> make(const Shape& shape, const Options& options) {
  require_engine_library("torchscript");
  const std::string what = options.text("script").empty() ? "torchscript" : options.text("script");
  if (!shape.definition)
    fail(Code::invalid_argument, "torchscript: name the file: --model torchscript:FILE");
  LoadedNetwork loaded =
      engine_library().script(shape.definition->view(), what, engine_settings(options));
  if (loaded.outputs != shape.classes())
    fail(Code::invalid_argument,
         "{}: it returns {} logits for an image, and the data have {} classes", what,
         loaded.outputs, shape.classes());
  DeepParts parts{.name = what,
                  .learned = std::move(loaded.learned),
                  .statistics = std::move(loaded.statistics),
                  .activation_bytes = loaded.activation_bytes,
                  .start = [engine = std::make_shared<std::unique_ptr<Engine>>(
                                std::move(loaded.engine))] { return std::move(*engine); }};
  return std::make_unique<DeepModel>(std::move(parts), shape, options);
}

}  // namespace

void register_plugin(Registry& registry) {
  std::vector<Option> options = deep_options();
  options.push_back({.name = "script",
                     .default_value = std::string(),
                     .help = "the TorchScript file of the model torchscript; `--model "
                             "torchscript:FILE` sets both"});
  registry.add({.name = "torchscript",
                .help = "a classifier of images exported from Python: torchscript:FILE",
                .needs_images = true,
                .metrics = classification_metrics(),
                .measures = classification_measures(),
                .options = std::move(options),
                .file_option = "script",
                .make = make});
}

}  // namespace lambdaml::model::torchscript
