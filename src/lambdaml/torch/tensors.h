#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/model/engine.h"

namespace at {
class Tensor;
}

/// Helpers that both kinds of engines share.
namespace lambdaml::torch_library {

/// Sets the number of threads for this thread's operations.
void use_threads(std::size_t threads);

/// libtorch has no tensors of const numbers; these are only read.
inline std::span<float> writable(std::span<const float> values) {
  return {const_cast<float*>(values.data()), values.size()};
}
/// A float32 tensor that uses the caller's memory.
at::Tensor view_of(std::span<float> values, const std::vector<std::int64_t>& shape);
/// rows × colours × 32 × 32, in memory pixel by pixel (channels_last).
at::Tensor images_of(std::span<const float> images, std::size_t rows);

/// The tensors that are stored in one flat vector.
class FlatVectors {
 public:
  FlatVectors(const std::vector<model::Model::Piece>& learned,
              const std::vector<model::Model::Piece>& statistics);

  std::vector<at::Tensor> learned(std::span<float> flat) const;
  std::vector<at::Tensor> statistics(std::span<float> flat) const;
  /// The learned tensors of `parameters`, whose gradients are added to `sums`.
  std::vector<at::Tensor> with_gradients(std::span<const float> parameters,
                                         std::span<float> sums) const;
  std::vector<at::Tensor> copy_of_statistics(std::span<const float> parameters) const;
  /// sums += rows · (statistics − those of `parameters`).
  void add_changes(const std::vector<at::Tensor>& statistics, std::span<const float> parameters,
                   double rows, std::span<float> sums) const;

 private:
  struct Place {
    std::size_t begin;
    std::size_t size;
    std::vector<std::int64_t> shape;
  };
  static std::vector<at::Tensor> views(const std::vector<Place>& places, std::span<float> flat);

  std::vector<Place> learned_;
  std::vector<Place> statistics_;
};

/// The sum of cross-entropies; runs the backward pass.
model::Totals loss_and_gradient(const at::Tensor& logits, std::span<const std::int64_t> targets,
                                double label_smoothing);

/// What libtorch says in a message of several lines: the last line of a script's traceback, which
/// is what went wrong, and otherwise the first line.
std::string own_message(std::string_view text);

/// For use in a catch block: rethrows the current exception; what libtorch throws becomes an Error
/// about `what`.
[[noreturn]] void rethrow(std::string_view what);

/// The result of work(); what libtorch throws becomes an Error.
template <class Work>
auto guarded(std::string_view what, const Work& work) {
  try {
    return work();
  } catch (...) {
    rethrow(what);
  }
}

}  // namespace lambdaml::torch_library
