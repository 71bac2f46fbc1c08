#include "lambdaml/model/network_model.h"

#include <algorithm>
#include <utility>

#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"
#include "lambdaml/data/pixels/images.h"
#include "lambdaml/model/deep.h"
#include "lambdaml/model/frozen.h"

namespace lambdaml::model {
namespace {

/// From this height and width on, stem = auto halves the images first, as the papers do for those
/// of 224 × 224 pixels.
constexpr std::size_t kLargeImage = 64;

/// Per image, measured and rounded up.
double activation_bytes(const Network& network, bool bf16) {
#ifdef LAMBDAML_ONEDNN
  // The engine of ADR 53 keeps what convolutions give and the sums of blocks, has gradients of two
  // activations at once, and two batches of images.
  std::uint64_t values = 0;
  std::uint64_t largest = 0;
  for (const Layer& layer : network.layers()) {
    if (layer.kind != Layer::Kind::convolution && layer.kind != Layer::Kind::add &&
        layer.kind != Layer::Kind::max_pool)
      continue;
    values += layer.out().values();
    largest = std::max<std::uint64_t>(largest, layer.out().values());
  }
  return static_cast<double>(values + 2 * largest) * (bf16 ? 2 : 4) * 1.1 +
         static_cast<double>(2 * sizeof(float) * network.images().values());
#else
  return static_cast<double>(network.activations() * sizeof(float)) * (bf16 ? 0.75 : 1.3);
#endif
}

/// Of evaluating a row, whose memory is kept beside that of training: three activations.
std::uint64_t evaluation_bytes(const Network& network) {
  std::uint64_t largest = 0;
  for (const Layer& layer : network.layers())
    largest = std::max<std::uint64_t>(largest, layer.out().values());
  return 3 * largest * sizeof(float);
}

/// 256 rows of images of 32 × 32 pixels; fewer large ones, so that evaluating takes no more memory.
std::size_t block_rows_of(const Network& network) {
  constexpr std::uint64_t kBytes = 256 << 20;
  return std::clamp<std::uint64_t>(kBytes / evaluation_bytes(network), 8, 256);
}

Image image_of(const std::string& name, const Shape& shape, const DeepRows& rows) {
  const std::vector<data::TensorShape> inputs = rows.inputs();
  if (inputs.size() == 1 && inputs[0].element == data::Element::float32 &&
      inputs[0].shape.size() == 3) {
    const Image image{inputs[0].shape[0], inputs[0].shape[1], inputs[0].shape[2]};
    if ((image.channels == 1 || image.channels == 3) &&
        std::min(image.height, image.width) >= data::kImageSide)
      return image;
  }
  std::vector<std::string> given;
  for (const data::TensorShape& input : shape.inputs) given.push_back(input.text());
  if (given.empty()) given.push_back(std::to_string(shape.features) + " features");
  fail(Code::invalid_argument,
       "{} learns from images of 1 or 3 channels and at least {} × {} pixels (a tensor `image` "
       "[channels, height, width], or {} features, which are a CIFAR-10 image), and rows have {}",
       name, data::kImageSide, data::kImageSide, data::kImageValues, join(given, ", "));
}

}  // namespace

std::vector<Option> network_options() {
  std::vector<Option> options = deep_options();
  options.push_back({.name = "stem",
                     .default_value = std::string("auto"),
                     .help =
                         "first layers of the built-in networks: small keeps the size of images "
                         "of 32 × 32 pixels; large halves it (ResNets: twice, by 7 × 7 pixels "
                         "and max pooling); auto is large from 64 × 64 pixels on",
                     .choices = {"auto", "small", "large"}});
  return options;
}

std::map<std::string, std::string> network_defaults(const Options& given) {
  const std::string& optimizer = given.text("optimizer");
  if (optimizer != "adam" && optimizer != "adamw") return {};
  std::map<std::string, std::string> values = {{"batch_size", "16"}};
  for (const char* name : {"lr", "lr_schedule", "warmup_epochs", "l2"})
    if (given.is_set(name)) return values;
  values.insert({{"lr", "0.004"}, {"lr_schedule", "cosine"}, {"warmup_epochs", "0.25"}});
  if (optimizer == "adamw") values["l2"] = "0.05";
  // Shifted images take longer to learn.
  constexpr std::int64_t kFewEpochs = 10;
  if (given.integer("epochs") <= kFewEpochs) values["augment_by"] = "light";
  return values;
}

std::unique_ptr<Model> make_network_model(const std::string& name, const Shape& shape,
                                          const Options& options, const BuildNetwork& build) {
  require_engine_library(name);
#ifndef LAMBDAML_ONEDNN
  if (options.flag("sync_batch_norm"))
    fail(Code::invalid_argument,
         "sync_batch_norm: this build runs networks by libtorch, which normalizes each worker's "
         "batch by itself; install libdnnl-dev and build again");
#endif
  DeepRows rows(shape, Loss::cross_entropy, augment_of(options));
  const Image images = image_of(name, shape, rows);
  const std::string& stem = options.text("stem");
  const bool large =
      stem == "large" || (stem == "auto" && std::min(images.height, images.width) >= kLargeImage);
  const auto network = std::make_shared<const Network>(
      build(images, large, std::max<std::size_t>(shape.classes(), 1)));
  const Frozen frozen =
      frozen_of(options.text("freeze"), network->learned(), network->statistics(), name);
  const auto start = [network, frozen, settings = engine_settings(options),
                      seed = static_cast<std::uint64_t>(options.integer("seed"))] {
    std::unique_ptr<Engine> engine = engine_library().network(*network, settings);
    if (!frozen.any()) return engine;
    return keep_frozen(std::move(engine), network->learned(), network->statistics(), frozen, seed);
  };
  // In the layouts that convolutions read, what keep_frozen() has, and what saving and merging
  // leave in malloc's heap. Measured with MobileNet and ResNet-18.
  const std::uint64_t copies = frozen.any() ? 12 : 10;
  DeepParts parts{
      .name = name,
      .learned = without(network->learned(), frozen.learned),
      .statistics = without(network->statistics(), frozen.statistics),
      .output = std::vector{shape.classes()},
      .activation_bytes = activation_bytes(*network, options.text("precision") == "bf16"),
      .engine_bytes = copies * sizeof(float) *
                          (elements(network->learned()) + elements(network->statistics())) +
                      block_rows_of(*network) * evaluation_bytes(*network),
      .block_rows = block_rows_of(*network),
      .start = start};
  return std::make_unique<DeepModel>(std::move(parts), std::move(rows), shape, options);
}

}  // namespace lambdaml::model
