// Model files into predict. A file is any bytes, or a trained model of which metadata, shapes and
// numbers are other ones: bytes alone would hardly get beyond the checks of the container.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "input.h"
#include "lambdaml/base/error.h"
#include "lambdaml/predict/predict.h"
#include "lambdaml/storage/storage.h"
#include "lambdaml/tensor/safetensors.h"

namespace {

using namespace lambdaml;
using fuzz::Input;
using fuzz::require;
using fuzz::require_code;

constexpr const char* kData = "memory://fuzz-predict/rows.libsvm";

void save_rows() {
  const storage::Object object = storage::open_object(Uri::parse(kData));
  object.store->save(object.key, as_bytes("1 1:0.5 3:-1\n0 2:1e30 4:3\n1 1:-2 2:0.25 70000:1\n"));
}

/// The container is whole; what it says is the input's.
Buffer composed(Input& input) {
  constexpr const char* kModels[] = {"lr", "svm", "kmeans", "mobilenet", "sparse_lr", ""};
  constexpr const char* kPieces[] = {"weights",      "bias", "centroids",
                                     "coefficients", "w",    "lambdaml.definition"};
  constexpr const char* kLabels[] = {
      "[0,1]", "[]", "[-1,1]", "[0,1,2]", "[3]", "[1,1]", "[18446744073709551615]"};
  constexpr const char* kOptions[] = {"{}", R"({"clusters":2})", R"({"clusters":0})",
                                      R"({"clusters":1000000,"threads":7})", R"({"model":"lr"})"};
  tensor::SafetensorsWriter writer;
  std::vector<std::vector<float>> numbers;
  numbers.reserve(8);
  for (std::size_t n = input.below(4), i = 0; i < n; ++i) {
    const std::string name = input.flag() ? input.text() : input.one_of(kPieces);
    std::vector<std::size_t> shape(input.below(3));
    std::size_t size = 1;
    for (std::size_t& length : shape) size *= length = input.below(8);
    std::vector<float>& values = numbers.emplace_back(size);
    for (float& value : values) value = static_cast<float>(input.real());
    try {
      writer.add<float>(name, shape, values);
    } catch (const Error&) {  // a name that was there
    }
  }
  const auto set = [&](const char* key, std::string usual) {
    const std::uint8_t how = input.byte();
    if (how % 8 == 0) return;
    writer.set_metadata(key, how % 8 == 1 ? input.text() : std::move(usual));
  };
  set("format", "lambdaml-model-1");
  set("model", input.one_of(kModels));
  set("features", std::to_string(input.number()));
  set("labels", input.one_of(kLabels));
  set("options", input.one_of(kOptions));
  try {
    return writer.serialize();
  } catch (const Error&) {  // no UTF-8
    return Buffer();
  }
}

}  // namespace

/// A model is refused as bad input, or predicts every row by labels that it knows.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::be_quiet();
  [[maybe_unused]] static const bool ready = (save_rows(), true);
  if (size == 0) return 0;
  Input input(data + 1, size - 1);
  try {
    const bool is_file = (data[0] & 1U) != 0;
    auto bytes = std::make_shared<const Buffer>(
        is_file ? Buffer(Bytes(reinterpret_cast<const std::byte*>(data + 1), size - 1))
                : composed(input));
    job::TrainedModel model = job::model_from_bytes(bytes, "MODEL");
    const predict::Predictions out = predict::predict(
        model, Uri::parse(kData), "auto", {},
        {.shown = {.class_scores = true, .probabilities = model.model->has_probabilities()},
         .ignore_labels = (data[0] & 2U) != 0});
    require(out.quality.rows == 3 && out.table.rows == 3);
  } catch (const Error& error) {
    require_code(error, {Code::data_corrupt, Code::invalid_argument, Code::resource_exhausted});
  }
  return 0;
}
