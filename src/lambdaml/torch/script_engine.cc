#include <algorithm>

#include <ATen/autocast_mode.h>
#include <fmt/format.h>
#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/script.h>
#include <torch/version.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"
#include "lambdaml/torch/losses.h"
#include "lambdaml/torch/memory.h"
#include "lambdaml/torch/network_engine.h"
#include "lambdaml/torch/script_module.h"
#include "lambdaml/torch/tensors.h"

/// TorchScript modules as networks.
namespace lambdaml::torch_library {
namespace {

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

/// The tensors that a method of a module takes, out of those that there are.
struct Call {
  std::string method;
  std::vector<std::size_t> given;  ///< by position in the list of all
  std::vector<std::string> names;  ///< of the method's arguments
  bool by_name = false;
};

/// By name if every argument without a default has that of a tensor, else by position. Throws
/// invalid_argument, naming both, if neither fits.
Call call_of(const ::torch::jit::Method& method, const std::vector<data::TensorShape>& available) {
  Call call{.method = method.name(), .given = {}, .names = {}};
  const std::vector<c10::Argument>& arguments = method.function().getSchema().arguments();
  std::size_t required = 0;
  std::size_t named = 0;
  for (std::size_t i = 1; i < arguments.size(); ++i) {  // the first one is the module
    const bool is_required = !arguments[i].default_value();
    required += is_required ? 1 : 0;
    call.names.push_back(arguments[i].name());
    const auto found = std::ranges::find(available, arguments[i].name(), &data::TensorShape::name);
    named += is_required && found != available.end() ? 1 : 0;
  }
  const std::vector<std::string> all = call.names;
  call.by_name = named == required && required > 0;
  if (call.by_name) {
    call.names.clear();
    for (const std::string& name : all) {
      const auto found = std::ranges::find(available, name, &data::TensorShape::name);
      if (found == available.end()) continue;
      call.names.push_back(name);
      call.given.push_back(static_cast<std::size_t>(found - available.begin()));
    }
    return call;
  }
  if (available.size() < required || available.size() > all.size()) {
    std::vector<std::string> texts;
    for (const data::TensorShape& tensor : available) texts.push_back(tensor.text());
    fail(Code::invalid_argument, "{} takes ({}), and the data have {}", call.method,
         join(all, ", "), join(texts, ", "));
  }
  for (std::size_t i = 0; i < available.size(); ++i) call.given.push_back(i);
  call.names.resize(available.size());
  return call;
}

/// The result of work(); what it throws says which module it was, whose file or data are at fault.
template <class Work>
auto in_context(const std::string& what, const Work& work) {
  try {
    return work();
  } catch (const Error&) {
    rethrow_with(what);
  } catch (...) {
    rethrow(what, Code::invalid_argument);
  }
}

class ScriptEngine final : public model::Engine {
 public:
  ScriptEngine(Bytes file, const std::string& what, model::ScriptShape shape,
               const model::EngineSettings& settings)
      : what_(what),
        shape_(std::move(shape)),
        settings_(settings),
        script_(file, what, settings.freeze) {
    use_threads(settings.threads);
    // Optimized graphs round differently from those still being profiled, and a resumed run must
    // give the same bits.
    ::torch::jit::setGraphExecutorOptimize(false);
    loaded.learned = script_.learned();
    loaded.statistics = script_.statistics();
    in_context(what_, [&] {
      choose_calls();
      probe();
      return 0;
    });
  }

  void initialize(std::uint64_t, std::span<float> parameters) override {
    script_.initial(parameters);
  }

