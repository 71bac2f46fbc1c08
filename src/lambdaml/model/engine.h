#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lambdaml/data/tensors.h"
#include "lambdaml/model/network.h"
#include "lambdaml/tensor/safetensors.h"

/// The interface to the library that runs neural networks. It is loaded when the first deep model
/// is used, because its dependencies take half a gigabyte (ADR 18). None of its types appear here.
namespace lambdaml::model {

/// What training minimizes, from a network's output and the target.
enum class Loss {
  cross_entropy,    ///< of logits [classes, …] and class numbers […]
  bce_with_logits,  ///< of logits and 0 … 1 of the same shape
  mse,              ///< squared error; output and target have the same shape, as below
  l1,               ///< absolute error
  huber,            ///< ½ error² up to 1, |error| − ½ beyond
  module,           ///< the output itself, of a network that also takes the target
};

constexpr Loss kLosses[] = {Loss::cross_entropy, Loss::bce_with_logits, Loss::mse, Loss::l1,
                            Loss::huber,         Loss::module};

struct EngineSettings {
  std::size_t threads = 1;
  bool bf16 = false;               ///< convolutions in bfloat16; parameters and sums stay float32
  bool frozen_statistics = false;  ///< batch normalization uses the statistics in training too
  double label_smoothing = 0;
  /// What stays as it is, as for frozen_of(). A network of this program computes no gradient for it
  /// and normalizes by its statistics; of a network from a file it is not among the pieces.
  std::string freeze = {};
  Loss loss = Loss::cross_entropy;
  /// Cross-entropy: a class number that stands for no target (padding).
  std::optional<std::int64_t> ignored_target = {};
  /// Cross-entropy: a factor of the loss of each class; 1 for those beyond.
  std::vector<float> class_weights = {};
};

/// A tensor that a network takes.
struct Input {
  data::Tensor tensor;
  /// An image [channels, height, width] of which the channels of a pixel lie side by side.
  bool pixel_by_pixel = false;
};

/// Adds up numbers over all workers, in place. All call it in the same order with as many numbers.
using MergeNumbers = std::function<void(std::span<double>)>;

/// The rows of one pass through a network. A view.
struct Pass {
  std::size_t rows = 0;
  /// By position or, where the network's inputs have names, by name. Networks of this program take
  /// one: float32 images, pixel by pixel, from data::normalize_image().
  std::span<const Input> inputs = {};
  /// int64 for class numbers, of which −1 adds no loss, else float32. Null for infer().
  const data::Tensor* target = nullptr;
  std::span<const float> weights = {};  ///< factors of the rows' losses; empty: 1
  std::uint64_t seed = 0;               ///< of random layers
  /// Only for train(): batch normalization is by the rows of all workers' passes, of which this one
  /// may have none. Null: by those of this pass.
  const MergeNumbers* merge = nullptr;
};

/// One network, ready to run. Used by one thread. Parameters and sums are the caller's contiguous
/// vectors, used in place: the learned pieces, followed by the statistics.
///
/// The loss of a row is the mean over the numbers of its target, so that losses of rows add up. A
/// target that is ignored adds nothing, and Totals::rows counts the row only by its share of other
/// targets.
class Engine {
 public:
  virtual ~Engine() = default;

  /// The initial parameters, equal to PyTorch's for that seed.
  virtual void initialize(std::uint64_t seed, std::span<float> parameters) = 0;

  /// One forward and backward pass in training mode. Adds the gradient sums, and rows · change of
  /// the statistics, to `sums`. Totals::correct is computed from the output of this pass. Throws
  /// invalid_argument for Pass::merge if the engine cannot normalize over workers.
  virtual Totals train(const Pass& pass, std::span<const float> parameters,
                       std::span<float> sums) = 0;

  /// The totals in evaluation mode, without label smoothing and class weights.
  virtual Totals evaluate(const Pass& pass, std::span<const float> parameters) = 0;

  /// The output in evaluation mode: rows × LoadedNetwork::output numbers.
  virtual std::vector<float> infer(const Pass& pass, std::span<const float> parameters) = 0;

  /// Of a network from a file; see the functions of these names of Model. to_empty_file(): what
  /// Shape::definition has to be for a model file.
  virtual std::vector<tensor::Tensor> further_tensors(std::span<const float> parameters) const {
    (void)parameters;
    return {};
  }
  virtual void restore(const tensor::SafetensorsFile& file) { (void)file; }
  virtual std::optional<Buffer> to_file(std::span<const float> parameters) {
    (void)parameters;
    return {};
  }
  virtual std::optional<Buffer> to_empty_file() { return {}; }
};

/// A network from a file, with its properties.
struct LoadedNetwork {
  std::unique_ptr<Engine> engine;
  std::vector<Model::Piece> learned;
  std::vector<Model::Piece> statistics;
  /// The output's shape for one row, empty if it is one number; nullopt if the network only gives
  /// its loss.
  std::optional<std::vector<std::size_t>> output;
  std::uint64_t activation_bytes = 0;  ///< per row, kept for the backward pass; estimated
};

/// What a TorchScript module will be called with.
struct ScriptShape {
  std::vector<data::TensorShape> inputs;
  data::TensorShape target;
};

/// The library's entry points. They throw only lambdaml::Error.
struct EngineLibrary {
  static constexpr int kVersion = 3;
  int version = kVersion;
  std::unique_ptr<Engine> (*network)(const Network& network, const EngineSettings& settings);
  /// Reads a TorchScript file and runs it once on zeros of the shapes that it will get; `what`
  /// names it in errors. Throws invalid_argument if it does not take the inputs, fails on them,
  /// returns what the loss does not take or has no parameters to learn, data_corrupt if it cannot
  /// be read.
  LoadedNetwork (*script)(Bytes file, const std::string& what, const ScriptShape& shape,
                          const EngineSettings& settings);
};

/// The library, loaded on the first call. Throws invalid_argument if this build has none,
/// unavailable if this machine lacks something that it needs.
const EngineLibrary& engine_library();
/// Throws invalid_argument if this build has no library; loads nothing.
void require_engine_library(const std::string& model);

/// From now on this process does not load the library: engine_library() throws unavailable. For
/// programs that are not ours, such as an interpreter, which may use another libtorch themselves.
/// To be called before other threads use models.
void keep_engine_library_out();
bool engine_library_is_kept_out();

}  // namespace lambdaml::model
