#include "lambdaml/torch/network_engine.h"

#include <cmath>

#include <ATen/CPUGeneratorImpl.h>
#include <torch/script.h>

#include "lambdaml/base/error.h"
#include "lambdaml/model/frozen.h"
#include "lambdaml/torch/losses.h"
#include "lambdaml/torch/tensors.h"

namespace lambdaml::torch_library {
namespace {

using model::Layer;

class NetworkEngine final : public model::Engine {
 public:
  NetworkEngine(const model::Network& network, const model::EngineSettings& settings)
      : layers_(network.layers()),
        settings_(settings),
        vectors_(network.learned(), network.statistics()),
        frozen_(model::frozen_of(settings.freeze, network.learned(), network.statistics(),
                                 "the network")),
        last_use_(layers_.size()) {
    use_threads(settings.threads);
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      last_use_[i] = i;
      for (const std::size_t from : {layers_[i].input, layers_[i].other})
        if (from != Layer::kImages) last_use_[from] = i;
    }
  }

  /// Like PyTorch's modules made in the order of the layers: uniform in ±1/√(inputs of an output)
  /// for convolutions and linear layers and their biases.
  void initialize(std::uint64_t seed, std::span<float> parameters) override {
    const at::Generator generator = at::detail::createCPUGenerator(seed);
    const std::vector<at::Tensor> learned = vectors_.learned(parameters);
    auto tensor = learned.begin();
    for (const Layer& layer : layers_) {
      const std::size_t inputs = layer.channels_in / layer.groups * layer.kernel * layer.kernel;
      const double bound = 1 / std::sqrt(static_cast<double>(inputs));
      if (layer.kind == Layer::Kind::convolution || layer.kind == Layer::Kind::linear)
        (tensor++)->uniform_(-bound, bound, generator);
      if (layer.kind == Layer::Kind::linear) (tensor++)->uniform_(-bound, bound, generator);
      if (layer.kind == Layer::Kind::batch_norm) {
        (tensor++)->fill_(1);
        (tensor++)->fill_(0);
      }
    }
    const std::vector<at::Tensor> statistics = vectors_.statistics(parameters);
    for (std::size_t i = 0; i < statistics.size(); i += 2) {
      statistics[i].fill_(0);
      statistics[i + 1].fill_(1);
    }
  }

  model::Totals train(const model::Pass& pass, std::span<const float> parameters,
                      std::span<float> sums) override {
    return guarded("training", [&] {
      if (pass.merge != nullptr)
        fail(
            Code::invalid_argument,
            "sync_batch_norm: this build runs networks by libtorch, which normalizes each worker's "
            "batch by itself; install libdnnl-dev and build again");
      std::vector<at::Tensor> weights = vectors_.with_gradients(parameters, sums);
      for (std::size_t i = 0; i < weights.size(); ++i)
        if (frozen_.learned[i]) weights[i].detach_();
      std::vector<at::Tensor> statistics = vectors_.copy_of_statistics(parameters);
      const bool moving = !settings_.frozen_statistics;
      const at::Tensor logits = forward(images_of(pass), weights, statistics, moving);
      const model::Totals totals = totals_of(logits, pass, settings_, Purpose::learn);
      if (moving)
        vectors_.add_changes(statistics, parameters, static_cast<double>(pass.rows), sums);
      return totals;
    });
  }

  model::Totals evaluate(const model::Pass& pass, std::span<const float> parameters) override {
    return guarded("evaluating", [&] {
      return totals_of(logits_of(pass, parameters), pass, settings_, Purpose::judge);
    });
  }

  std::vector<float> infer(const model::Pass& pass, std::span<const float> parameters) override {
    return guarded("evaluating", [&] { return numbers_in(logits_of(pass, parameters)); });
  }

 private:
  static at::Tensor images_of(const model::Pass& pass) {
    if (pass.inputs.size() != 1)
      fail(Code::internal, "a network of images gets {} inputs", pass.inputs.size());
    return tensor_of(pass.inputs[0], pass.rows);
  }

  /// In evaluation mode.
  at::Tensor logits_of(const model::Pass& pass, std::span<const float> parameters) const {
    const at::NoGradGuard no_gradients;
    std::vector<at::Tensor> statistics = vectors_.statistics(writable(parameters));
    return forward(images_of(pass), vectors_.learned(writable(parameters)), statistics, false);
  }

  /// Modifies `statistics` if they are `moving`.
  at::Tensor forward(const at::Tensor& images, const std::vector<at::Tensor>& weights,
                     std::vector<at::Tensor>& statistics, bool moving) const {
    // PyTorch's own defaults.
    constexpr double kMomentum = 0.1;
    constexpr double kEpsilon = 1e-5;
    const bool narrow = settings_.bf16 && at::GradMode::is_enabled();
    const auto cast = [&](const at::Tensor& x) { return narrow ? x.to(at::kBFloat16) : x; };
    const at::Tensor first = cast(images);
    std::vector<at::Tensor> results(layers_.size());
    auto weight = weights.begin();
    std::size_t statistic = 0;
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      const Layer& layer = layers_[i];
      const at::Tensor& x = layer.input == Layer::kImages ? first : results[layer.input];
      at::Tensor out;
      switch (layer.kind) {
        case Layer::Kind::convolution: {
          const auto padding = static_cast<std::int64_t>((layer.kernel - 1) / 2);
          const auto stride = static_cast<std::int64_t>(layer.stride);
          out = at::conv2d(x, cast(*weight++), {}, stride, padding, 1,
                           static_cast<std::int64_t>(layer.groups));
          break;
        }
        case Layer::Kind::batch_norm: {
          const at::Tensor& scale = *weight++;
          const at::Tensor& shift = *weight++;
          out =
              at::batch_norm(x, scale, shift, statistics[statistic], statistics[statistic + 1],
                             moving && !frozen_.statistics[statistic], kMomentum, kEpsilon, false);
          statistic += 2;
          break;
        }
        case Layer::Kind::relu:
          // Neither batch normalization nor a sum needs its result in the backward pass.
          out = at::relu_(results[layer.input]);
          break;
        case Layer::Kind::add:
          out = x + results[layer.other];
          break;
        case Layer::Kind::max_pool:
          out = at::max_pool2d(x, 3, 2, 1);
          break;
        case Layer::Kind::mean:
          out = x.to(at::kFloat).mean({2, 3});
          break;
        case Layer::Kind::linear: {
          const at::Tensor& matrix = *weight++;
          out = at::linear(x, matrix, *weight++);
          break;
        }
      }
      results[i] = std::move(out);
      for (const std::size_t from : {layer.input, layer.other})
        if (from != Layer::kImages && last_use_[from] == i) results[from].reset();
    }
    return results.back();
  }

  std::vector<Layer> layers_;
  model::EngineSettings settings_;
  FlatVectors vectors_;
  model::Frozen frozen_;
  std::vector<std::size_t> last_use_;  ///< the last layer that takes the result of layer i
};

}  // namespace

std::unique_ptr<model::Engine> make_network_engine(const model::Network& network,
                                                   const model::EngineSettings& settings) {
  return std::make_unique<NetworkEngine>(network, settings);
}

}  // namespace lambdaml::torch_library