  model::Totals train(const model::Pass& pass, std::span<const float> parameters,
                      std::span<float> sums) override {
    return in_context(what_, [&] {
      at::Generator random = at::globalContext().defaultGenerator(at::kCPU);
      random.set_current_seed(pass.seed);
      script_.put(parameters);
      std::vector<at::Tensor>& weights = script_.weights();
      const std::vector<at::Tensor> gradients = script_.vectors().learned(sums);
      for (std::size_t i = 0; i < weights.size(); ++i) weights[i].mutable_grad() = gradients[i];
      script_.train(!settings_.frozen_statistics);
      const at::Tensor output = [&] {
        const std::optional<Narrow> narrow =
            settings_.bf16 ? std::optional<Narrow>(std::in_place) : std::nullopt;
        return run(*learning_, pass);
      }();
      const model::Totals totals = totals_of(output, pass, settings_, Purpose::learn);
      for (at::Tensor& weight : weights) weight.mutable_grad().reset();
      script_.vectors().add_changes(script_.buffers(), parameters, static_cast<double>(pass.rows),
                                    sums);
      return totals;
    });
  }

  model::Totals evaluate(const model::Pass& pass, std::span<const float> parameters) override {
    return in_context(what_, [&] {
      const at::NoGradGuard no_gradients;
      script_.put(parameters);
      script_.module().eval();
      return totals_of(run(*learning_, pass), pass, settings_, Purpose::judge);
    });
  }

  std::vector<float> infer(const model::Pass& pass, std::span<const float> parameters) override {
    return in_context(what_, [&] {
      if (!predicting_)
        fail(Code::invalid_argument,
             "its forward returns the loss and takes the target, so it cannot predict: give the "
             "module a method predict that takes the inputs (@torch.jit.export)");
      const at::NoGradGuard no_gradients;
      script_.put(parameters);
      script_.module().eval();
      return numbers_in(output_of(pass));
    });
  }

  std::vector<tensor::Tensor> further_tensors(std::span<const float> parameters) const override {
    return script_.further_tensors(parameters);
  }
  void restore(const tensor::SafetensorsFile& file) override { script_.restore(file); }
  std::optional<Buffer> to_file(std::span<const float> parameters) override {
    return in_context(what_, [&] { return std::optional(script_.to_file(parameters)); });
  }
  std::optional<Buffer> to_empty_file() override {
    return in_context(what_, [&] { return std::optional(script_.to_empty_file()); });
  }

  model::LoadedNetwork loaded;  ///< all but the engine

 private:
  void choose_calls() {
    std::vector<data::TensorShape> available = shape_.inputs;
    if (settings_.loss != model::Loss::module) {
      learning_ = call_of(script_.module().get_method("forward"), available);
      predicting_ = learning_;
      return;
    }
    if (const auto method = script_.module().find_method("predict"))
      predicting_ = call_of(*method, available);
    available.push_back(shape_.target);
    learning_ = call_of(script_.module().get_method("forward"), available);
  }

  /// "forward(x: float32 [8, 28])".
  static std::string text_of_call(const Call& call, const std::vector<at::Tensor>& tensors) {
    std::vector<std::string> texts;
    for (std::size_t i = 0; i < tensors.size(); ++i)
      texts.push_back(fmt::format("{}: {}", call.names[i], text_of(tensors[i])));
    return fmt::format("{}({})", call.method, join(texts, ", "));
  }

  at::Tensor run(const Call& call, const model::Pass& pass) {
    std::vector<at::Tensor> tensors;
    for (const std::size_t i : call.given)
      tensors.push_back(i < pass.inputs.size() ? tensor_of(pass.inputs[i], pass.rows)
                                               : tensor_of(*pass.target, pass.rows));
    std::vector<c10::IValue> positions;
    ::torch::jit::Kwargs names;
    for (std::size_t i = 0; i < tensors.size(); ++i)
      if (call.by_name)
        names.emplace(call.names[i], tensors[i]);
      else
        positions.emplace_back(tensors[i]);
    c10::IValue out;
    try {
      out = script_.module().get_method(call.method)(std::move(positions), names);
    } catch (const std::exception& error) {
      if (is_out_of_memory(error)) throw std::bad_alloc();
      std::vector<std::string> given;
      for (const model::Input& input : pass.inputs) given.push_back(input.tensor.text());
      fail(Code::invalid_argument, "{} fails: libtorch says: {}; the data give {}",
           text_of_call(call, tensors), own_message(error.what()), join(given, ", "));
    }
    if (!out.isTensor())
      fail(Code::invalid_argument, "{} returns a {} instead of a tensor",
           text_of_call(call, tensors), out.tagKind());
    return out.toTensor();
  }

