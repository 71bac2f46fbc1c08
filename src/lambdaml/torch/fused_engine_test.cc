// The fused engine beside the network in double precision and the engine that calls libtorch for
// each layer, on networks whose gradients are well conditioned.
#include "lambdaml/torch/fused_engine.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <gtest/gtest.h>
#include <torch/script.h>

#include "lambdaml/base/rng.h"
#include "lambdaml/torch/network_engine.h"
#include "lambdaml/torch/tensors.h"

namespace lambdaml::torch_library {
namespace {

using model::Image;
using model::Layer;
using model::Network;

constexpr std::size_t kClasses = 5;

std::size_t normalized(Network& net, const std::string& name, std::size_t x) {
  return net.batch_norm(name + "bn", x);
}

/// Convolutions as in MobileNet, for images whose sides no stride divides.
Network separable(const Image& images) {
  Network net(images);
  std::size_t x = net.relu(normalized(net, "a", net.convolution("a", Layer::kImages, 16, 3)));
  x = net.relu(normalized(net, "b", net.convolution("b", x, 16, 3, 2, 16)));
  x = net.relu(normalized(net, "c", net.convolution("c", x, 80, 1)));
  x = net.relu(normalized(net, "d", net.convolution("d", x, 80, 3, 1, 80)));
  x = net.relu(normalized(net, "e", net.convolution("e", x, 32, 1)));
  net.linear("out", net.mean(x), kClasses);
  return net;
}

/// Blocks as in the ResNets: with and without a convolution of the shortcut, after the large stem.
Network residual(const Image& images) {
  Network net(images);
  std::size_t x = net.relu(normalized(net, "a", net.convolution("a", Layer::kImages, 16, 7, 2)));
  x = net.max_pool(x);
  std::size_t y = net.relu(normalized(net, "b", net.convolution("b", x, 16, 3)));
  y = normalized(net, "c", net.convolution("c", y, 16, 3));
  x = net.relu(net.add(y, x));
  y = net.relu(normalized(net, "d", net.convolution("d", x, 32, 1)));
  y = net.relu(normalized(net, "e", net.convolution("e", y, 32, 3, 2)));
  y = normalized(net, "f", net.convolution("f", y, 64, 1));
  const std::size_t shortcut = normalized(net, "g", net.convolution("g", x, 64, 1, 2));
  x = net.relu(net.add(y, shortcut));
  y = net.relu(normalized(net, "h", net.convolution("h", x, 64, 3)));
  x = net.relu(net.add(normalized(net, "i", net.convolution("i", y, 64, 3)), x));
  net.linear("out", net.mean(x), kClasses);
  return net;
}

struct Case {
  const char* name;
  Network (*build)(const Image&);
  Image images;
  std::size_t rows;
  std::size_t threads;
  std::uint64_t seed;
};
void PrintTo(const Case& c, std::ostream* out) {
  *out << c.name << " of " << c.rows << " images on " << c.threads << " threads";
}

class FusedEngine : public testing::TestWithParam<Case> {
 protected:
  FusedEngine() : network_(GetParam().build(GetParam().images)) {
    Rng rng(GetParam().seed);
    for (const model::Model::Piece& piece : network_.learned()) {
      const bool is_scale = piece.shape.size() == 1 && piece.name.ends_with(".weight");
      const double spread = piece.shape.size() == 1
                                ? 0.3
                                : std::sqrt(2.0 * static_cast<double>(piece.shape[0]) /
                                            static_cast<double>(model::elements(piece)));
      for (std::size_t i = 0; i < model::elements(piece); ++i)
        parameters_.push_back(static_cast<float>((is_scale ? 1 : 0) + spread * rng.normal()));
    }
    learned_ = parameters_.size();
    for (const model::Model::Piece& piece : network_.statistics())
      for (std::size_t i = 0; i < model::elements(piece); ++i)
        parameters_.push_back(static_cast<float>(piece.name.ends_with("var") ? 0.5 + rng.uniform()
                                                                             : 0.2 * rng.normal()));
    const Image& size = GetParam().images;
    for (std::size_t i = 0; i < GetParam().rows * size.values(); ++i)
      images_.push_back(static_cast<float>(rng.normal() + 0.5));
    for (std::size_t i = 0; i < GetParam().rows; ++i)
      targets_.push_back(static_cast<std::int64_t>(rng.below(kClasses)));
    inputs_.push_back({{{"image", data::Element::float32, {size.channels, size.height, size.width}},
                        reinterpret_cast<const std::byte*>(images_.data())},
                       true});
    target_ = {{"target", data::Element::int64, {}},
               reinterpret_cast<const std::byte*>(targets_.data())};
  }

