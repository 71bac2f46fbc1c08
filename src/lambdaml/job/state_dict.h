#pragma once

#include <memory>
#include <string>

#include "lambdaml/base/options.h"
#include "lambdaml/model/model.h"

namespace lambdaml::job {

/// Whether these are the bytes of a safetensors file that another program wrote, as PyTorch's users
/// save a state_dict.
bool is_state_dict(const std::shared_ptr<const Buffer>& bytes);

/// The model file of a model `name` whose tensors a state_dict holds; `what` names the file in
/// errors. It must have all tensors of the model, in their shapes, as float32, and no others but
/// counts of batches (num_batches_tracked). Throws invalid_argument if it has not, data_corrupt if
/// it cannot be read or holds numbers that are not finite.
Buffer model_from_state_dict(const std::shared_ptr<const Buffer>& bytes, const std::string& what,
                             const std::string& name, const model::Shape& shape,
                             const Options& options);

}  // namespace lambdaml::job
