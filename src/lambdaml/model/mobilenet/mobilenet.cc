#include <array>

#include <fmt/core.h>

#include "lambdaml/model/classification.h"
#include "lambdaml/model/network_model.h"
#include "lambdaml/model/registry.h"

namespace lambdaml::model::mobilenet {
namespace {

/// MobileNet v1 (Howard et al. 2017, table 1). With the small stem, for 32 × 32 pixels, the first
/// convolution does not halve the image. Each block is a depthwise and a pointwise convolution.
/// Tensors have the names of the PyTorch model that is common for CIFAR-10.
Network build(const Image& images, bool large_stem, std::size_t classes) {
  struct Block {
    std::size_t channels;
    std::size_t stride;
  };
  constexpr std::array<Block, 13> kBlocks = {{{64, 1},
                                              {128, 2},
                                              {128, 1},
                                              {256, 2},
                                              {256, 1},
                                              {512, 2},
                                              {512, 1},
                                              {512, 1},
                                              {512, 1},
                                              {512, 1},
                                              {512, 1},
                                              {1024, 2},
                                              {1024, 1}}};
  Network net(images);
  std::size_t x = net.convolution("conv1", Layer::kImages, 32, 3, large_stem ? 2 : 1);
  x = net.relu(net.batch_norm("bn1", x));
  for (std::size_t i = 0; i < kBlocks.size(); ++i) {
    const std::string name = fmt::format("layers.{}.", i);
    const std::size_t channels = net.out(x).channels;
    x = net.convolution(name + "conv1", x, channels, 3, kBlocks[i].stride, channels);
    x = net.relu(net.batch_norm(name + "bn1", x));
    x = net.convolution(name + "conv2", x, kBlocks[i].channels, 1);
    x = net.relu(net.batch_norm(name + "bn2", x));
  }
  net.linear("linear", net.mean(x), classes);
  return net;
}

}  // namespace

void register_plugin(Registry& registry) {
  registry.add({.name = "mobilenet",
                .help = "MobileNet v1 for images of at least 32 × 32 pixels",
                .needs_images = true,
                .metrics = classification_metrics(),
                .measures = classification_measures(),
                .options = network_options(),
                .defaults = network_defaults,
                .make = [](const Shape& shape, const Options& options) {
                  return make_network_model("mobilenet", shape, options, build);
                }});
}

}  // namespace lambdaml::model::mobilenet
