#include "lambdaml/job/model_file.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/base/formats/base64.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/text.h"
#include "lambdaml/job/job_file.h"
#include "lambdaml/job/options.h"
#include "lambdaml/model/frozen.h"
#include "lambdaml/model/network.h"
#include "lambdaml/model/registry.h"
#include "lambdaml/tensor/safetensors.h"

namespace lambdaml::job {
namespace {

constexpr const char* kModelFormat = "lambdaml-model-2";
constexpr const char* kFormatWithoutChecksum = "lambdaml-model-1";
/// The tensor that holds the file that defines the model.
constexpr const char* kDefinition = "lambdaml.definition";
/// The metadata that holds it in base64, without the values of its tensors.
constexpr const char* kDefinitionText = "definition";

std::vector<std::int32_t> labels_from(const std::string& text, const std::string& what) {
  const nlohmann::json labels = parse_json(text);
  std::vector<std::int32_t> out;
  if (labels.is_array()) {
    for (const auto& label : labels) {
      if (!label.is_number_integer() || label.get<std::int64_t>() != label.get<std::int32_t>())
        break;
      out.push_back(label.get<std::int32_t>());
    }
    if (out.size() == labels.size() && std::is_sorted(out.begin(), out.end())) return out;
  }
  fail(Code::data_corrupt, "{}: the label map is no ascending list of integers", what);
}

void require_names_of_labels(const model::Shape& shape, const std::string& what) {
  const std::vector<std::string>& names = shape.names->labels;
  if (names.empty() || shape.labels.empty()) return;
  if (shape.labels.front() < 0 || static_cast<std::size_t>(shape.labels.back()) >= names.size())
    fail(Code::data_corrupt, "{}: a label has no name among those of the labels", what);
}

tensor::SafetensorsFile open_whole(const std::shared_ptr<const Buffer>& bytes,
                                   const std::string& what) {
  tensor::SafetensorsFile file(bytes, what);
  const auto format = file.metadata().find("format");
  const bool known = format != file.metadata().end() &&
                     (format->second == kModelFormat || format->second == kFormatWithoutChecksum);
  if (!known)
    fail(Code::data_corrupt, "{}: a safetensors file, but no model of this program", what);
  if (file.verify()) return file;
  if (format->second == kModelFormat)
    fail(Code::data_corrupt, "{}: it has no checksum of itself: it was damaged", what);
  log::warn_once(fmt::format(
      "{}: an old version wrote it, without a checksum, so damage may not be seen", what));
  return file;
}

/// Whether a piece of the parameters is no tensor of the network: the normalization of images.
bool is_own(const model::Model::Piece& piece) { return piece.name.starts_with("lambdaml."); }

std::vector<float> numbers_from(const std::string& text, const model::Model::Piece& piece,
                                const std::string& what) {
  std::vector<float> out;
  const nlohmann::json numbers = parse_json(text);
  if (numbers.is_array())
    for (const nlohmann::json& number : numbers)
      if (number.is_number() && std::isfinite(number.get<float>()))
        out.push_back(number.get<float>());
  if (out.size() != model::elements(piece) || out.size() != numbers.size())
    fail(Code::data_corrupt, "{}: the metadata '{}' are not {} numbers", what, piece.name,
         model::elements(piece));
  return out;
}

std::shared_ptr<const Buffer> definition_from(const std::string& text, const std::string& what) {
  const auto bytes = decode_base64(text);
  if (!bytes) fail(Code::data_corrupt, "{}: metadata '{}' is no base64", what, kDefinitionText);
  return std::make_shared<const Buffer>(bytes->view());
}

}  // namespace

const model::Plugin& TrainedModel::plugin() const {
  return model::registry().get(name).for_job(options, shape.has_integers());
}

Buffer model_to_bytes(const std::string& name, const model::Shape& shape, const Options& options,
                      model::Model& model, std::span<const float> parameters) {
  tensor::SafetensorsWriter writer;
  std::size_t at = 0;
  for (const model::Model::Piece& piece : model.pieces()) {
    const std::span<const float> values = parameters.subspan(at, model::elements(piece));
    at += values.size();
    // What is not of the network is metadata, as its file is, below.
    if (is_own(piece))
      writer.set_metadata(piece.name,
                          json_text(nlohmann::json(std::vector(values.begin(), values.end()))));
    else
      writer.add<float>(piece.name, piece.shape, values);
  }
  for (tensor::Tensor& tensor : model.further_tensors(parameters)) writer.add(std::move(tensor));
  // As metadata, so that the tensors are those of the module's state_dict and no others.
  if (const std::optional<Buffer> definition = model.to_empty_file())
    writer.set_metadata(kDefinitionText, encode_base64(*definition));
  else if (shape.definition)
    writer.add(tensor::Tensor{
        kDefinition, tensor::Dtype::u8, {shape.definition->size()}, shape.definition->view()});
  // Stores the options that determine the model, but not where it was trained: a job gives the same
  // file, byte for byte, over every channel and platform.
  nlohmann::json kept = to_json(options.without_passwords(), Values::deciding);
  for (const char* by_whom : {"threads", "sync_mode", "workers"}) kept.erase(by_whom);
  // The file has all tensors, and nothing of it is kept as it is by those who use it.
  kept.erase(model::freeze_option().name);
  for (const model::Plugin& plugin : model::registry().entries())
    if (!plugin.file_option.empty()) kept.erase(plugin.file_option);
  writer.set_metadata("format", kModelFormat);
  writer.set_metadata("model", name);
  writer.set_metadata("features", std::to_string(shape.features));
  writer.set_metadata("labels", json_text(nlohmann::json(shape.labels)));
  writer.set_metadata("options", json_text(kept));
  if (shape.names) writer.set_metadata("names", data::names_text(*shape.names));
  if (!shape.inputs.empty())
    writer.set_metadata("tensors", data::tensors_text({shape.inputs, shape.target}));
  return writer.serialize_with_checksum();
}

void require_whole_model(const std::shared_ptr<const Buffer>& bytes, const std::string& what) {
  open_whole(bytes, what);
}

TrainedModel model_from_bytes(const std::shared_ptr<const Buffer>& bytes, const std::string& what) {
  const tensor::SafetensorsFile file = open_whole(bytes, what);
  TrainedModel out;
  out.name = file.metadata("model");
  const auto features = to_integer(file.metadata("features"));
  if (!features || *features < 0 || *features > (1LL << 31))
    fail(Code::data_corrupt, "{}: metadata 'features' is no count", what);
  out.shape.features = static_cast<std::size_t>(*features);
  out.shape.labels = labels_from(file.metadata("labels"), what);
  if (const auto text = file.metadata().find(kDefinitionText); text != file.metadata().end())
    out.shape.definition = definition_from(text->second, what);
  else if (file.find(kDefinition) != nullptr)
    out.shape.definition =
        std::make_shared<const Buffer>(std::as_bytes(file.values<std::uint8_t>(kDefinition)));
  if (const auto names = file.metadata().find("names"); names != file.metadata().end()) {
    out.shape.names = data::names_from(names->second, out.shape.features, what);
    require_names_of_labels(out.shape, what);
  }
  if (const auto tensors = file.metadata().find("tensors"); tensors != file.metadata().end()) {
    data::TensorShapes shapes = data::tensors_from(tensors->second, what);
    out.shape.inputs = std::move(shapes.inputs);
    out.shape.target = std::move(shapes.target);
  }
  out.options = job_options();
  try {
    from_json(parse_json(file.metadata("options")), what, out.options);
    out.model = model::registry().get(out.name).make(out.shape, out.options);
  } catch (const Error& error) {
    if (error.code() == Code::unavailable) rethrow_with(what);
    fail(Code::data_corrupt, "{}: {}", what, error.what());
  }
  out.model->restore(file);
  for (const model::Model::Piece& piece : out.model->pieces()) {
    if (is_own(piece)) {
      const std::vector<float> values = numbers_from(file.metadata(piece.name), piece, what);
      out.parameters.insert(out.parameters.end(), values.begin(), values.end());
      continue;
    }
    const tensor::Tensor& tensor = file.get(piece.name);
    if (tensor.shape != piece.shape)
      fail(Code::data_corrupt, "{}: the tensor '{}' has the shape [{}] instead of [{}]", what,
           piece.name, fmt::join(tensor.shape, ", "), fmt::join(piece.shape, ", "));
    const std::span<const float> values = file.values<float>(piece.name);
    if (!std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); }))
      fail(Code::data_corrupt, "{}: the tensor '{}' holds numbers that are not finite", what,
           piece.name);
    out.parameters.insert(out.parameters.end(), values.begin(), values.end());
  }
  return out;
}

