#include "lambdaml/trigger/initial_model.h"

#include <algorithm>

#include <fmt/ranges.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"
#include "lambdaml/model/frozen.h"
#include "lambdaml/model/names.h"
#include "lambdaml/tensor/safetensors.h"

namespace lambdaml::trigger {
namespace {

using Texts = std::vector<std::string>;

Texts class_texts(const model::Shape& shape) {
  Texts out;
  for (std::size_t c = 0; c < shape.classes(); ++c)
    out.push_back(printable(model::label_text(shape, c)));
  return out;
}

std::string some_of(const Texts& texts) {
  constexpr std::size_t kMost = 10;
  return fmt::format("{}{}", fmt::join(std::span(texts).first(std::min(kMost, texts.size())), ", "),
                     texts.size() > kMost ? ", …" : "");
}

void require_same_features(const std::string& what, const model::Shape& of_model,
                           const model::Shape& of_data) {
  if (of_model.features != of_data.features)
    fail(Code::invalid_argument, "init: {} has {} features, and the data have {}", what,
         of_model.features, of_data.features);
  const bool both_have_names = of_model.names && !of_model.names->features.empty() &&
                               of_data.names && !of_data.names->features.empty();
  if (!both_have_names) return;
  for (std::size_t j = 0; j < of_data.features; ++j)
    if (of_model.names->features[j] != of_data.names->features[j])
      fail(Code::invalid_argument,
           "init: feature {} of {} is '{}', and that of the data '{}': bring the columns into the "
           "same order",
           j + 1, what, printable(of_model.names->features[j]),
           printable(of_data.names->features[j]));
}

void require_same_classes(const std::string& what, const model::Shape& of_model,
                          const model::Shape& of_data) {
  const Texts known = class_texts(of_model), given = class_texts(of_data);
  if (known != given)
    fail(Code::invalid_argument, "init: {} has the classes {}, and the data {}", what,
         known.empty() ? "none" : some_of(known), given.empty() ? "none" : some_of(given));
}

void require_same_tensors(const job::ModelFile& file, const job::TrainedModel& initial,
                          model::Model& made, bool keeps_some) {
  job::parameters_for(made, initial, file.what);
  if (keeps_some)
    made.restore(tensor::SafetensorsFile(file.bytes, file.what));
  else if (initial.model->pieces().size() != made.pieces().size())
    fail(Code::invalid_argument, "init: {} does not have the tensors of the job's model",
         file.what);
}

}  // namespace

void require_fit(const job::ModelFile& file, const model::Shape& shape, model::Model& made,
                 const Options& options) {
  const job::TrainedModel initial = job::model_from_bytes(file.bytes, file.what);
  if (initial.name != options.text("model"))
    fail(Code::invalid_argument,
         "init: {} is of the kind {}, and the job trains {}: give --model {}", file.what,
         initial.name, options.text("model"), initial.name);
  require_same_features(file.what, initial.shape, shape);
  require_same_classes(file.what, initial.shape, shape);
  require_same_tensors(file, initial, made, !options.text(model::freeze_option().name).empty());
}

}  // namespace lambdaml::trigger
