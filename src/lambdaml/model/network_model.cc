#include "lambdaml/model/network_model.h"

#include <algorithm>
#include <utility>

#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"
#include "lambdaml/data/pixels/images.h"
#include "lambdaml/model/deep.h"

namespace lambdaml::model {
namespace {

/// From this height and width on, stem = auto halves the images first, as the papers do for those
/// of 224 × 224 pixels.
constexpr std::size_t kLargeImage = 64;

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

std::unique_ptr<Model> make_network_model(const std::string& name, const Shape& shape,
                                          const Options& options, const BuildNetwork& build) {
  require_engine_library(name);
  DeepRows rows(shape, Loss::cross_entropy, options.flag("augment"));
  const Image images = image_of(name, shape, rows);
  const std::string& stem = options.text("stem");
  const bool large =
      stem == "large" || (stem == "auto" && std::min(images.height, images.width) >= kLargeImage);
  const auto network = std::make_shared<const Network>(
      build(images, large, std::max<std::size_t>(shape.classes(), 1)));
  DeepParts parts{.name = name,
                  .learned = network->learned(),
                  .statistics = network->statistics(),
                  .output = std::vector{shape.classes()},
                  .activation_bytes = network->activations() * sizeof(float),
                  .start = [network, settings = engine_settings(options)] {
                    return engine_library().network(*network, settings);
                  }};
  return std::make_unique<DeepModel>(std::move(parts), std::move(rows), shape, options);
}

}  // namespace lambdaml::model
