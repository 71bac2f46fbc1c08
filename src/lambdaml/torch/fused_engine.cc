#include "lambdaml/torch/fused_engine.h"

#include <optional>
#include <utility>

#include <torch/script.h>

#include "lambdaml/base/error.h"
#include "lambdaml/torch/fused_pass.h"
#include "lambdaml/torch/losses.h"
#include "lambdaml/torch/network_engine.h"
#include "lambdaml/torch/tensors.h"

namespace lambdaml::torch_library {
namespace {

class FusedEngine final : public model::Engine {
 public:
  FusedEngine(FusedPlan plan, std::unique_ptr<model::Engine> initializer,
              const model::EngineSettings& settings)
      : plan_(std::move(plan)), initializer_(std::move(initializer)), settings_(settings) {
    use_threads(settings.threads);
  }

  void initialize(std::uint64_t seed, std::span<float> parameters) override {
    initializer_->initialize(seed, parameters);
  }

  model::Totals train(const model::Pass& pass, std::span<const float> parameters,
                      std::span<float> sums) override {
    return guarded("training", [&] {
      return settings_.bf16 ? train_with(narrow_, pass, parameters, sums)
                            : train_with(wide_, pass, parameters, sums);
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
  template <class T>
  FusedPass<T>& pass_in(std::optional<FusedPass<T>>& made) {
    if (!made) made.emplace(plan_, settings_.threads);
    return *made;
  }

  /// Pixel by pixel.
  static at::Tensor images_of(const model::Pass& pass) {
    if (pass.inputs.size() != 1)
      fail(Code::internal, "a network of images gets {} inputs", pass.inputs.size());
    return tensor_of(pass.inputs[0], pass.rows).contiguous(at::MemoryFormat::ChannelsLast);
  }
  static std::span<const float> numbers_of(const at::Tensor& tensor) {
    return {tensor.data_ptr<float>(), static_cast<std::size_t>(tensor.numel())};
  }

  template <class T>
  model::Totals train_with(std::optional<FusedPass<T>>& made, const model::Pass& pass,
                           std::span<const float> parameters, std::span<float> sums) {
    const at::Tensor images = images_of(pass);
    const auto normalizing =
        settings_.frozen_statistics ? Normalizing::by_frozen : Normalizing::by_batch;
    FusedPass<T>& fused = pass_in(made);
    at::Tensor features =
        fused.forward(numbers_of(images), pass.rows, parameters, normalizing, pass.merge);
    const bool goes_back = plan_.first_learned < plan_.steps.size();
    if (pass.rows == 0) {  // only other workers have rows
      if (goes_back) fused.backward(features, sums);
      return {};
    }
    features.requires_grad_(goes_back);
    const auto learned = [](at::Tensor tensor, const at::Tensor& gradient) {
      tensor.requires_grad_(true);
      tensor.mutable_grad() = gradient;
      return tensor;
    };
    const at::Tensor logits =
        at::linear(features, learned(weights(writable(parameters)), weights(sums)),
                   learned(bias(writable(parameters)), bias(sums)));
    const model::Totals totals = totals_of(logits, pass, settings_, Purpose::learn);
    if (goes_back) fused.backward(features.grad().contiguous(), sums);
    return totals;
  }

  /// In evaluation mode, and in float32: these passes take little of a job's time.
  at::Tensor logits_of(const model::Pass& pass, std::span<const float> parameters) {
    const at::NoGradGuard no_gradients;
    const at::Tensor images = images_of(pass);
    const at::Tensor features =
        pass_in(wide_).forward(numbers_of(images), pass.rows, parameters, Normalizing::evaluating);
    return at::linear(features, weights(writable(parameters)), bias(writable(parameters)));
  }

  at::Tensor weights(std::span<float> flat) const {
    const std::size_t inputs = plan_.activations[plan_.head].channels;
    return view_of(flat.subspan(plan_.linear_weights, plan_.classes * inputs),
                   {static_cast<std::int64_t>(plan_.classes), static_cast<std::int64_t>(inputs)});
  }
  at::Tensor bias(std::span<float> flat) const {
    return view_of(flat.subspan(plan_.linear_bias, plan_.classes),
                   {static_cast<std::int64_t>(plan_.classes)});
  }

  FusedPlan plan_;
  std::unique_ptr<model::Engine> initializer_;
  model::EngineSettings settings_;
  std::optional<FusedPass<float>> wide_;
  std::optional<FusedPass<Bf16>> narrow_;
};

}  // namespace

std::unique_ptr<model::Engine> make_fused_engine(const model::Network& network,
                                                 const model::EngineSettings& settings) {
  std::optional<FusedPlan> plan = plan_of(
      network,
      model::frozen_of(settings.freeze, network.learned(), network.statistics(), "the network"));
  if (!plan) return nullptr;
  return std::make_unique<FusedEngine>(std::move(*plan), make_network_engine(network, settings),
                                       settings);
}

}  // namespace lambdaml::torch_library
