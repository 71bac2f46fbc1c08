#pragma once

#include <cstdint>
#include <exception>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/base/error.h"
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
/// A tensor of `rows` rows that uses the caller's memory, only to be read.
at::Tensor tensor_of(const data::Tensor& tensor, std::size_t rows);
/// Images that lie pixel by pixel are in PyTorch's memory format channels_last.
at::Tensor tensor_of(const model::Input& input, std::size_t rows);
/// A copy of the numbers as float32, in the order of the indices.
std::vector<float> numbers_in(const at::Tensor& tensor);
/// "float32 [8, 10]", for messages.
std::string text_of(const at::Tensor& tensor);

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

/// What libtorch says in a message of several lines, in one: what went wrong and, of a script's
/// traceback, the innermost operation.
std::string own_message(std::string_view text);
bool is_out_of_memory(const std::exception& error);

/// For use in a catch block: rethrows the current exception; what libtorch throws becomes an Error
/// about `what`, of this code.
[[noreturn]] void rethrow(std::string_view what, Code code = Code::internal);

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
