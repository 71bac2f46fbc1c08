#include <algorithm>

#include "lambdaml/base/error.h"
#include "lambdaml/base/formats/zip_reader.h"
#include "lambdaml/base/memory.h"
#include "lambdaml/base/text.h"
#include "lambdaml/data/array.h"
#include "lambdaml/data/compression/compression.h"
#include "lambdaml/data/npy/array.h"
#include "lambdaml/data/registry.h"
#include "lambdaml/data/rows.h"
#include "lambdaml/data/shared_options.h"
#include "lambdaml/data/weights.h"

/// NumPy's files: `.npy`, an array of rows, whose labels are in a file beside it, and `.npz`, a zip
/// of such files. An `X` of at most two dimensions there are rows of features, and `y` their labels
/// or targets; any other arrays are tensors under their names, one of which may be to learn.
namespace lambdaml::data::npy {
namespace {

/// A zip whose first file is an array.
bool is_npz(Bytes head) {
  constexpr std::size_t kNameAt = 30;
  const std::string_view text = as_text(head);
  if (text.size() <= kNameAt || !text.starts_with("PK\x03\x04")) return false;
  const std::size_t length =
      std::to_integer<std::size_t>(head[26]) | std::to_integer<std::size_t>(head[27]) << 8U;
  return text.substr(kNameAt, length).ends_with(".npy");
}

bool recognizes(Bytes head) { return is_npy(head) || is_npz(head); }

Dataset unlabelled(Matrix matrix) {
  return dense_dataset(std::move(matrix.values), matrix.rows, matrix.cols, {});
}

/// Rows of features or, of more than two dimensions, of a tensor.
Dataset read_npy(Bytes bytes, const std::string& what) {
  if (!is_npy(bytes)) fail(Code::data_corrupt, "reading {}: it is no .npy or .npz file", what);
  const StoredArray array = read_array(bytes, what);
  if (array.shape.size() > 2) return dataset_of({{"X", array}}, "none", what);
  return unlabelled(read_matrix(bytes, what));
}

Buffer unzipped(const ZipReader& zip, std::size_t entry, const std::string& what) {
  Array<std::byte> out;
  const bool whole = zip.read(entry, machine_memory_bytes() / 4 * 3, [&](Bytes piece) {
    std::copy(piece.begin(), piece.end(), out.extend(piece.size()));
  });
  if (!whole)
    fail(Code::resource_exhausted, "unzipping {}: the content is larger than this machine's memory",
         what);
  return Buffer(out.span());
}

/// Whether a value of `label` names an array, and not a column by its index.
bool is_array_name(const std::string& label) {
  return !label.empty() && label != "none" && !to_integer(label);
}

/// The arrays under their names, as tensors. `label` names the one to learn; empty: by custom.
Dataset read_tensors(const ZipReader& zip, std::string_view label, const std::string& what) {
  if (zip.entries() > kMostTensors + 1)
    fail(Code::data_corrupt, "reading {}: it has more than {} arrays", what, kMostTensors + 1);
  std::vector<Buffer> files;
  std::vector<NamedArray> arrays;
  for (std::size_t i = 0; i < zip.entries(); ++i) {
    const std::string file = zip.name(i);
    const std::string name = file.substr(0, file.rfind(".npy"));
    files.push_back(unzipped(zip, i, what));
    const std::string what_array = what + ", " + printable(name, 60);
    if (!is_npy(files.back()))
      fail(Code::data_corrupt, "reading {}: it is no .npy file", what_array);
    arrays.push_back({name, read_array(files.back(), what_array)});
  }
  return dataset_of(std::move(arrays), label, what);
}

/// With the array of weights: the one that the option names, else `sample_weight` if there is one.
Dataset with_weights_of(const ZipReader& zip, const Dataset& rows, const ReadOptions& options) {
  const WeightColumn wanted(options.options);
  if (wanted.is_refused || options.features > 0) return rows;
  const std::string name = wanted.name.empty() ? "sample_weight" : wanted.name;
  const std::string what = options.what + ", " + name;
  const std::optional<std::size_t> entry = zip.find(name + ".npy");
  if (!entry && wanted.name.empty()) return rows;
  if (!entry)
    fail(Code::invalid_argument, "{}: --weight-column '{}': there is no such array", options.what,
         printable(name, 60));
  Matrix weights = read_matrix(unzipped(zip, *entry, options.what), what);
  if (weights.cols != 1 && weights.rows != 0)
    fail(Code::invalid_argument, "{}: weights are one number per row, and it has {} columns", what,
         weights.cols);
  return with_weights(rows, std::move(weights.values), what);
}

Dataset read_npz(Bytes bytes, const ReadOptions& options) {
  const std::string& what = options.what;
  const ZipReader zip(bytes, "reading " + what);
  const bool declared = options.options.find("label") != nullptr;
  const std::string label = declared ? options.options.text("label") : "";
  const std::optional<std::size_t> rows = zip.find("X.npy");
  if (!rows || is_array_name(label)) return read_tensors(zip, label, what);
  const Buffer file = unzipped(zip, *rows, what);
  if (is_npy(file) && read_array(file, what + ", X").shape.size() > 2)
    return read_tensors(zip, label, what);
  const Dataset features = with_weights_of(zip, read_npy(file, what + ", X"), options);
  const std::optional<std::size_t> labels = zip.find("y.npy");
  if (!labels) return features;
  return with_labels_of(features, read_npy(unzipped(zip, *labels, what), what + ", y"), what,
                        what + ", y");
}

Dataset read(const std::shared_ptr<const Buffer>& bytes, const ReadOptions& options) {
  Dataset out = is_npz(*bytes) ? read_npz(*bytes, options) : read_npy(*bytes, options.what);
  if (out.tensors.empty()) out = with_label_column(out, options);
  return options.form == Form::sparse ? in_form(out, options.form) : out;
}

/// Rows without labels, which a file of one array cannot hold.
Buffer write(const Dataset& dataset) {
  require_features(dataset, "writing .npy");
  if (!dataset.labels.empty() || !dataset.targets.empty())
    fail(Code::invalid_argument, "writing .npy: it holds one array and no labels beside it");
  const Dataset dense = in_form(dataset, Form::dense);
  const auto& view = std::get<tensor::DenseView>(dense.features);
  std::string header = fmt::format(
      "{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}", view.rows, view.cols);
  // The values begin at a multiple of 64.
  header.append(63 - (10 + header.size()) % 64, ' ');
  header += '\n';
  std::string text("\x93NUMPY\x01\x00", 8);
  text += static_cast<char>(header.size() & 0xffU);
  text += static_cast<char>(header.size() >> 8U);
  text += header;
  const Bytes values = std::as_bytes(std::span(view.data, view.rows * view.cols));
  Buffer out(text.size() + values.size());
  std::copy_n(as_bytes(text).data(), text.size(), out.data());
  std::copy(values.begin(), values.end(), out.data() + text.size());
  return out;
}

/// `y.npy` of `X.npy`, `y_train.npy` of `X_train.npy`.
std::vector<std::string> labels_beside(const std::string& name) {
  if (!name.starts_with('X') || !without_ending(name).ends_with(".npy")) return {};
  std::string labels = name;
  labels[0] = 'y';
  return {labels};
}

}  // namespace

void register_plugin(Registry& registry) {
  registry.add({.name = "npy",
                .formats = {"npy", "npz"},
                .help = "NumPy arrays: rows, with their labels in y or a file beside",
                .recognizes = recognizes,
                .read = read,
                .write = write,
                .labels_beside = labels_beside,
                .options = {label_option(), labels_file_option(), weight_column_option()}});
}

}  // namespace lambdaml::data::npy
