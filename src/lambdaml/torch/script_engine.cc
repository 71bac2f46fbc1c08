#include <istream>
#include <streambuf>

#include <ATen/autocast_mode.h>
#include <fmt/format.h>
#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/script.h>
#include <torch/version.h>

#include "lambdaml/base/error.h"
#include "lambdaml/data/images.h"
#include "lambdaml/torch/network_engine.h"
#include "lambdaml/torch/tensors.h"

/// TorchScript modules as networks: floating-point parameters that require gradients are learned,
/// floating-point buffers are statistics, and everything else stays as in the file.
namespace lambdaml::torch_library {
namespace {

using Piece = model::Model::Piece;

/// Bytes as a stream, without a copy.
class View final : public std::streambuf {
 public:
  explicit View(Bytes bytes) {
    char* const begin = const_cast<char*>(reinterpret_cast<const char*>(bytes.data()));
    setg(begin, begin, begin + bytes.size());
  }

 private:
  pos_type seekoff(off_type offset, std::ios_base::seekdir from, std::ios_base::openmode) override {
    char* const base = from == std::ios_base::beg   ? eback()
                       : from == std::ios_base::cur ? gptr()
                                                    : egptr();
    if (offset < eback() - base || offset > egptr() - base) return pos_type(off_type(-1));
    setg(eback(), base + offset, egptr());
    return gptr() - eback();
  }
  pos_type seekpos(pos_type position, std::ios_base::openmode mode) override {
    return seekoff(off_type(position), std::ios_base::beg, mode);
  }
};

/// While an instance lives, convolutions and matrix products of this thread compute in bfloat16.
class Narrow {
 public:
  Narrow() { enable(true); }
  ~Narrow() {
    at::autocast::clear_cache();
    enable(false);
  }
  Narrow(const Narrow&) = delete;

 private:
  static void enable(bool enabled) {
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4)
    at::autocast::set_autocast_dtype(at::kCPU, at::kBFloat16);
    at::autocast::set_autocast_enabled(at::kCPU, enabled);
#else
    at::autocast::set_autocast_cpu_dtype(at::kBFloat16);
    at::autocast::set_cpu_enabled(enabled);
#endif
  }
};

class ScriptEngine final : public model::Engine {
 public:
  ScriptEngine(Bytes file, const std::string& what, const model::EngineSettings& settings)
      : what_(what), settings_(settings) {
    use_threads(settings.threads);
    // Optimized graphs round differently from those still being profiled, and a resumed run must
    // give the same bits.
    ::torch::jit::setGraphExecutorOptimize(false);
    View view(file);
    std::istream stream(&view);
    try {
      module_ = ::torch::jit::load(stream, at::kCPU);
    } catch (const std::exception& error) {
      fail(Code::data_corrupt, "{}: no TorchScript file that this libtorch reads: {}", what,
           own_message(error.what()));
    }
    const auto take = [](const std::string& name, const at::Tensor& tensor,
                         std::vector<at::Tensor>& tensors, std::vector<Piece>& pieces) {
      tensors.push_back(tensor);
      pieces.push_back({name, {tensor.sizes().begin(), tensor.sizes().end()}});
    };
    for (const auto& parameter : module_.named_parameters()) {
      if (!parameter.value.requires_grad() || parameter.value.numel() == 0) continue;
      want_float(parameter.name, parameter.value);
      take(parameter.name, parameter.value, weights_, loaded.learned);
    }
    for (const auto& buffer : module_.named_buffers())
      if (buffer.value.scalar_type() == at::kFloat && buffer.value.numel() > 0)
        take(buffer.name, buffer.value, buffers_, loaded.statistics);
    if (weights_.empty())
      fail(Code::invalid_argument, "{}: the TorchScript module carries no parameters to learn",
           what);
    for (const at::Tensor& tensor : weights_) initial_.push_back(tensor.detach().clone());
    for (const at::Tensor& tensor : buffers_) initial_.push_back(tensor.detach().clone());
    vectors_.emplace(loaded.learned, loaded.statistics);
    probe();
  }

  void initialize(std::uint64_t, std::span<float> parameters) override {
    std::vector<at::Tensor> to = vectors_->learned(parameters);
    const std::vector<at::Tensor> statistics = vectors_->statistics(parameters);
    to.insert(to.end(), statistics.begin(), statistics.end());
    for (std::size_t i = 0; i < to.size(); ++i) to[i].copy_(initial_[i]);
  }

