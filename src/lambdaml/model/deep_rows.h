#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lambdaml/data/pixels/images.h"
#include "lambdaml/data/pixels/normalization.h"
#include "lambdaml/model/engine.h"
#include "lambdaml/model/model.h"

/// How rows of data become the tensors that networks take.
namespace lambdaml::model {

/// The tensors of one batch, ready for an engine, and the memory that they lie in. Movable: the
/// tensors stay valid.
struct DeepBatch {
  Batch batch;  ///< that they were made of
  std::vector<Input> inputs;
  std::optional<data::Tensor> target;
  std::vector<std::vector<float>> floats;
  std::vector<std::int64_t> integers;

  Pass pass(std::uint64_t seed) const {
    return {.rows = batch.rows(),
            .inputs = inputs,
            .target = target ? &*target : nullptr,
            .weights = batch.weights,
            .seed = seed};
  }
};

/// How images [channels, height, width] are varied in batches of training.
enum class Augment {
  none,
  automatic,  ///< those of CIFAR-10's shape by both, others not
  light,      ///< those of CIFAR-10's shape by mirror, others not
  shift,
  mirror,
  both,
};

/// Makes the tensors of batches; immutable, so threads may share it.
///
/// Inputs. Rows of 3,072 features and uint8 tensors `image` [3, 32, 32] are images in CIFAR-10's
/// shape: float32, normalized, pixel by pixel. Other rows of features are one float32 tensor
/// `features`. Other uint8 tensors named `image` become float32, normalized. float16 becomes
/// float32; every other tensor stays as it is.
///
/// Normalization (data/normalization.h) is that of the option or, if that is `auto`, learned: means
/// and deviations of each image's channels, which a model keeps among its parameters.
///
/// Targets. For cross-entropy int64: class numbers, −1 for an unknown label. For a loss of the
/// module's own what the data have: class numbers (int64) where there are labels. Otherwise
/// float32.
class DeepRows {
 public:
  DeepRows(const Shape& shape, Loss loss, Augment augment);

  /// What prepare() gives, for one row.
  std::vector<data::TensorShape> inputs() const;
  data::TensorShape target() const;

  /// By the option `normalize`. Throws invalid_argument.
  void set_normalization(const std::string& option);
  /// What is learned, as tensors of a model; none unless the option is `auto`.
  std::vector<Model::Piece> normalization_pieces() const;
  /// Sums over rows that add up over workers, and the values of the pieces from all of them.
  std::vector<double> normalization_sums(const Batch& rows) const;
  std::vector<float> normalization_from(std::span<const double> sums) const;
  /// Sets the values of the pieces. Not during prepare() of another thread.
  void use_normalization(std::span<const float> values);

  /// `vary`: for training. Throws invalid_argument if a class number of a target tensor is not
  /// below `classes` (0: any) and not `ignored`.
  void prepare(const Batch& batch, bool vary, DeepBatch& out) const;
  void check_classes(std::size_t classes, std::optional<std::int64_t> ignored) {
    classes_ = classes;
    ignored_ = ignored;
  }

 private:
  enum class Form { image, features, scaled, widened, as_it_is };
  struct Made {
    data::TensorShape from;
    data::TensorShape to;
    Form form;
    data::Normalization normalization = {};  ///< of an image
  };

  std::optional<data::Variation> variation_of(const Made& made) const;
  void prepare_input(const Made& made, std::size_t t, const Batch& batch, bool vary,
                     DeepBatch& out) const;
  void prepare_target(const Batch& batch, DeepBatch& out) const;
  void take_integers(const data::Tensor& from, std::size_t rows, DeepBatch& out) const;

  std::vector<Made> made_;
  data::TensorShape target_;
  Augment augment_;
  bool learns_normalization_ = false;
  std::size_t classes_ = 0;
  std::optional<std::int64_t> ignored_;
};

}  // namespace lambdaml::model