  /// Of predicting_; a row for each of the pass.
  at::Tensor output_of(const model::Pass& pass) {
    const at::Tensor output = run(*predicting_, pass);
    if (output.dim() == 0 || output.size(0) != static_cast<std::int64_t>(pass.rows) ||
        !output.is_floating_point())
      fail(Code::invalid_argument,
           "{} returns {} for {} rows instead of floating-point numbers [{}, …]",
           predicting_->method, text_of(output), pass.rows, pass.rows);
    return output;
  }

  /// Rows of zeros.
  class Zeros {
   public:
    Zeros(const model::ScriptShape& shape, std::size_t rows) {
      const auto zeros_of = [&](const data::TensorShape& of) {
        // Aligned for every type, because a vector's memory comes from operator new.
        bytes_.emplace_back(std::max<std::size_t>(rows * of.row_bytes(), 1));
        return data::Tensor{of, bytes_.back().data()};
      };
      for (const data::TensorShape& input : shape.inputs) inputs_.push_back({zeros_of(input)});
      target_ = zeros_of(shape.target);
      pass_ = {.rows = rows, .inputs = inputs_, .target = &target_};
    }
    Zeros(const Zeros&) = delete;
    const model::Pass& pass() const { return pass_; }

   private:
    std::vector<std::vector<std::byte>> bytes_;
    std::vector<model::Input> inputs_;
    data::Tensor target_;
    model::Pass pass_;
  };

  /// What a pass of so many rows keeps for the backward pass.
  std::uint64_t bytes_kept_by(std::size_t rows) {
    const Zeros zeros(shape_, rows);
    const std::uint64_t before = bytes_of_tensors();
    const at::Tensor output = run(*learning_, zeros.pass());
    return bytes_of_tensors() - before;
  }

  /// Runs two rows of zeros once: whatever does not fit is said before anything begins.
  void probe() {
    // Gradients of activations are there besides, and oneDNN's copies in its own layouts: with two
    // convolutions, batch norms and ReLUs a row took 2.46 times what is kept.
    constexpr double kBesidesKept = 2.5;
    const Zeros two(shape_, 2);
    const model::Pass& pass = two.pass();
    script_.module().eval();
    const at::Tensor output = run(*learning_, pass);
    if (!output.requires_grad())
      fail(Code::invalid_argument, "what forward returns depends on no parameter that is learned");
    {
      const at::NoGradGuard no_gradients;
      totals_of(output.detach(), pass, settings_, Purpose::judge);
    }
    // By the difference, because something may be kept whatever the rows.
    const std::uint64_t few = bytes_kept_by(2), more = bytes_kept_by(4);
    if (more > few)
      loaded.activation_bytes =
          static_cast<std::uint64_t>(kBesidesKept * static_cast<double>(more - few) / 2);
    if (!predicting_) return;
    const at::NoGradGuard no_gradients;
    const at::Tensor predicted = output_of(pass);
    loaded.output.emplace();
    for (const std::int64_t size : predicted.sizes().slice(1))
      loaded.output->push_back(static_cast<std::size_t>(size));
  }

  std::string what_;
  model::ScriptShape shape_;
  model::EngineSettings settings_;
  ScriptModule script_;
  std::optional<Call> learning_;    ///< forward
  std::optional<Call> predicting_;  ///< nullopt: the module only gives its loss
};

}  // namespace

model::LoadedNetwork load_script(Bytes file, const std::string& what,
                                 const model::ScriptShape& shape,
                                 const model::EngineSettings& settings) {
  auto engine = std::make_unique<ScriptEngine>(file, what, shape, settings);
  model::LoadedNetwork out = std::move(engine->loaded);
  out.engine = std::move(engine);
  return out;
}

}  // namespace lambdaml::torch_library