  model::Totals train(std::span<const float> images, std::span<const std::int64_t> targets,
                      std::span<const float> parameters, std::span<float> sums,
                      std::uint64_t seed) override {
    return guarded(what_, [&] {
      at::Generator random = at::globalContext().defaultGenerator(at::kCPU);
      random.set_current_seed(seed);
      put(parameters);
      const std::vector<at::Tensor> gradients = vectors_->learned(sums);
      for (std::size_t i = 0; i < weights_.size(); ++i) weights_[i].mutable_grad() = gradients[i];
      module_.train(!settings_.frozen_statistics);
      const at::Tensor logits = [&] {
        const std::optional<Narrow> narrow =
            settings_.bf16 ? std::optional<Narrow>(std::in_place) : std::nullopt;
        return run(images_of(images, targets.size())).to(at::kFloat);
      }();
      const model::Totals totals = loss_and_gradient(logits, targets, settings_.label_smoothing);
      for (at::Tensor& weight : weights_) weight.mutable_grad().reset();
      vectors_->add_changes(buffers_, parameters, totals.rows, sums);
      return totals;
    });
  }

  void infer(std::span<const float> images, std::size_t rows, std::span<const float> parameters,
             std::span<float> logits) override {
    guarded(what_, [&] {
      const at::NoGradGuard no_gradients;
      put(parameters);
      module_.eval();
      view_of(logits, {static_cast<std::int64_t>(rows), outputs()})
          .copy_(run(images_of(images, rows)));
      return 0;
    });
  }

  model::LoadedNetwork loaded;  ///< all but the engine

 private:
  void want_float(const std::string& name, const at::Tensor& tensor) const {
    if (tensor.scalar_type() != at::kFloat)
      fail(Code::invalid_argument, "{}: the parameter '{}' is {}; export a model of float32", what_,
           name, c10::toString(tensor.scalar_type()));
  }
  std::int64_t outputs() const { return static_cast<std::int64_t>(loaded.outputs); }

  void put(std::span<const float> parameters) {
    const at::NoGradGuard no_gradients;
    const std::vector<at::Tensor> weights = vectors_->learned(writable(parameters));
    const std::vector<at::Tensor> statistics = vectors_->statistics(writable(parameters));
    for (std::size_t i = 0; i < weights.size(); ++i) weights_[i].copy_(weights[i]);
    for (std::size_t i = 0; i < statistics.size(); ++i) buffers_[i].copy_(statistics[i]);
  }

  at::Tensor run(const at::Tensor& images) {
    const c10::IValue out = module_.forward({images});
    if (!out.isTensor())
      fail(Code::invalid_argument, "{}: it returns a {} instead of a tensor of logits", what_,
           out.tagKind());
    const at::Tensor logits = out.toTensor();
    const bool fits =
        logits.dim() == 2 && logits.size(0) == images.size(0) && logits.is_floating_point();
    if (!fits || (outputs() != 0 && logits.size(1) != outputs()))
      fail(Code::invalid_argument,
           "{}: of {} images it returns a tensor of {} {} instead of logits, images × classes of "
           "float",
           what_, images.size(0), fmt::format("{}", fmt::join(logits.sizes().vec(), " × ")),
           c10::toString(logits.scalar_type()));
    return logits;
  }

  /// Runs two images once to determine the output's shape.
  void probe() {
    module_.eval();
    guarded(what_, [&] {
      const at::NoGradGuard no_gradients;
      const std::vector<float> images(2 * data::kImageValues);
      loaded.outputs = static_cast<std::size_t>(run(images_of(images, 2)).size(1));
      return 0;
    });
  }

  std::string what_;
  model::EngineSettings settings_;
  ::torch::jit::Module module_;
  std::vector<at::Tensor> weights_;  ///< the module's own tensors
  std::vector<at::Tensor> buffers_;
  std::vector<at::Tensor> initial_;
  std::optional<FlatVectors> vectors_;
};

}  // namespace

model::LoadedNetwork load_script(Bytes file, const std::string& what,
                                 const model::EngineSettings& settings) {
  auto engine = std::make_unique<ScriptEngine>(file, what, settings);
  model::LoadedNetwork out = std::move(engine->loaded);
  engine->loaded.outputs = out.outputs;
  out.engine = std::move(engine);
  return out;
}

}  // namespace lambdaml::torch_library
