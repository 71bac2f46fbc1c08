#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "lambdaml/model/network.h"

/// What runs neural networks: a library that is loaded when the first deep model is used, for it
/// brings half a gigabyte of others (ADR 18). Nothing of it shows here.
namespace lambdaml::model {

struct EngineSettings {
  std::size_t threads = 1;
  bool bf16 = false;               ///< convolutions in bfloat16; parameters and sums stay float32
  bool frozen_statistics = false;  ///< batch normalization by the statistics in training too
  double label_smoothing = 0;
};

/// One network, ready to run. Used by one thread. Parameters and sums are the caller's contiguous
/// vectors, used where they lie: pieces of the learned ones, then of the statistics.
class Engine {
 public:
  virtual ~Engine() = default;

  /// The initial parameters, PyTorch's own for that seed.
  virtual void initialize(std::uint64_t seed, std::span<float> parameters) = 0;

  /// One pass forward and back in training mode over images as data::normalize_image() makes them;
  /// a target of −1 adds no loss. `seed` is where random layers begin. Adds the gradient sums, and
  /// rows · change of the statistics, to `sums`. `correct` counts by the logits of this very pass.
  virtual Totals train(std::span<const float> images, std::span<const std::int64_t> targets,
                       std::span<const float> parameters, std::span<float> sums,
                       std::uint64_t seed) = 0;

  /// The logits of `rows` images in evaluation mode: rows × classes.
  virtual void infer(std::span<const float> images, std::size_t rows,
                     std::span<const float> parameters, std::span<float> logits) = 0;
};

/// A network that a file brought, with what is known of it.
struct LoadedNetwork {
  std::unique_ptr<Engine> engine;
  std::vector<Model::Piece> learned;
  std::vector<Model::Piece> statistics;
  std::size_t outputs = 0;             ///< logits per image
  std::uint64_t activation_bytes = 0;  ///< that one image leaves for the way back, about
};

/// What the library offers. Its functions throw lambdaml::Error only.
struct EngineLibrary {
  static constexpr int kVersion = 1;
  int version = kVersion;
  std::unique_ptr<Engine> (*network)(const Network& network, const EngineSettings& settings);
  /// Reads a TorchScript file; `what` names it in errors. Throws invalid_argument when it does not
  /// map images to logits or has nothing to learn, data_corrupt when it cannot be read.
  LoadedNetwork (*script)(Bytes file, const std::string& what, const EngineSettings& settings);
};

/// The library, loaded at the first call. Throws invalid_argument when this build has none,
/// unavailable when this machine lacks what it needs.
const EngineLibrary& engine_library();
/// Throws invalid_argument when this build has no library; loads nothing.
void require_engine_library(const std::string& model);

}  // namespace lambdaml::model