  model::Pass pass() const {
    return {.rows = targets_.size(), .inputs = inputs_, .target = &target_};
  }
  std::unique_ptr<model::Engine> fused(const model::EngineSettings& settings) const {
    return make_fused_engine(network_, settings);
  }
  model::EngineSettings settings() const {
    return {.threads = GetParam().threads, .label_smoothing = 0.1};
  }
  struct Step {
    model::Totals totals;
    std::vector<float> sums;
  };
  Step step(model::Engine& engine) const {
    // Sums are added to what is there.
    Step out{{}, std::vector<float>(parameters_.size(), 0.25F)};
    out.totals = engine.train(pass(), parameters_, out.sums);
    return out;
  }
  /// A step in double precision, layer by layer.
  struct Exact {
    double loss = 0;
    std::vector<double> gradients;  ///< of the learned parameters
    /// The smallest size of a value before a ReLU: below it the rounding of a float may change the
    /// sign, and the gradient with it.
    double nearest_to_zero = std::numeric_limits<double>::infinity();
  };
  Exact exact(bool frozen_statistics) const {
    std::vector<at::Tensor> learned = in_double(network_.learned(), 0);
    const std::vector<at::Tensor> statistics = in_double(network_.statistics(), learned_);
    for (at::Tensor& one : learned) one.requires_grad_(true);
    Exact out;
    std::vector<at::Tensor> results;
    auto parameter = learned.begin();
    auto statistic = statistics.begin();
    const at::Tensor images = tensor_of(inputs_[0], targets_.size()).to(at::kDouble);
    for (const Layer& layer : network_.layers()) {
      const at::Tensor x = layer.input == Layer::kImages ? images : results[layer.input];
      switch (layer.kind) {
        case Layer::Kind::convolution:
          results.push_back(at::conv2d(x, *parameter++, {}, signed_of(layer.stride),
                                       signed_of((layer.kernel - 1) / 2), 1,
                                       signed_of(layer.groups)));
          break;
        case Layer::Kind::batch_norm:
          results.push_back(at::batch_norm(x, parameter[0], parameter[1], statistic[0],
                                           statistic[1], !frozen_statistics, 0.1, 1e-5, false));
          parameter += 2;
          statistic += 2;
          break;
        case Layer::Kind::relu:
          out.nearest_to_zero =
              std::min(out.nearest_to_zero, x.detach().abs().min().item<double>());
          results.push_back(at::relu(x));
          break;
        case Layer::Kind::add:
          results.push_back(x + results[layer.other]);
          break;
        case Layer::Kind::max_pool:
          results.push_back(at::max_pool2d(x, 3, 2, 1));
          break;
        case Layer::Kind::mean:
          results.push_back(x.mean({2, 3}));
          break;
        case Layer::Kind::linear:
          results.push_back(at::linear(x, parameter[0], parameter[1]));
          parameter += 2;
          break;
      }
    }
    const at::Tensor loss = at::cross_entropy_loss(results.back(), at::tensor(targets_, at::kLong),
                                                   {}, at::Reduction::Sum, -100, 0.1);
    loss.backward();
    out.loss = loss.item<double>();
    for (const at::Tensor& one : learned) {
      const at::Tensor gradient = one.grad().contiguous();
      const double* const values = gradient.data_ptr<double>();
      out.gradients.insert(out.gradients.end(), values, values + gradient.numel());
    }
    return out;
  }
  /// The parameters from `begin` on that these pieces are, in double precision.
  std::vector<at::Tensor> in_double(const std::vector<model::Model::Piece>& pieces,
                                    std::size_t begin) const {
    std::vector<at::Tensor> out;
    for (const model::Model::Piece& piece : pieces) {
      const std::vector<std::int64_t> shape(piece.shape.begin(), piece.shape.end());
      const std::size_t size = model::elements(piece);
      const std::vector<float> values(parameters_.begin() + signed_of(begin),
                                      parameters_.begin() + signed_of(begin + size));
      out.push_back(at::tensor(values, at::kDouble).reshape(shape));
      begin += size;
    }
    return out;
  }
  static std::int64_t signed_of(std::size_t n) { return static_cast<std::int64_t>(n); }

  /// ‖a − b‖ / ‖b‖ of the gradients.
  static double apart(const Step& a, const Exact& b) {
    double difference = 0;
    double size = 0;
    for (std::size_t i = 0; i < b.gradients.size(); ++i) {
      difference += std::pow(a.sums[i] - 0.25 - b.gradients[i], 2);
      size += b.gradients[i] * b.gradients[i];
    }
    return std::sqrt(difference / size);
  }
  /// ‖a − b‖ / ‖b‖ over a range of the sums.
  static double apart(const Step& a, const Step& b, std::size_t begin, std::size_t end) {
    double difference = 0;
    double size = 0;
    for (std::size_t i = begin; i < end; ++i) {
      difference += std::pow(static_cast<double>(a.sums[i]) - static_cast<double>(b.sums[i]), 2);
      size += std::pow(static_cast<double>(b.sums[i]) - 0.25, 2);
    }
    return std::sqrt(difference / size);
  }

