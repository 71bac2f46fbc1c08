#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "lambdaml/model/network.h"

/// The interface to the library that runs neural networks. It is loaded when the first deep model
/// is used, because its dependencies take half a gigabyte (ADR 18). None of its types appear here.
namespace lambdaml::model {

struct EngineSettings {
  std::size_t threads = 1;
  bool bf16 = false;               ///< convolutions in bfloat16; parameters and sums stay float32
  bool frozen_statistics = false;  ///< batch normalization uses the statistics in training too
  double label_smoothing = 0;
};

/// One network, ready to run. Used by one thread. Parameters and sums are the caller's contiguous
/// vectors, used in place: the learned pieces, followed by the statistics.
class Engine {
 public:
  virtual ~Engine() = default;

  /// The initial parameters, equal to PyTorch's for that seed.
  virtual void initialize(std::uint64_t seed, std::span<float> parameters) = 0;

  /// One forward and backward pass in training mode over images from data::normalize_image(); a
  /// target of −1 adds no loss. `seed` initializes random layers. Adds the gradient sums, and rows
  /// · change of the statistics, to `sums`. `correct` is computed from the logits of this pass.
  virtual Totals train(std::span<const float> images, std::span<const std::int64_t> targets,
                       std::span<const float> parameters, std::span<float> sums,
                       std::uint64_t seed) = 0;

  /// The logits of `rows` images in evaluation mode: rows × classes.
  virtual void infer(std::span<const float> images, std::size_t rows,
                     std::span<const float> parameters, std::span<float> logits) = 0;
};

/// A network from a file, with its properties.
struct LoadedNetwork {
  std::unique_ptr<Engine> engine;
  std::vector<Model::Piece> learned;
  std::vector<Model::Piece> statistics;
  std::size_t outputs = 0;             ///< logits per image
  std::uint64_t activation_bytes = 0;  ///< per image, kept for the backward pass; estimated
};

/// The library's entry points. They throw only lambdaml::Error.
struct EngineLibrary {
  static constexpr int kVersion = 1;
  int version = kVersion;
  std::unique_ptr<Engine> (*network)(const Network& network, const EngineSettings& settings);
  /// Reads a TorchScript file; `what` names it in errors. Throws invalid_argument if it does not
  /// map images to logits or has no learnable parameters, data_corrupt if it cannot be read.
  LoadedNetwork (*script)(Bytes file, const std::string& what, const EngineSettings& settings);
};

/// The library, loaded on the first call. Throws invalid_argument if this build has none,
/// unavailable if this machine lacks something that it needs.
const EngineLibrary& engine_library();
/// Throws invalid_argument if this build has no library; loads nothing.
void require_engine_library(const std::string& model);

}  // namespace lambdaml::model
