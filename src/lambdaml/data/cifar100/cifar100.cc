#include <algorithm>
#include <cstdint>

#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"
#include "lambdaml/data/array.h"
#include "lambdaml/data/pixels/images.h"
#include "lambdaml/data/registry.h"
#include "lambdaml/data/shared_options.h"

/// The binary version of CIFAR-100 (Krizhevsky 2009): per image a byte with the number of its
/// coarse class, 0 to 19, one with that of its fine class, 0 to 99, and 3,072 bytes of pixels,
/// first all of red, then green, then blue. The labels are the fine classes, or by `--label coarse`
/// the others; rows are tensors of uint8.
namespace lambdaml::data::cifar100 {
namespace {

constexpr std::size_t kRecord = 2 + kImageValues;
constexpr std::int32_t kLargestCoarse = 19;
constexpr std::int32_t kLargestFine = 99;

bool recognizes(Bytes head) {
  if (head.size() < kRecord) return false;
  const auto is_label = [&](std::size_t at, std::int32_t largest) {
    return at >= head.size() || std::to_integer<std::int32_t>(head[at]) <= largest;
  };
  return is_label(0, kLargestCoarse) && is_label(1, kLargestFine) &&
         is_label(kRecord, kLargestCoarse) && is_label(kRecord + 1, kLargestFine) &&
         std::any_of(head.begin() + 2, head.begin() + kRecord, [](std::byte b) {
           return std::to_integer<unsigned>(b) < 9 || std::to_integer<unsigned>(b) >= 128;
         });
}

bool wants_coarse(const ReadOptions& options) {
  const std::string label =
      options.options.find("label") != nullptr ? options.options.text("label") : "";
  if (!label.empty() && label != "fine" && label != "coarse")
    fail(Code::invalid_argument,
         "{}: --label '{}': images of CIFAR-100 have the labels fine and "
         "coarse",
         options.what, printable(label, 60));
  return label == "coarse";
}

Dataset read(const std::shared_ptr<const Buffer>& bytes, const ReadOptions& options) {
  const bool coarse = wants_coarse(options);
  if (bytes->size() % kRecord != 0)
    fail(Code::data_corrupt,
         "reading {}: {} bytes are no whole number of images of {} bytes; the file is truncated or "
         "no CIFAR-100 .bin",
         options.what, bytes->size(), kRecord);
  const std::size_t rows = bytes->size() / kRecord;
  std::vector<TensorValues> image;
  image.push_back({{"image", Element::uint8, {kImageColours, kImageSide, kImageSide}},
                   Array<std::byte>(rows * kImageValues)});
  Array<std::int32_t> labels(rows);
  for (std::size_t r = 0; r < rows; ++r) {
    const std::byte* const record = bytes->data() + r * kRecord;
    const auto of_coarse = std::to_integer<std::int32_t>(record[0]);
    const auto of_fine = std::to_integer<std::int32_t>(record[1]);
    if (of_coarse > kLargestCoarse || of_fine > kLargestFine)
      fail(Code::data_corrupt,
           "reading {}: image {} has the labels {} and {}, and CIFAR-100's are 0 to 19 and 0 to "
           "99; the file is damaged or no CIFAR-100 .bin",
           options.what, r + 1, of_coarse, of_fine);
    labels[r] = coarse ? of_coarse : of_fine;
    std::copy_n(record + 2, kImageValues, image[0].values.data() + r * kImageValues);
  }
  return tensor_dataset(rows, std::move(image), {}, std::move(labels));
}

/// Labels are fine classes; the coarse ones are 0.
Buffer write(const Dataset& dataset) {
  const TensorShape wanted{"image", Element::uint8, {kImageColours, kImageSide, kImageSide}};
  if (dataset.tensors.size() != 1 || dataset.tensors[0].element != wanted.element ||
      dataset.tensors[0].shape != wanted.shape || dataset.labels.empty())
    fail(Code::invalid_argument, "writing CIFAR-100 images: they are {}, with labels",
         wanted.text());
  Buffer out(dataset.rows() * kRecord);
  std::byte* to = out.data();
  for (std::size_t r = 0; r < dataset.rows(); ++r) {
    if (dataset.labels[r] < 0 || dataset.labels[r] > kLargestFine)
      fail(Code::invalid_argument,
           "writing CIFAR-100 images: row {} has the label {}, and labels are 0 to 99", r + 1,
           dataset.labels[r]);
    *to++ = std::byte{0};
    *to++ = static_cast<std::byte>(dataset.labels[r]);
    to = std::copy_n(dataset.tensors[0].row(r), kImageValues, to);
  }
  return out;
}

}  // namespace

void register_plugin(Registry& registry) {
  registry.add({.name = "cifar100",
                .formats = {"cifar100"},
                .help = "images: two label bytes and 3,072 bytes of pixels each; --label fine or "
                        "coarse",
                .recognizes = recognizes,
                .read = read,
                .write = write,
                .record_bytes = kRecord,
                .options = {label_option()}});
}

}  // namespace lambdaml::data::cifar100
