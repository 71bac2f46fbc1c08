#include "lambdaml/job/model_file.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/text.h"
#include "lambdaml/job/job_file.h"
#include "lambdaml/job/options.h"
#include "lambdaml/model/network.h"
#include "lambdaml/model/registry.h"
#include "lambdaml/tensor/safetensors.h"

namespace lambdaml::job {
namespace {

constexpr const char* kModelFormat = "lambdaml-model-2";
constexpr const char* kFormatWithoutChecksum = "lambdaml-model-1";
/// The tensor that holds the file that defines the model.
constexpr const char* kDefinition = "lambdaml.definition";

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

}  // namespace

Buffer model_to_bytes(const std::string& name, const model::Shape& shape, const Options& options,
                      const model::Model& model, std::span<const float> parameters) {
  tensor::SafetensorsWriter writer;
  std::size_t at = 0;
  for (const model::Model::Piece& piece : model.pieces()) {
    writer.add<float>(piece.name, piece.shape, parameters.subspan(at, model::elements(piece)));
    at += model::elements(piece);
  }
  if (shape.definition)
    writer.add(tensor::Tensor{
        kDefinition, tensor::Dtype::u8, {shape.definition->size()}, shape.definition->view()});
  // Stores the options that determine the model, but not where it was trained: a job gives the same
  // file, byte for byte, over every channel and platform.
  nlohmann::json kept = to_json(options.without_passwords(), Values::deciding);
  for (const char* by_whom : {"threads", "sync_mode", "workers"}) kept.erase(by_whom);
  for (const model::Plugin& plugin : model::registry().entries())
    if (!plugin.file_option.empty()) kept.erase(plugin.file_option);
  writer.set_metadata("format", kModelFormat);
  writer.set_metadata("model", name);
  writer.set_metadata("features", std::to_string(shape.features));
  writer.set_metadata("labels", json_text(nlohmann::json(shape.labels)));
  writer.set_metadata("options", json_text(kept));
  if (shape.names) writer.set_metadata("names", data::names_text(*shape.names));
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
  if (file.find(kDefinition) != nullptr)
    out.shape.definition =
        std::make_shared<const Buffer>(std::as_bytes(file.values<std::uint8_t>(kDefinition)));
  if (const auto names = file.metadata().find("names"); names != file.metadata().end()) {
    out.shape.names = data::names_from(names->second, out.shape.features, what);
    require_names_of_labels(out.shape, what);
  }
  out.options = job_options();
  try {
    from_json(parse_json(file.metadata("options")), what, out.options);
    out.model = model::registry().get(out.name).make(out.shape, out.options);
  } catch (const Error& error) {
    fail(Code::data_corrupt, "{}: {}", what, error.what());
  }
  for (const model::Model::Piece& piece : out.model->pieces()) {
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
