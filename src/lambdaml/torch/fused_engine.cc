#include "lambdaml/torch/fused_engine.h"

#include <optional>

#include <torch/script.h>

#include "lambdaml/torch/fused_pass.h"
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

  model::Totals train(std::span<const float> images, std::span<const std::int64_t> targets,
                      std::span<const float> parameters, std::span<float> sums,
                      std::uint64_t) override {
    return guarded("training", [&] {
      return settings_.bf16 ? train_with(narrow_, images, targets, parameters, sums)
                            : train_with(wide_, images, targets, parameters, sums);
    });
  }

  void infer(std::span<const float> images, std::size_t rows, std::span<const float> parameters,
             std::span<float> logits) override {
    guarded("evaluating", [&] {
      const at::NoGradGuard no_gradients;
      const at::Tensor features =
          pass(wide_).forward(images, rows, parameters, Normalizing::evaluating);
      const at::Tensor out =
          at::linear(features, weights(writable(parameters)), bias(writable(parameters)));
      view_of(logits, out.sizes().vec()).copy_(out);
      return 0;
    });
  }

 private:
  template <class T>
  FusedPass<T>& pass(std::optional<FusedPass<T>>& made) {
    if (!made) made.emplace(plan_, settings_.threads, MergeSums());
    return *made;
  }

  template <class T>
  model::Totals train_with(std::optional<FusedPass<T>>& made, std::span<const float> images,
                           std::span<const std::int64_t> targets, std::span<const float> parameters,
                           std::span<float> sums) {
    const bool frozen = settings_.frozen_statistics;
    at::Tensor features =
        pass(made).forward(images, targets.size(), parameters,
                           frozen ? Normalizing::by_frozen : Normalizing::by_batch);
    features.requires_grad_(true);
    const auto learned = [](at::Tensor tensor, const at::Tensor& gradient) {
      tensor.requires_grad_(true);
      tensor.mutable_grad() = gradient;
      return tensor;
    };
    const at::Tensor logits =
        at::linear(features, learned(weights(writable(parameters)), weights(sums)),
                   learned(bias(writable(parameters)), bias(sums)));
    const model::Totals totals = loss_and_gradient(logits, targets, settings_.label_smoothing);
    pass(made).backward(features.grad().contiguous(), sums);
    return totals;
  }

  at::Tensor weights(std::span<float> flat) const {
    const auto inputs = plan_.activations[plan_.head].channels;
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
  std::optional<FusedPlan> plan = plan_of(network);
  if (!plan) return nullptr;
  return std::make_unique<FusedEngine>(std::move(*plan), make_network_engine(network, settings),
                                       settings);
}

}  // namespace lambdaml::torch_library
