#include <array>

#include <fmt/core.h>

#include "lambdaml/model/classification.h"
#include "lambdaml/model/network_model.h"
#include "lambdaml/model/registry.h"

/// Residual networks (He, Zhang, Ren, Sun 2016, table 1), as torchvision has them (the stride of a
/// bottleneck is in its 3 × 3 convolution), with its names of tensors. The small stem, for 32 × 32
/// pixels, is a convolution of 3 × 3 without stride or pooling.
namespace lambdaml::model::resnet {
namespace {

struct Depth {
  const char* name;
  bool bottleneck;
  std::array<std::size_t, 4> blocks;
};
constexpr std::array<Depth, 5> kDepths = {{{"resnet18", false, {2, 2, 2, 2}},
                                           {"resnet34", false, {3, 4, 6, 3}},
                                           {"resnet50", true, {3, 4, 6, 3}},
                                           {"resnet101", true, {3, 4, 23, 3}},
                                           {"resnet152", true, {3, 8, 36, 3}}}};

/// One block; its convolutions are numbered from 1.
std::size_t block(Network& net, const std::string& name, std::size_t input, std::size_t width,
                  std::size_t stride, bool bottleneck) {
  const std::size_t out = bottleneck ? 4 * width : width;
  std::size_t x = input;
  if (bottleneck) {
    x = net.relu(net.batch_norm(name + "bn1", net.convolution(name + "conv1", x, width, 1)));
    x = net.convolution(name + "conv2", x, width, 3, stride);
    x = net.relu(net.batch_norm(name + "bn2", x));
    x = net.batch_norm(name + "bn3", net.convolution(name + "conv3", x, out, 1));
  } else {
    x = net.convolution(name + "conv1", x, width, 3, stride);
    x = net.relu(net.batch_norm(name + "bn1", x));
    x = net.batch_norm(name + "bn2", net.convolution(name + "conv2", x, width, 3));
  }
  std::size_t shortcut = input;
  if (stride != 1 || net.out(input).channels != out) {
    shortcut = net.convolution(name + "downsample.0", input, out, 1, stride);
    shortcut = net.batch_norm(name + "downsample.1", shortcut);
  }
  return net.relu(net.add(x, shortcut));
}

Network build(const Depth& depth, const Image& images, bool large_stem, std::size_t classes) {
  Network net(images);
  std::size_t x = large_stem ? net.convolution("conv1", Layer::kImages, 64, 7, 2)
                             : net.convolution("conv1", Layer::kImages, 64, 3);
  x = net.relu(net.batch_norm("bn1", x));
  if (large_stem) x = net.max_pool(x);
  for (std::size_t stage = 0; stage < depth.blocks.size(); ++stage)
    for (std::size_t i = 0; i < depth.blocks[stage]; ++i)
      x = block(net, fmt::format("layer{}.{}.", stage + 1, i), x, std::size_t{64} << stage,
                stage > 0 && i == 0 ? 2 : 1, depth.bottleneck);
  net.linear("fc", net.mean(x), classes);
  return net;
}

}  // namespace

void register_plugin(Registry& registry) {
  for (const Depth& depth : kDepths)
    registry.add({.name = depth.name,
                  .help = "a residual network for images of at least 32 × 32 pixels",
                  .needs_images = true,
                  .metrics = classification_metrics(),
                  .measures = classification_measures(),
                  .options = network_options(),
                  .defaults = network_defaults,
                  .make = [&depth](const Shape& shape, const Options& options) {
                    return make_network_model(
                        depth.name, shape, options,
                        [&](const Image& images, bool large_stem, std::size_t classes) {
                          return build(depth, images, large_stem, classes);
                        });
                  }});
}

}  // namespace lambdaml::model::resnet
