#include <algorithm>
#include <cstdint>

#include "lambdaml/base/error.h"
#include "lambdaml/data/array.h"
#include "lambdaml/data/pixels/images.h"
#include "lambdaml/data/registry.h"

/// The binary version of CIFAR-10 (Krizhevsky 2009): per image a byte with its label, 0 to 9, and
/// 3,072 bytes of pixels, first all of red, then green, then blue. Values are kept as they are, 0
/// to 255; image models normalize them.
namespace lambdaml::data::cifar10 {
namespace {

constexpr std::size_t kRecord = 1 + kImageValues;
constexpr std::int32_t kLargestLabel = 9;

/// Excludes text: requires valid labels, which are not printable characters, at both label
/// positions, and bytes in between that do not occur in text.
bool recognizes(Bytes head) {
  if (head.size() < kRecord) return false;
  const auto is_label = [&](std::size_t at) {
    return at >= head.size() || std::to_integer<std::int32_t>(head[at]) <= kLargestLabel;
  };
  return is_label(0) && is_label(kRecord) &&
         std::any_of(head.begin() + 1, head.begin() + kRecord, [](std::byte b) {
           return std::to_integer<unsigned>(b) < 9 || std::to_integer<unsigned>(b) >= 128;
         });
}

Dataset read(const std::shared_ptr<const Buffer>& bytes, const ReadOptions& options) {
  if (bytes->size() % kRecord != 0)
    fail(
        Code::data_corrupt,
        "reading {}: {} bytes are no whole number of images of {} bytes: image {} is cut off after "
        "{}; the file is truncated or no CIFAR-10 .bin",
        options.what, bytes->size(), kRecord, bytes->size() / kRecord + 1, bytes->size() % kRecord);
  const std::size_t rows = bytes->size() / kRecord;
  Array<float> values(dense_bytes(rows, kImageValues, options.what) / sizeof(float));
  Array<std::int32_t> labels(rows);
  for (std::size_t r = 0; r < rows; ++r) {
    const std::byte* const record = bytes->data() + r * kRecord;
    labels[r] = std::to_integer<std::int32_t>(record[0]);
    if (labels[r] > kLargestLabel)
      fail(Code::data_corrupt,
           "reading {}: image {} has the label {}, and CIFAR-10's are 0 to 9; the file is damaged "
           "or no CIFAR-10 .bin",
           options.what, r + 1, labels[r]);
    std::transform(record + 1, record + kRecord, values.data() + r * kImageValues,
                   [](std::byte b) { return static_cast<float>(std::to_integer<unsigned>(b)); });
  }
  const Dataset dataset = dense_dataset(std::move(values), rows, kImageValues, std::move(labels));
  return options.form == Form::sparse ? in_form(dataset, options.form) : dataset;
}

Buffer write(const Dataset& dataset) {
  require_features(dataset, "writing CIFAR-10 images");
  const Dataset dense = in_form(dataset, Form::dense);
  const auto& view = std::get<tensor::DenseView>(dense.features);
  if (view.cols != kImageValues)
    fail(Code::invalid_argument, "writing CIFAR-10 images: rows of {} features where {} belong",
         view.cols, kImageValues);
  Buffer out(view.rows * kRecord);
  std::byte* to = out.data();
  for (std::size_t r = 0; r < view.rows; ++r) {
    const std::int32_t label = dense.labels.empty() ? 0 : dense.labels[r];
    if (label < 0 || label > kLargestLabel)
      fail(Code::invalid_argument,
           "writing CIFAR-10 images: row {} has the label {}, and labels are 0 to 9", r + 1, label);
    *to++ = static_cast<std::byte>(label);
    for (const float value : view.row(r)) {
      if (!(value >= 0 && value <= 255) || value != static_cast<float>(static_cast<int>(value)))
        fail(
            Code::invalid_argument,
            "writing CIFAR-10 images: row {} has the value {}, and pixels are whole numbers from 0 "
            "to 255",
            r + 1, value);
      *to++ = static_cast<std::byte>(static_cast<int>(value));
    }
  }
  return out;
}

}  // namespace

void register_plugin(Registry& registry) {
  registry.add({.name = "cifar10",
                .formats = {"cifar10"},
                .help = "images: a label byte and 3,072 bytes of pixels each",
                .recognizes = recognizes,
                .read = read,
                .write = write,
                .files_of_a_set = {"data_batch_", ".bin"},
                .record_bytes = kRecord});
}

}  // namespace lambdaml::data::cifar10
