#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "lambdaml/base/rng.h"
#include "lambdaml/model/engine.h"
#include "lambdaml/model/network.h"

/// Small networks of every kind of layer, and steps of them on random images.
namespace lambdaml::torch_library::steps {

constexpr std::size_t kClasses = 5;

inline std::size_t normalized(model::Network& net, const std::string& name, std::size_t x) {
  return net.batch_norm(name + "_bn", x);
}

/// As MobileNet's.
inline model::Network separable() {
  using model::Layer;
  model::Network net({3, 32, 32});
  std::size_t x = net.relu(normalized(net, "a", net.convolution("a", Layer::kImages, 16, 3, 2)));
  x = net.relu(normalized(net, "b", net.convolution("b", x, 16, 3, 2, 16)));
  x = net.relu(normalized(net, "c", net.convolution("c", x, 32, 1)));
  net.linear("out", net.mean(x), kClasses);
  return net;
}

/// As the ResNets': a large stem, and blocks with and without a convolution of the shortcut.
inline model::Network residual() {
  using model::Layer;
  model::Network net({3, 40, 32});
  std::size_t x = net.relu(normalized(net, "a", net.convolution("a", Layer::kImages, 16, 7, 2)));
  x = net.max_pool(x);
  std::size_t y = net.relu(normalized(net, "b", net.convolution("b", x, 32, 3, 2)));
  y = normalized(net, "c", net.convolution("c", y, 32, 1));
  x = net.relu(net.add(y, normalized(net, "d", net.convolution("d", x, 32, 1, 2))));
  y = net.relu(normalized(net, "e", net.convolution("e", x, 32, 3)));
  x = net.relu(net.add(normalized(net, "f", net.convolution("f", y, 32, 3)), x));
  net.linear("out", net.mean(x), kClasses);
  return net;
}

/// Random parameters of a network, and rows.
struct Problem {
  Problem(const model::Network& network, std::size_t rows, std::uint64_t seed)
      : image{network.images().channels, network.images().height, network.images().width} {
    Rng rng(seed);
    const auto add = [&](const model::Model::Piece& piece, double mean, double spread) {
      for (std::size_t i = 0; i < model::elements(piece); ++i)
        parameters.push_back(static_cast<float>(mean + spread * rng.normal()));
    };
    for (const model::Model::Piece& piece : network.learned()) {
      const bool is_scale = piece.shape.size() == 1 && piece.name.ends_with(".weight");
      const double fan = static_cast<double>(model::elements(piece) / piece.shape[0]);
      add(piece, is_scale ? 1 : 0, piece.shape.size() == 1 ? 0.2 : std::sqrt(2 / fan));
    }
    learned = parameters.size();
    for (const model::Model::Piece& piece : network.statistics())
      add(piece, piece.name.ends_with("var") ? 1 : 0, 0.1);
    for (std::size_t i = 0; i < rows * network.images().values(); ++i)
      images.push_back(static_cast<float>(rng.normal() + 0.5));
    for (std::size_t i = 0; i < rows; ++i)
      targets.push_back(static_cast<std::int64_t>(rng.below(kClasses)));
  }

  /// A step of the rows from `begin` on; adds to `sums`.
  model::Totals train(model::Engine& engine, std::size_t begin, std::size_t rows,
                      std::span<const float> at, std::span<float> sums,
                      const model::MergeNumbers* merge = nullptr) const {
    const std::size_t values = image[0] * image[1] * image[2];
    const std::vector<model::Input> inputs = {
        {{{"image", data::Element::float32, image},
          reinterpret_cast<const std::byte*>(images.data() + begin * values)},
         true}};
    const data::Tensor target{{"target", data::Element::int64, {}},
                              reinterpret_cast<const std::byte*>(targets.data() + begin)};
    return engine.train({.rows = rows, .inputs = inputs, .target = &target, .merge = merge}, at,
                        sums);
  }

  std::vector<std::size_t> image;
  std::vector<float> parameters;
  std::size_t learned = 0;
  std::vector<float> images;
  std::vector<std::int64_t> targets;
};

/// ‖a − b‖ / ‖b‖.
inline double apart(const std::vector<float>& a, const std::vector<float>& b) {
  double difference = 0;
  double size = 0;
  for (std::size_t i = 0; i < b.size(); ++i) {
    difference += std::pow(static_cast<double>(a[i]) - static_cast<double>(b[i]), 2);
    size += std::pow(static_cast<double>(b[i]), 2);
  }
  return std::sqrt(difference / size);
}

}  // namespace lambdaml::torch_library::steps
