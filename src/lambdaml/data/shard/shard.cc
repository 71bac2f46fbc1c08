#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <utility>

#include "lambdaml/base/checksum.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/parallel.h"
#include "lambdaml/base/text.h"
#include "lambdaml/data/array.h"
#include "lambdaml/data/registry.h"
#include "lambdaml/data/shard/checks.h"
#include "lambdaml/tensor/safetensors.h"

/// A prepared data set: a safetensors file that is used in place, without parsing. Metadata:
/// `format` = "lambdaml-shard", `version`, `kind` = "dense" or "csr", `rows`, `features`, `xxh3`, a
/// checksum of the file, and in a part `data_set` and `part`, which identify it. Tensors: dense
/// `values` [rows, features] F32; csr `offsets` [rows + 1] U64, `indices` [n] U16 or U32 and
/// `values` [n] F32; both `labels` [rows] I32 or `targets` [rows] F32 unless unlabelled, and
/// `weights` [rows] F32 if rows have weights. Metadata `names`, where something has a name: see
/// names_text(). Of kind "tensors": metadata `tensors`, see tensors_text(), and a tensor
/// `input.NAME` [rows, …] for each input, in its own type; beside labels or targets, or `target`
/// [rows, …]. Version 1 had no checksum and did not state what it was a part of.
namespace lambdaml::data::shard {
namespace {

constexpr std::string_view kFormat = "lambdaml-shard";
constexpr std::string_view kVersion = "2";
constexpr std::string_view kVersionWithoutChecksum = "1";
constexpr const char* kDataSet = "data_set";
constexpr const char* kPart = "part";
constexpr std::uint64_t kMaxFeatures = std::uint64_t{1} << 31;
constexpr std::size_t kRowsBlock = 4096;

[[noreturn]] void corrupt(const std::string& what, const std::string& why) {
  fail(Code::data_corrupt, "reading {}: {}; prepare the data set again", what, why);
}

std::uint64_t count_of(const tensor::SafetensorsFile& file, std::string_view key) {
  const std::string& text = file.metadata(key);
  const std::optional<std::int64_t> number = to_integer(text);
  if (!number || *number < 0)
    corrupt(file.what(), fmt::format("the {} '{}' are no count", key, printable(text, 40)));
  return static_cast<std::uint64_t>(*number);
}

void want_shape(const tensor::SafetensorsFile& file, std::string_view name,
                const std::vector<std::size_t>& shape) {
  if (file.get(name).shape != shape)
    corrupt(file.what(), fmt::format("the shape of '{}' does not fit the rows and features", name));
}

/// Whether the indices of rows [begin, end) ascend and are below the features.
using RowsAscend = std::function<bool(std::size_t begin, std::size_t end)>;

/// How many of a tensor's values precede the end of `piece`, a piece of the file's data.
std::size_t seen_of(std::span<const float> values, Bytes piece) {
  const auto* const begin = reinterpret_cast<const std::byte*>(values.data());
  const std::byte* const end = piece.data() + piece.size();
  if (values.empty() || end <= begin) return 0;
  return std::min(values.size_bytes(), static_cast<std::size_t>(end - begin)) / sizeof(float);
}

/// Checks the whole content: one thread computes the checksum, a sequential pass over memory, and
/// looks at the values on the way; the others check the rows' indices.
void verify(const tensor::SafetensorsFile& file, std::span<const float> values, std::size_t rows,
            const RowsAscend& ascend, std::size_t threads) {
  const std::size_t blocks = ascend ? (rows + kRowsBlock - 1) / kRowsBlock : 0;
  std::atomic<bool> all_ascend = true;
  bool all_are_finite = true;
  parallel_for(1 + blocks, threads, [&](std::size_t task) {
    if (task == 0) {
      std::size_t checked = 0;
      file.verify([&](Bytes piece) {
        const std::size_t from = std::exchange(checked, seen_of(values, piece));
        all_are_finite &= all_finite(values.subspan(from, checked - from));
      });
      return;
    }
    const std::size_t begin = (task - 1) * kRowsBlock;
    if (!ascend(begin, std::min(rows, begin + kRowsBlock))) all_ascend = false;
  });
  if (!all_ascend)
    corrupt(file.what(), "feature indices of a row do not ascend or are beyond the features");
  if (!all_are_finite) corrupt(file.what(), "a value is not finite");
}

struct Csr {
  tensor::MatrixView rows;
  RowsAscend ascend;
};

template <class Index>
Csr csr_of(const tensor::SafetensorsFile& file, std::uint64_t rows, std::uint64_t features) {
  const auto offsets = file.values<std::uint64_t>("offsets");
  const auto indices = file.values<Index>("indices");
  const auto values = file.values<float>("values");
  want_shape(file, "offsets", {rows + 1});
  want_shape(file, "values", {indices.size()});
  if (!offsets_partition(offsets, indices.size()))
    corrupt(file.what(), "the row offsets do not ascend from 0 to the number of values");
  return {tensor::CsrView<Index>{offsets.data(), indices.data(), values.data(), rows, features},
          [=](std::size_t begin, std::size_t end) {
            return indices_ascend(offsets.subspan(begin, end - begin + 1), indices, features);
          }};
}

constexpr std::pair<Element, tensor::Dtype> kDtypes[] = {{Element::float32, tensor::Dtype::f32},
                                                         {Element::float16, tensor::Dtype::f16},
                                                         {Element::int64, tensor::Dtype::i64},
                                                         {Element::int32, tensor::Dtype::i32},
                                                         {Element::uint8, tensor::Dtype::u8}};

tensor::Dtype dtype_of(Element element) {
  return std::ranges::find(kDtypes, element, &std::pair<Element, tensor::Dtype>::first)->second;
}

std::vector<std::size_t> shape_in_file(std::size_t rows, const TensorShape& tensor) {
  std::vector<std::size_t> shape{rows};
  shape.insert(shape.end(), tensor.shape.begin(), tensor.shape.end());
  return shape;
}

std::string input_name(const TensorShape& tensor) { return "input." + tensor.name; }
constexpr const char* kTarget = "target";

Tensor tensor_of(const tensor::SafetensorsFile& file, const std::string& name, std::size_t rows,
                 const TensorShape& shape) {
  want_shape(file, name, shape_in_file(rows, shape));
  const tensor::Tensor& stored = file.get(name);
  if (stored.dtype != dtype_of(shape.element))
    corrupt(file.what(), fmt::format("the tensor '{}' is not of the type {}", printable(name, 60),
                                     to_string(shape.element)));
  Tensor out{shape, stored.bytes.data()};
  if (reinterpret_cast<std::uintptr_t>(out.values) % size_of(shape.element) != 0)
    corrupt(file.what(), fmt::format("the tensor '{}' is misaligned", printable(name, 60)));
  if (!all_finite(out, rows))
    corrupt(file.what(),
            fmt::format("the tensor '{}' has a number that is not finite", printable(name, 60)));
  return out;
}

/// The inputs, and the tensor to learn if there is one.
void read_tensors(const tensor::SafetensorsFile& file, std::size_t rows, Dataset& dataset) {
  const TensorShapes shapes =
      tensors_from(file.metadata("tensors"), fmt::format("reading {}", file.what()));
  if (shapes.empty()) corrupt(file.what(), "it has no tensors");
  dataset.features = tensor::DenseView{nullptr, rows, 0};
  for (const TensorShape& input : shapes.inputs)
    dataset.tensors.push_back(tensor_of(file, input_name(input), rows, input));
  if (shapes.target) dataset.target_tensor = tensor_of(file, kTarget, rows, *shapes.target);
}

/// Labels or targets, weights, and names, beside the features of `dataset`.
void read_labelling(const tensor::SafetensorsFile& file, Dataset& dataset) {
  const std::size_t rows = dataset.rows();
  if (file.find("labels") != nullptr) {
    dataset.labels = file.values<std::int32_t>("labels");
    want_shape(file, "labels", {rows});
  }
  if (file.find("targets") != nullptr) {
    dataset.targets = file.values<float>("targets");
    want_shape(file, "targets", {rows});
    if (!dataset.labels.empty()) corrupt(file.what(), "it has labels and targets");
    if (!all_finite(dataset.targets)) corrupt(file.what(), "a target is not finite");
  }
  if (dataset.target_tensor && !(dataset.labels.empty() && dataset.targets.empty()))
    corrupt(file.what(), "it has two kinds of targets");
  if (file.find("weights") != nullptr) {
    dataset.weights = file.values<float>("weights");
    want_shape(file, "weights", {rows});
    if (!std::ranges::all_of(dataset.weights, [](float w) { return w >= 0 && std::isfinite(w); }))
      corrupt(file.what(), "a weight is not a finite number from 0 up");
  }
  const auto names = file.metadata().find("names");
  if (names == file.metadata().end()) return;
  dataset.names = names_from(names->second, dataset.cols(), "reading " + file.what());
  const std::size_t named = dataset.names->labels.size();
  const auto has_name = [=](std::int32_t label) {
    return label >= 0 && static_cast<std::size_t>(label) < named;
  };
  if (named != 0 && !std::all_of(dataset.labels.begin(), dataset.labels.end(), has_name))
    corrupt(file.what(), "a label has no name among those of the labels");
}

tensor::SafetensorsFile open(const std::shared_ptr<const Buffer>& bytes, const std::string& what) {
  tensor::SafetensorsFile file(bytes, what);
  const auto format = file.metadata().find("format");
  if (format == file.metadata().end() || format->second != kFormat)
    fail(Code::data_corrupt, "reading {}: a safetensors file, but not a prepared data set", what);
  const std::string& version = file.metadata("version");
  if (version != kVersion && version != kVersionWithoutChecksum)
    corrupt(what, fmt::format("shard version '{}' is not the known {}", printable(version, 20),
                              kVersion));
  if (version == kVersion && !file.stated_checksum()) corrupt(what, "it has no checksum of itself");
  return file;
}

Dataset read(const std::shared_ptr<const Buffer>& bytes, const ReadOptions& options) {
  const tensor::SafetensorsFile file = open(bytes, options.what);
  const std::uint64_t rows = count_of(file, "rows");
  const std::uint64_t features = count_of(file, "features");
  if (features > kMaxFeatures) corrupt(options.what, "more than 2^31 features");

  Dataset dataset;
  dataset.owner = file.owner();
  const std::string& kind = file.metadata("kind");
  const bool has_tensors = kind == "tensors";
  const auto values = has_tensors ? std::span<const float>() : file.values<float>("values");
  RowsAscend ascend;
  if (has_tensors && features == 0) {
    read_tensors(file, rows, dataset);
  } else if (kind == "dense") {
    want_shape(file, "values", {rows, features});
    dataset.features = tensor::DenseView{values.data(), rows, features};
  } else if (kind == "csr") {
    const bool narrow = file.get("indices").dtype == tensor::Dtype::u16;
    Csr csr = narrow ? csr_of<std::uint16_t>(file, rows, features)
                     : csr_of<std::uint32_t>(file, rows, features);
    dataset.features = csr.rows;
    ascend = std::move(csr.ascend);
  } else {
    corrupt(options.what,
            fmt::format("the kind '{}' is neither dense, csr nor tensors", printable(kind, 20)));
  }
  verify(file, values, rows, ascend, options.threads);
  read_labelling(file, dataset);
  if (features == 0 && !has_tensors && !dataset.labelled())
    corrupt(options.what, "rows without features and labels");
  // In the form in which it was prepared, unless another is requested.
  return options.form == Form::automatic ? dataset : in_form(dataset, options.form);
}

using Owner = std::shared_ptr<const void>;

/// Calls use(a writer for the rows, what keeps those of its bytes that are not the rows').
template <class Use>
auto with_writer(const Dataset& dataset, const Use& use) {
  tensor::SafetensorsWriter writer;
  writer.set_metadata("format", std::string(kFormat));
  writer.set_metadata("version", std::string(kVersionWithoutChecksum));
  writer.set_metadata("rows", std::to_string(dataset.rows()));
  writer.set_metadata("features", std::to_string(dataset.cols()));
  if (!dataset.targets.empty())
    writer.add("targets", {dataset.rows()}, dataset.targets);
  else if (dataset.labelled() && !dataset.target_tensor)
    writer.add("labels", {dataset.rows()}, dataset.labels);
  if (!dataset.weights.empty()) writer.add("weights", {dataset.rows()}, dataset.weights);
  if (dataset.names) writer.set_metadata("names", names_text(*dataset.names));
  if (!dataset.tensors.empty()) {
    writer.set_metadata("kind", "tensors");
    writer.set_metadata("tensors", tensors_text(dataset.tensor_shapes()));
    const auto add = [&](std::string name, const Tensor& from) {
      writer.add(tensor::Tensor{std::move(name), dtype_of(from.element),
                                shape_in_file(dataset.rows(), from), from.bytes(dataset.rows())});
    };
    for (const Tensor& input : dataset.tensors) add(input_name(input), input);
    if (dataset.target_tensor) add(kTarget, *dataset.target_tensor);
    return use(writer, nullptr);
  }
  if (const auto* dense = std::get_if<tensor::DenseView>(&dataset.features)) {
    writer.set_metadata("kind", "dense");
    writer.add("values", {dense->rows, dense->cols},
               std::span<const float>(dense->data, dense->rows * dense->cols));
    return use(writer, nullptr);
  }
  writer.set_metadata("kind", "csr");
  const auto owned = std::make_shared<Array<std::uint64_t>>(dataset.rows() + 1);
  Array<std::uint64_t>& offsets = *owned;
  const auto add = [&](const auto& csr) {
    const std::uint64_t begin = csr.rows == 0 ? 0 : csr.offsets[0];
    const std::size_t n = csr.nonzeros();
    offsets[0] = 0;
    for (std::size_t r = 0; r < csr.rows; ++r) offsets[r + 1] = csr.offsets[r + 1] - begin;
    writer.add("offsets", {csr.rows + 1}, offsets.span());
    writer.add("values", {n}, std::span(csr.values + begin, n));
    writer.add("indices", {n}, std::span(csr.indices + begin, n));
  };
  if (const auto* narrow = std::get_if<tensor::Csr16>(&dataset.features))
    add(*narrow);
  else
    add(std::get<tensor::Csr32>(dataset.features));
  return use(writer, owned);
}

Buffer write(const Dataset& dataset) {
  return with_writer(dataset, [](tensor::SafetensorsWriter& writer, const Owner&) {
    writer.set_metadata("version", std::string(kVersion));
    return writer.serialize_with_checksum();
  });
}

Written write_part(const Dataset& dataset, const Identity& identity) {
  return with_writer(dataset, [&](tensor::SafetensorsWriter& writer, const Owner& owner) {
    Written out;
    // As version 1 wrote it: data prepared by it, and jobs begun with it, identify the rows by this
    // checksum.
    out.rows_checksum = writer.checksum();
    writer.set_metadata("version", std::string(kVersion));
    writer.set_metadata(kDataSet, checksum_text(identity.data_set));
    writer.set_metadata(kPart, identity.part);
    auto gathered = writer.gather_with_checksum(&out.checksum);
    const auto head = std::make_shared<const std::string>(std::move(gathered.head));
    out.pieces = {as_bytes(*head)};
    out.pieces.insert(out.pieces.end(), gathered.tensors.begin(), gathered.tensors.end());
    out.owner = std::make_shared<std::pair<Owner, Owner>>(head, owner);
    return out;
  });
}

Statement statement(const std::shared_ptr<const Buffer>& bytes, const std::string& what) {
  const tensor::SafetensorsFile file = open(bytes, what);
  Statement out{file.stated_checksum(), {}};
  if (!file.metadata().contains(kPart) && !file.metadata().contains(kDataSet)) return out;
  const std::optional<std::uint64_t> data_set = checksum_from(file.metadata(kDataSet));
  if (!data_set) corrupt(what, "its data set is not 16 hexadecimal digits");
  out.identity = Identity{*data_set, printable(file.metadata(kPart), 50)};
  return out;
}

/// A safetensors file, the length of its header in 8 bytes and then the header's brace, that names
/// this format among its metadata, which come first.
bool recognizes(Bytes head) {
  if (head.size() < 9 || head[8] != std::byte{'{'}) return false;
  std::uint64_t length = 0;
  std::memcpy(&length, head.data(), sizeof length);
  return length < (std::uint64_t{1} << 32) &&
         as_text(head).find(fmt::format("\"{}\"", kFormat)) != std::string_view::npos;
}

}  // namespace

void register_plugin(Registry& registry) {
  registry.add({.name = "shard",
                .formats = {"shard"},
                .help = "a prepared data set (safetensors) that loads without parsing",
                .recognizes = recognizes,
                .read = read,
                .write = write,
                .write_part = write_part,
                .statement = statement,
                .holds_weights = true});
}

}  // namespace lambdaml::data::shard
