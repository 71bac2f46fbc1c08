#include <algorithm>

#include "lambdaml/base/error.h"
#include "lambdaml/base/formats/zip_reader.h"
#include "lambdaml/base/memory.h"
#include "lambdaml/base/text.h"
#include "lambdaml/data/npy/array.h"
#include "lambdaml/data/registry.h"
#include "lambdaml/data/rows.h"
#include "lambdaml/data/shared_options.h"

/// NumPy's files: `.npy`, an array of rows, whose labels are in a file beside it, and `.npz`, a zip
/// of such files, of which `X` are the rows and `y` the labels or targets.
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

Dataset read_npy(Bytes bytes, const std::string& what) {
  if (!is_npy(bytes)) fail(Code::data_corrupt, "reading {}: it is no .npy or .npz file", what);
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

Dataset read_npz(Bytes bytes, const std::string& what) {
  const ZipReader zip(bytes, "reading " + what);
  const std::optional<std::size_t> rows = zip.find("X.npy");
  if (!rows) {
    std::vector<std::string> names;
    for (std::size_t i = 0; i < std::min<std::size_t>(zip.entries(), 10); ++i) {
      const std::string name = zip.name(i);
      names.push_back(printable(name.substr(0, name.rfind(".npy")), 40));
    }
    fail(
        Code::data_corrupt,
        "reading {}: it has no array X (it has {}): save it as numpy.savez(FILE, X=rows, y=labels)",
        what, join(names, ", "));
  }
  const Dataset features = read_npy(unzipped(zip, *rows, what), what + ", X");
  const std::optional<std::size_t> labels = zip.find("y.npy");
  if (!labels) return features;
  return with_labels_of(features, read_npy(unzipped(zip, *labels, what), what + ", y"), what,
                        what + ", y");
}

Dataset read(const std::shared_ptr<const Buffer>& bytes, const ReadOptions& options) {
  Dataset out = is_npz(*bytes) ? read_npz(*bytes, options.what) : read_npy(*bytes, options.what);
  out = with_label_column(out, options);
  return options.form == Form::sparse ? in_form(out, options.form) : out;
}

/// Rows without labels, which a file of one array cannot hold.
Buffer write(const Dataset& dataset) {
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

}  // namespace

void register_plugin(Registry& registry) {
  registry.add({.name = "npy",
                .formats = {"npy", "npz"},
                .help = "NumPy arrays: rows, with their labels in y or a file beside",
                .recognizes = recognizes,
                .read = read,
                .write = write,
                .options = {label_option(), labels_file_option()}});
}

}  // namespace lambdaml::data::npy
