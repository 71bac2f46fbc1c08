#include <algorithm>
#include <array>
#include <optional>

#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"
#include "lambdaml/data/compression/compression.h"
#include "lambdaml/data/registry.h"
#include "lambdaml/data/rows.h"
#include "lambdaml/data/stored.h"

/// The files of MNIST, Fashion-MNIST, EMNIST and KMNIST (LeCun's "idx"): two bytes of 0, one with
/// the type of the numbers, one with the number of dimensions, each dimension as four bytes, the
/// numbers; all big-endian. Images and labels are in two files, found by their names:
/// `train-images- idx3-ubyte` and `train-labels-idx1-ubyte`.
namespace lambdaml::data::idx {
namespace {

struct Type {
  unsigned code;
  Stored stored;
};
constexpr std::array<Type, 6> kTypes = {{{0x08, Stored::u8},
                                         {0x09, Stored::i8},
                                         {0x0b, Stored::i16},
                                         {0x0c, Stored::i32},
                                         {0x0d, Stored::f32},
                                         {0x0e, Stored::f64}}};
constexpr std::size_t kMagic = 4;

unsigned byte(Bytes bytes, std::size_t at) { return std::to_integer<unsigned>(bytes[at]); }

const Type* type_of(Bytes head) {
  if (head.size() < kMagic || byte(head, 0) != 0 || byte(head, 1) != 0) return nullptr;
  const auto* const type = std::ranges::find(kTypes, byte(head, 2), &Type::code);
  const unsigned dimensions = byte(head, 3);
  return type == kTypes.end() || dimensions == 0 || dimensions > kMostDimensions ? nullptr : type;
}

std::size_t length_at(Bytes bytes, std::size_t dimension) {
  std::size_t out = 0;
  for (std::size_t i = 0; i < 4; ++i) out = out << 8U | byte(bytes, kMagic + 4 * dimension + i);
  return out;
}

bool recognizes(Bytes head) {
  if (type_of(head) == nullptr) return false;
  const std::size_t dimensions = byte(head, 3);
  if (head.size() < kMagic + 4 * dimensions) return false;
  // Of pixels or other bytes, the lengths of rows would be far larger.
  for (std::size_t d = 1; d < dimensions; ++d)
    if (length_at(head, d) == 0 || length_at(head, d) > 65535) return false;
  return length_at(head, 0) < (1U << 28U);
}

StoredArray array_of(Bytes bytes, const std::string& what) {
  const Type* const type = type_of(bytes);
  if (type == nullptr)
    fail(Code::data_corrupt,
         "reading {}: no idx file: it does not begin with 0, 0, a type and a number of dimensions",
         what);
  const std::size_t dimensions = byte(bytes, 3);
  const std::size_t begin = kMagic + 4 * dimensions;
  if (bytes.size() < begin)
    fail(Code::data_corrupt, "reading {}: it ends in its header: it was cut short; fetch it again",
         what);
  StoredArray out{.type = type->stored, .swapped = true};
  std::size_t size = size_of(type->stored);
  bool too_large = false;
  for (std::size_t d = 0; d < dimensions; ++d) {
    out.shape.push_back(length_at(bytes, d));
    too_large |= __builtin_mul_overflow(size, out.shape.back(), &size);
  }
  if (too_large || size > bytes.size() - begin)
    fail(Code::data_corrupt,
         "reading {}: it has {} bytes of values, and its header promises {} of {} dimensions: it "
         "was cut short; fetch it again",
         what, bytes.size() - begin, too_large ? "more than 2^64" : std::to_string(size),
         dimensions);
  if (size < bytes.size() - begin)
    fail(Code::data_corrupt, "reading {}: {} bytes follow the {} that its header promises", what,
         bytes.size() - begin - size, size);
  out.bytes = bytes.subspan(begin);
  return out;
}

/// One number per row, for instance labels; rows of features; or images.
Dataset read(const std::shared_ptr<const Buffer>& bytes, const ReadOptions& options) {
  StoredArray array = array_of(*bytes, options.what);
  if (array.shape.size() <= 2) {
    const Dataset rows = features_from(array, options.what);
    return options.form == Form::sparse ? in_form(rows, options.form) : rows;
  }
  // A picture of one colour has one channel.
  if (array.shape.size() == 3 && array.type == Stored::u8)
    array.shape.insert(array.shape.begin() + 1, 1);
  return dataset_of({{array.type == Stored::u8 ? "image" : "x", array}}, "none", options.what);
}

constexpr std::string_view kImages = "images";
constexpr std::string_view kLabels = "labels";

/// Whether a file of that name has images: `images-idx3-ubyte`, or with a dot before `idx3`.
bool has_images(std::string_view name) {
  const std::string_view plain = without_ending(name);
  return plain.ends_with("images-idx3-ubyte") || plain.ends_with("images.idx3-ubyte");
}

std::vector<std::string> labels_beside(const std::string& name) {
  if (!has_images(name)) return {};
  std::string labels = name;
  labels.replace(labels.rfind(kImages), kImages.size(), kLabels);
  labels.replace(labels.rfind("idx3"), 4, "idx1");
  const std::string plain(without_ending(labels));
  return {labels, plain, plain + ".gz"};
}

/// Of several pairs those for training.
std::optional<std::string> images_of(const std::vector<std::string>& keys) {
  std::optional<std::string> found;
  for (const std::string& key : keys)
    if (key.find('/') == std::string::npos && has_images(key) &&
        (!found || key.starts_with("train")))
      found = key;
  return found;
}

Dataset read_folder(const FolderFiles& files, const ReadOptions& options) {
  const std::string images = images_of(files.keys).value();
  const auto read_file = [&](const std::string& key) {
    ReadOptions how = options;
    how.what += "/" + key;
    return read(decompress(std::make_shared<const Buffer>(files.load(key)), how.what), how);
  };
  const Dataset rows = read_file(images);
  for (const std::string& labels : labels_beside(images))
    if (std::ranges::find(files.keys, labels) != files.keys.end())
      return with_labels_of(rows, read_file(labels), options.what + "/" + images,
                            options.what + "/" + labels);
  return rows;
}

/// Of images, the only kind of rows that fits.
Buffer write(const Dataset& dataset) {
  if (dataset.tensors.size() != 1 || dataset.tensors[0].element != Element::uint8 ||
      dataset.tensors[0].shape.empty() || !dataset.labels.empty() || !dataset.targets.empty() ||
      dataset.target_tensor)
    fail(Code::invalid_argument,
         "writing idx: it holds one tensor of uint8, and labels are in a file of their own");
  const Tensor& tensor = dataset.tensors[0];
  std::vector<std::size_t> shape{dataset.rows()};
  const bool grey = tensor.shape.size() == 3 && tensor.shape[0] == 1;
  shape.insert(shape.end(), tensor.shape.begin() + (grey ? 1 : 0), tensor.shape.end());
  std::string head{'\0', '\0', '\x08', static_cast<char>(shape.size())};
  for (const std::size_t length : shape)
    for (const unsigned shift : {24U, 16U, 8U, 0U}) head += static_cast<char>(length >> shift);
  const Bytes values = tensor.bytes(dataset.rows());
  Buffer out(head.size() + values.size());
  std::copy_n(as_bytes(head).data(), head.size(), out.data());
  std::ranges::copy(values, out.data() + head.size());
  return out;
}

}  // namespace

void register_plugin(Registry& registry) {
  registry.add({.name = "idx",
                .formats = {"idx"},
                .help = "the files of MNIST: images, and their labels in a file beside",
                .recognizes = recognizes,
                .read = read,
                .write = write,
                .labels_beside = labels_beside,
                .is_folder = [](const auto& keys) { return images_of(keys).has_value(); },
                .read_folder = read_folder});
}

}  // namespace lambdaml::data::idx
