#include "lambdaml/job/state_dict.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "lambdaml/base/error.h"
#include "lambdaml/job/model_file.h"
#include "lambdaml/job/options.h"
#include "lambdaml/model/frozen.h"
#include "lambdaml/model/network.h"
#include "lambdaml/model/registry.h"
#include "lambdaml/tensor/safetensors.h"

namespace lambdaml::job {

bool is_state_dict(const std::shared_ptr<const Buffer>& bytes) {
  try {
    const tensor::SafetensorsFile file(bytes, "");
    const auto format = file.metadata().find("format");
    return format == file.metadata().end() || !format->second.starts_with("lambdaml-");
  } catch (const Error&) {
    return false;
  }
}

Buffer model_from_state_dict(const std::shared_ptr<const Buffer>& bytes, const std::string& what,
                             const std::string& name, const model::Shape& shape,
                             const Options& options) {
  const tensor::SafetensorsFile file(bytes, what);
  const model::Plugin& plugin = model::registry().get(name);
  // The file depends only on what the model is, not on how long it is trained, and what a job keeps
  // as it is comes from it too.
  Options of_model = job_options();
  of_model.set("model", Option::Value(name), "");
  for (const Option& option : plugin.options)
    if (option.name != model::freeze_option().name)
      of_model.set(option.name, options.value(option.name), "");
  const std::unique_ptr<model::Model> model = plugin.make(shape, of_model);
  const std::vector<model::Model::Piece> pieces = model->pieces();
  std::vector<float> parameters;
  for (const model::Model::Piece& piece : pieces) {
    const tensor::Tensor* const tensor = file.find(piece.name);
    if (tensor == nullptr)
      fail(Code::invalid_argument, "{}: the state_dict of another model: it has no '{}' as {} has",
           what, piece.name, name);
    if (tensor->shape != piece.shape)
      fail(Code::invalid_argument,
           "{}: '{}' is [{}], and {} for these data takes [{}]; replace that layer before saving",
           what, piece.name, fmt::join(tensor->shape, ", "), name, fmt::join(piece.shape, ", "));
    if (tensor->dtype != tensor::Dtype::f32)
      fail(Code::invalid_argument, "{}: '{}' is not float32; save model.float().state_dict()", what,
           piece.name);
    const std::span<const float> values = file.values<float>(piece.name);
    if (!std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); }))
      fail(Code::data_corrupt, "{}: '{}' holds numbers that are not finite", what, piece.name);
    parameters.insert(parameters.end(), values.begin(), values.end());
  }
  for (const tensor::Tensor& tensor : file.tensors()) {
    const bool known = std::any_of(pieces.begin(), pieces.end(),
                                   [&](const auto& piece) { return piece.name == tensor.name; });
    if (!known && !tensor.name.ends_with("num_batches_tracked"))
      fail(Code::invalid_argument, "{}: the state_dict of another model: it has '{}', {} has not",
           what, tensor.name, name);
  }
  return model_to_bytes(name, shape, of_model, *model, parameters);
}

}  // namespace lambdaml::job
