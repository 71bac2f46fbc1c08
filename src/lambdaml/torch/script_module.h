#pragma once

#include <optional>
#include <string>
#include <vector>

#include <torch/script.h>

#include "lambdaml/model/engine.h"
#include "lambdaml/torch/tensors.h"

namespace lambdaml::torch_library {

/// A TorchScript module as flat vectors: float32 parameters that want gradients are learned,
/// float32 buffers are statistics, and all other tensors are fixed: so are those that `freeze`
/// names (model/frozen.h), and the statistics of layers that are frozen whole. A tensor that a
/// module has under several names (tied weights) counts once, under its first name. Used by one
/// thread.
class ScriptModule {
 public:
  /// Throws data_corrupt if the file cannot be read, invalid_argument if there is nothing to learn,
  /// a learned parameter is not float32, or `freeze` names something else. `what` names the file in
  /// errors.
  ScriptModule(Bytes file, const std::string& what, const std::string& freeze);

  ::torch::jit::Module& module() { return module_; }
  /// Puts the module into training mode; `normalizing`: but for the layers that are frozen whole.
  void train(bool normalizing);
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
    bool is_parameter = false;
    bool is_frozen = false;  ///< a parameter that wants gradients in the file
  };
  struct Alias {
    std::string name;
    std::string first;  ///< the name under which it counts
  };

  using Named = std::vector<std::pair<std::string, at::Tensor>>;
  void freeze(const std::string& layers, const Named& parameters, const Named& buffers,
              const std::string& what);
  void take(const std::string& name, at::Tensor tensor, bool is_parameter, const std::string& what);
  /// Whether frozen parameters want gradients, as they do in files.
  void want_gradients(bool wanted);

  ::torch::jit::Module module_;
  std::vector<model::Model::Piece> learned_;
  std::vector<model::Model::Piece> statistics_;
  std::vector<at::Tensor> weights_;
  std::vector<at::Tensor> buffers_;
  std::vector<at::Tensor> initial_;
  std::vector<Fixed> fixed_;
  std::vector<Alias> aliases_;
  Named taken_;                             ///< all of the module, by their names
  std::vector<std::string> frozen_;         ///< names of parameters and buffers
  std::vector<std::string> frozen_layers_;  ///< that have statistics
  std::optional<FlatVectors> vectors_;
};

}  // namespace lambdaml::torch_library
