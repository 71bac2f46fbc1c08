#include "lambdaml/data/summary.h"

#include <algorithm>
#include <numeric>

#include "lambdaml/data/column_notices.h"
#include "lambdaml/data/files.h"
#include "lambdaml/data/prepared.h"
#include "lambdaml/data/source.h"
#include "lambdaml/tensor/half.h"

namespace lambdaml::data {
namespace {

template <class Index>
std::uint64_t count_nonzeros(const tensor::CsrView<Index>& csr) {
  if (csr.rows == 0) return 0;
  const auto* begin = csr.values + csr.offsets[0];
  return csr.nonzeros() -
         static_cast<std::uint64_t>(std::count(begin, begin + csr.nonzeros(), 0.0F));
}

std::uint64_t count_nonzeros(const tensor::DenseView& dense) {
  const std::size_t n = dense.rows * dense.cols;
  return n - static_cast<std::uint64_t>(std::count(dense.data, dense.data + n, 0.0F));
}

Summary::Spread spread_of(std::span<const float> values) {
  const auto [min, max] = std::minmax_element(values.begin(), values.end());
  const double sum = std::accumulate(values.begin(), values.end(), 0.0);
  return {*min, sum / static_cast<double>(values.size()), *max};
}

template <class T, class Convert>
void add_range(const Tensor& tensor, std::size_t rows, const Convert& to, Summary::Range& out) {
  const std::span<const T> numbers(reinterpret_cast<const T*>(tensor.values),
                                   rows * tensor.row_numbers());
  if (numbers.empty()) return;
  out.min = out.max = static_cast<double>(to(numbers[0]));
  double sum = 0;
  for (const T number : numbers) {
    const auto value = static_cast<double>(to(number));
    out.min = std::min(out.min, value);
    out.max = std::max(out.max, value);
    sum += value;
  }
  out.mean = sum / static_cast<double>(numbers.size());
}

Summary::Range range_of(const Tensor& tensor, std::size_t rows, bool to_learn) {
  Summary::Range out{.tensor = tensor, .to_learn = to_learn};
  const auto same = [](auto number) { return number; };
  switch (tensor.element) {
    case Element::float32:
      add_range<float>(tensor, rows, same, out);
      break;
    case Element::float16:
      add_range<std::uint16_t>(tensor, rows, tensor::half_to_float, out);
      break;
    case Element::int64:
      add_range<std::int64_t>(tensor, rows, same, out);
      break;
    case Element::int32:
      add_range<std::int32_t>(tensor, rows, same, out);
      break;
    case Element::uint8:
      add_range<std::uint8_t>(tensor, rows, same, out);
      break;
  }
  return out;
}

/// Whether it is none of a folder's data: `_SUCCESS`, `.crc`.
bool is_left_out(const std::string& key) {
  const char first = key[key.rfind('/') + 1];
  return first == '_' || first == '.';
}

/// Adds the bytes and parts of what is stored at one place.
void add_stored(const Uri& uri, Summary& out) {
  if (const std::optional<Manifest> manifest = find_manifest(uri)) {
    out.bytes += manifest->bytes;
    out.parts += manifest->parts();
    return;
  }
  const auto add_all = [&](const std::vector<storage::Entry>& files) {
    for (const storage::Entry& file : files) {
      if (is_left_out(file.key)) continue;
      out.bytes += file.bytes;
      ++out.parts;
    }
  };
  // The root of a store, a bucket for instance, is no object in another place.
  if (uri.name().empty()) {
    const std::shared_ptr<storage::Storage> store = storage::open(uri);
    const std::vector<storage::Entry> files = bare_parts(*store);
    return add_all(files.empty() ? store->list("") : files);
  }
  const storage::Object object = storage::open_object(uri);
  if (!object.store->exists(object.key))
    if (const Files files = files_of_pattern(uri); !files.entries.empty())
      return add_all(files.entries);
  for (const storage::Entry& entry : object.store->list(object.key)) {
    const bool part = entry.key.starts_with(object.key + "/") && !is_left_out(entry.key);
    if (entry.key == object.key || part) out.bytes += entry.bytes;
    out.parts += part ? 1 : 0;
  }
}

}  // namespace

Summary summarize(const Places& places, std::string_view format, std::size_t threads,
                  const Options& format_options) {
  Summary out;
  std::vector<SourceFile> files;
  const Dataset dataset = read(places, format, threads, &files, format_options);
  warn_of_columns(places.display(), dataset);
  out.rows = dataset.rows();
  out.features = dataset.cols();
  out.nonzeros =
      std::visit([](const auto& view) { return count_nonzeros(view); }, dataset.features);
  for (const std::int32_t label : dataset.labels) ++out.labels[label];
  if (!dataset.targets.empty()) out.targets = spread_of(dataset.targets);
  for (const Tensor& tensor : dataset.tensors)
    out.tensors.push_back(range_of(tensor, out.rows, false));
  if (dataset.target_tensor)
    out.tensors.push_back(range_of(*dataset.target_tensor, out.rows, true));
  if (!dataset.weights.empty()) out.weights = spread_of(dataset.weights);
  out.names = dataset.names;
  for (const Uri& uri : places.uris) add_stored(uri, out);
  // A pipe has no size, before or after it was read.
  if (out.bytes == 0)
    for (const SourceFile& file : files) out.bytes += file.content.bytes;
  return out;
}

}  // namespace lambdaml::data