std::vector<float> parameters_for(const model::Model& model, const TrainedModel& from,
                                  const std::string& what) {
  std::map<std::string, std::pair<std::span<const float>, std::vector<std::size_t>>> found;
  std::size_t at = 0;
  for (const model::Model::Piece& piece : from.model->pieces()) {
    const std::size_t size = model::elements(piece);
    found[piece.name] = {std::span(from.parameters).subspan(at, size), piece.shape};
    at += size;
  }
  std::vector<float> parameters;
  for (const model::Model::Piece& piece : model.pieces()) {
    const auto tensor = found.find(piece.name);
    if (tensor == found.end())
      fail(Code::invalid_argument,
           "init: {} does not have the tensors of the job's model: it has no '{}'", what,
           piece.name);
    const auto& [values, shape] = tensor->second;
    if (shape != piece.shape)
      fail(Code::invalid_argument,
           "init: the tensor '{}' of {} has the shape [{}], and that of the job's model [{}]: give "
           "the options with which it was trained",
           piece.name, what, fmt::join(shape, ", "), fmt::join(piece.shape, ", "));
    parameters.insert(parameters.end(), values.begin(), values.end());
  }
  return parameters;
}

ModelFile find_model(const std::string& text) {
  const Uri uri = Uri::parse(text);
  const std::string what = fmt::format("model {}", uri.display());
  const auto found = [&](Buffer bytes, std::shared_ptr<storage::Storage> folder) {
    return ModelFile{what, std::make_shared<const Buffer>(std::move(bytes)), std::move(folder)};
  };
  if (!uri.name().empty()) {
    const storage::Object object = storage::open_object(uri);
    if (std::optional<Buffer> bytes = object.store->load(object.key))
      return found(std::move(*bytes), nullptr);
  }
  const std::shared_ptr<storage::Storage> folder = storage::open(uri);
  // The folder of a run, of a search, and of the results of a search that a function ran.
  for (const char* name : {"model.safetensors", "best.safetensors"})
    if (std::optional<Buffer> bytes = folder->load(name)) return found(std::move(*bytes), folder);
  for (const char* name : {"run.json", "search.json"})
    if (folder->exists(name))
      fail(Code::not_found,
           "{}: the {} there has no model: it has not ended; `lambdaml {}` goes on with it", what,
           std::string_view(name) == "run.json" ? "run" : "search",
           std::string_view(name) == "run.json" ? "resume" : "tune --resume");
  fail(Code::not_found, "{}: there is no such file, nor the folder of a run with its model", what);
}

TrainedModel read_model(const std::string& text) {
  const ModelFile file = find_model(text);
  return model_from_bytes(file.bytes, file.what);
}

}  // namespace lambdaml::job
