#pragma once

#include <optional>
#include <string>
#include <vector>

#include <torch/script.h>

#include "lambdaml/model/engine.h"
#include "lambdaml/torch/tensors.h"

namespace lambdaml::torch_library {

/// A TorchScript module as flat vectors: float32 parameters that want gradients are learned,
/// float32 buffers are statistics, and all other tensors are fixed. A tensor that a module has
/// under several names (tied weights) counts once, under its first name. Used by one thread.
class ScriptModule {
 public:
  /// Throws data_corrupt if the file cannot be read, invalid_argument if there is nothing to learn
  /// or a learned parameter is not float32. `what` names the file in errors.
  ScriptModule(Bytes file, const std::string& what);

  ::torch::jit::Module& module() { return module_; }
  const std::vector<model::Model::Piece>& learned() const { return learned_; }
  const std::vector<model::Model::Piece>& statistics() const { return statistics_; }
  const FlatVectors& vectors() const { return *vectors_; }
  /// The module's own tensors.
  std::vector<at::Tensor>& weights() { return weights_; }
  const std::vector<at::Tensor>& buffers() const { return buffers_; }

  /// The parameters in the file.
  void initial(std::span<float> parameters) const;
  /// Copies the parameters into the module, and sets fixed tensors back to what they were.
  void put(std::span<const float> parameters);

  /// See Model::further_tensors() and Model::restore().
  std::vector<tensor::Tensor> further_tensors(std::span<const float> parameters) const;
  void restore(const tensor::SafetensorsFile& file);
  /// The module in evaluation mode, as a file that torch.jit.load reads.
  Buffer to_file(std::span<const float> parameters);
  /// A file of the module without the values of its tensors, which take no space.
  Buffer to_empty_file() const;

 private:
  struct Fixed {
    std::string name;
    at::Tensor own;    ///< the module's
    at::Tensor value;  ///< contiguous
  };
  struct Alias {
    std::string name;
    std::string first;  ///< the name under which it counts
  };

  void take(const std::string& name, at::Tensor tensor, bool is_parameter, const std::string& what);

  ::torch::jit::Module module_;
  std::vector<model::Model::Piece> learned_;
  std::vector<model::Model::Piece> statistics_;
  std::vector<at::Tensor> weights_;
  std::vector<at::Tensor> buffers_;
  std::vector<at::Tensor> initial_;
  std::vector<Fixed> fixed_;
  std::vector<Alias> aliases_;
  std::vector<std::pair<std::string, at::Tensor>> taken_;  ///< all of the module, by their names
  std::optional<FlatVectors> vectors_;
};

}  // namespace lambdaml::torch_library