  Network network_;
  std::vector<float> parameters_;
  std::size_t learned_ = 0;
  std::vector<float> images_;
  std::vector<std::int64_t> targets_;
  std::vector<model::Input> inputs_;
  data::Tensor target_;
};

// The seeds are such that no value before a ReLU is nearly zero.
INSTANTIATE_TEST_SUITE_P(, FusedEngine,
                         testing::Values(Case{"separable", separable, {3, 13, 10}, 9, 1, 7},
                                         Case{"separable", separable, {3, 32, 32}, 70, 2, 9},
                                         Case{"separable", separable, {1, 37, 32}, 2, 3, 8},
                                         Case{"residual", residual, {3, 45, 38}, 5, 1, 7},
                                         Case{"residual", residual, {1, 32, 64}, 33, 2, 11}));

TEST_P(FusedEngine, GivesTheGradientsOfDoublePrecision) {
  for (const bool frozen : {false, true}) {
    model::EngineSettings settings = this->settings();
    settings.frozen_statistics = frozen;
    const Step ours = step(*fused(settings));
    const Exact expected = exact(frozen);
    ASSERT_GT(expected.nearest_to_zero, 3e-7) << frozen;
    EXPECT_NEAR(ours.totals.loss, expected.loss, 1e-6 * expected.loss) << frozen;
    EXPECT_LT(apart(ours, expected), 5e-6) << frozen;
  }
}

TEST_P(FusedEngine, GivesTheStatisticsOfLibtorch) {
  for (const bool frozen : {false, true}) {
    model::EngineSettings settings = this->settings();
    settings.frozen_statistics = frozen;
    const Step theirs = step(*make_network_engine(network_, settings));
    const Step ours = step(*fused(settings));
    EXPECT_EQ(ours.totals.correct, theirs.totals.correct);
    if (frozen)
      for (std::size_t i = learned_; i < parameters_.size(); ++i) ASSERT_EQ(ours.sums[i], 0.25F);
    else
      EXPECT_LT(apart(ours, theirs, learned_, parameters_.size()), 1e-5);
  }
}

TEST_P(FusedEngine, PredictsLikeLibtorch) {
  const std::vector<float> theirs =
      make_network_engine(network_, settings())->infer(pass(), parameters_);
  const std::vector<float> ours = fused(settings())->infer(pass(), parameters_);
  ASSERT_EQ(ours.size(), GetParam().rows * kClasses);
  ASSERT_EQ(ours.size(), theirs.size());
  for (std::size_t i = 0; i < ours.size(); ++i) ASSERT_NEAR(ours[i], theirs[i], 1e-4);
}

TEST_P(FusedEngine, GivesTheSameBitsAgain) {
  for (const bool bf16 : {false, true}) {
    model::EngineSettings settings = this->settings();
    settings.bf16 = bf16;
    const auto engine = fused(settings);
    const Step first = step(*engine);
    engine->evaluate(pass(), parameters_);
    EXPECT_EQ(step(*engine).sums, first.sums) << bf16;
    EXPECT_EQ(step(*fused(settings)).sums, first.sums) << bf16;
  }
}

TEST_P(FusedEngine, IsCloseToThatInBfloat16) {
  const Step wide = step(*fused(settings()));
  model::EngineSettings settings = this->settings();
  settings.bf16 = true;
  const Step narrow = step(*fused(settings));
  EXPECT_NEAR(narrow.totals.loss, wide.totals.loss, 0.05 * wide.totals.loss);
  EXPECT_LT(apart(narrow, wide, 0, learned_), 0.25);  // 8 bits, and signs of ReLU that change
  EXPECT_NE(narrow.sums, wide.sums);
}

TEST(FusedEngineOf, OtherNetworksIsNone) {
  const auto has_engine = [](const Network& network) {
    return make_fused_engine(network, {}) != nullptr;
  };
  const Image images{3, 32, 32};
  EXPECT_TRUE(has_engine(separable(images)));
  Network bare(images);  // a convolution that is not normalized
  bare.linear("out", bare.mean(bare.relu(bare.convolution("a", Layer::kImages, 16, 3))), kClasses);
  EXPECT_FALSE(has_engine(bare));
  Network odd(images);  // 24 channels
  const std::size_t x = odd.convolution("a", Layer::kImages, 24, 3);
  odd.linear("out", odd.mean(odd.relu(odd.batch_norm("b", x))), kClasses);
  EXPECT_FALSE(has_engine(odd));
}

}  // namespace
}  // namespace lambdaml::torch_library
