#include "dataset.h"

#include <atomic>
#include <bit>
#include <cmath>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "gil.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/parallel.h"
#include "lambdaml/data/array.h"
#include "lambdaml/data/registry.h"
#include "lambdaml/data/source.h"
#include "lambdaml/data/weights.h"

namespace lambdaml::python {
namespace {

namespace py = pybind11;

/// Rows that are converted at a time: few, so that columns that are far apart stay in the cache.
constexpr std::size_t kBlock = 512;
/// Values that are checked in one piece.
constexpr std::size_t kPiece = 1 << 16;

bool is_finite(float value) {
  return (std::bit_cast<std::uint32_t>(value) & 0x7F800000U) != 0x7F800000U;
}

/// Without a branch per value, so that the compiler can use vectors.
bool all_finite(std::span<const float> values) {
  std::uint32_t bad = 0;
  for (const float value : values) bad |= is_finite(value) ? 0 : 1;
  return bad == 0;
}

[[noreturn]] void fail_not_finite(const char* what) {
  fail(Code::invalid_argument,
       "{} contains NaN, infinity or a value too large for float32; fill or drop such rows", what);
}

void require_finite(std::span<const float> values, const char* what) {
  const std::size_t pieces = (values.size() + kPiece - 1) / kPiece;
  std::atomic<bool> all = true;
  parallel_for(pieces, processors(), [&](std::size_t i) {
    const std::size_t begin = i * kPiece;
    if (!all_finite(values.subspan(begin, std::min(kPiece, values.size() - begin)))) all = false;
  });
  if (!all) fail_not_finite(what);
}

/// An array of one or two dimensions, of any numbers and strides.
struct Table {
  const std::byte* data;
  std::size_t rows, cols;
  std::ptrdiff_t row_stride, col_stride;

  template <class Number>
  Number at(std::size_t r, std::size_t c) const {
    Number out;
    std::memcpy(&out,
                data + static_cast<std::ptrdiff_t>(r) * row_stride +
                    static_cast<std::ptrdiff_t>(c) * col_stride,
                sizeof out);
    return out;
  }
};

template <class Number, class To>
void convert_block(const Table& from, std::size_t begin, std::size_t end, To* to) {
  if (std::abs(from.col_stride) <= std::abs(from.row_stride)) {
    for (std::size_t r = begin; r < end; ++r)
      for (std::size_t c = 0; c < from.cols; ++c)
        to[r * from.cols + c] = static_cast<To>(from.at<Number>(r, c));
    return;
  }
  for (std::size_t c = 0; c < from.cols; ++c)
    for (std::size_t r = begin; r < end; ++r)
      to[r * from.cols + c] = static_cast<To>(from.at<Number>(r, c));
}

/// Calls use(a number of the array's type).
template <class Use>
void with_number(const std::string& format, const char* what, const Use& use) {
  const char code = format.empty() ? 'B' : format.back();
  switch (format.size() > 2 || (format.size() == 2 && format[0] == '>') ? '\0' : code) {
    case 'f':
      return use(float{});
    case 'd':
      return use(double{});
    case '?':
    case 'B':
      return use(std::uint8_t{});
    case 'b':
      return use(std::int8_t{});
    case 'h':
      return use(std::int16_t{});
    case 'H':
      return use(std::uint16_t{});
    case 'i':
      return use(std::int32_t{});
    case 'I':
      return use(std::uint32_t{});
    case 'l':
    case 'q':
      return use(std::int64_t{});
    case 'L':
    case 'Q':
      return use(std::uint64_t{});
    default:
      fail(Code::invalid_argument, "{} has numbers of the type '{}': convert them to float32", what,
           format);
  }
}

Table table_of(const py::buffer_info& info, const char* what) {
  if (info.ndim != 1 && info.ndim != 2)
    fail(Code::invalid_argument, "{} has {} dimensions instead of 2", what, info.ndim);
  return {static_cast<const std::byte*>(info.ptr), static_cast<std::size_t>(info.shape[0]),
          info.ndim == 2 ? static_cast<std::size_t>(info.shape[1]) : 1, info.strides[0],
          info.ndim == 2 ? info.strides[1] : info.itemsize};
}

/// The array as numbers of that type, row by row: the array itself where it has that form.
template <class To>
const To* as_rows(const py::buffer_info& info, const char* format, const char* what,
                  data::Array<To>& copy) {
  const Table from = table_of(info, what);
  const auto width = static_cast<std::ptrdiff_t>(sizeof(To));
  const auto cols = static_cast<std::ptrdiff_t>(from.cols);
  const bool in_place = info.format == format && (from.cols <= 1 || from.col_stride == width) &&
                        (from.rows <= 1 || from.row_stride == width * cols) &&
                        reinterpret_cast<std::uintptr_t>(from.data) % alignof(To) == 0;
  if (in_place) return reinterpret_cast<const To*>(from.data);
  copy = data::Array<To>(from.rows * from.cols);
  with_number(info.format, what, [&](auto number) {
    parallel_for((from.rows + kBlock - 1) / kBlock, processors(), [&](std::size_t i) {
      convert_block<decltype(number)>(from, i * kBlock, std::min(from.rows, (i + 1) * kBlock),
                                      copy.data());
    });
  });
  return copy.data();
}

/// What belongs to rows besides their features, as Python gives it.
struct Labelling {
  std::optional<py::buffer> labels;   ///< whole numbers of 32 bits
  std::optional<py::buffer> targets;  ///< real numbers
  std::optional<py::buffer> weights;  ///< from 0 up
  std::string names;                  ///< data::names_text(), or empty
};

struct Owner {
  data::Array<float> values;
  data::Array<std::uint64_t> offsets;
  data::Array<std::uint32_t> indices;
  data::Array<std::int32_t> labels;
  data::Array<float> targets;
  data::Array<float> weights;
};

/// Adds labels, targets and names to rows, of which `owner` keeps what was copied.
Dataset labelled(data::Dataset rows, const std::shared_ptr<Owner>& owner,
                 const Labelling& labelling, std::vector<py::object> arrays) {
  const std::size_t n = rows.rows();
  const auto take = [&](const std::optional<py::buffer>& from, const char* format, const char* what,
                        auto& copy, auto& to) {
    if (!from) return;
    const py::buffer_info info = from->request();
    if (info.ndim != 1 || static_cast<std::size_t>(info.shape[0]) != n)
      fail(Code::invalid_argument, "{} does not have one value for each of the {} rows of X", what,
           n);
    to = {as_rows(info, format, what, copy), n};
    arrays.push_back(*from);
  };
  take(labelling.labels, "i", "y", owner->labels, rows.labels);
  take(labelling.targets, "f", "y", owner->targets, rows.targets);
  take(labelling.weights, "f", "weights", owner->weights, rows.weights);
  require_finite(rows.targets, "y");
  require_finite(rows.weights, "weights");
  for (const float weight : rows.weights)
    if (weight < 0) fail(Code::invalid_argument, "weights contains negative numbers");
  data::require_positive_weights(rows, "X");
  rows.names = data::names_from(labelling.names, rows.cols(), "X");
  if (rows.names && !rows.names->labels.empty())
    for (const std::int32_t label : rows.labels)
      if (label < 0 || static_cast<std::size_t>(label) >= rows.names->labels.size())
        fail(Code::internal, "label {} of {} names", label, rows.names->labels.size());
  rows.owner = owner;
  return {std::move(rows), std::move(arrays)};
}

Dataset dense(const py::buffer& values, const Labelling& labelling) {
  const AtWork at_work;
  const py::buffer_info info = values.request();
  const auto owner = std::make_shared<Owner>();
  data::Dataset rows;
  unlocked([&] {
    const Table table = table_of(info, "X");
    const float* data = as_rows(info, "f", "X", owner->values);
    require_finite({data, table.rows * table.cols}, "X");
    rows.features = tensor::DenseView{data, table.rows, table.cols};
  });
  return labelled(std::move(rows), owner, labelling, {values});
}

/// Checks that a matrix is as tensor::CsrView says.
void require_csr(std::span<const std::uint64_t> offsets, std::span<const std::uint32_t> indices,
                 std::size_t cols) {
  const std::size_t rows = offsets.size() - 1;
  bool good = offsets[0] == 0 && offsets[rows] <= indices.size();
  for (std::size_t r = 0; good && r < rows; ++r) good = offsets[r] <= offsets[r + 1];
  if (!good) fail(Code::invalid_argument, "X is no valid CSR matrix: its indptr does not ascend");
  std::atomic<bool> ascend = true;
  parallel_for((rows + kBlock - 1) / kBlock, processors(), [&](std::size_t block) {
    const std::size_t end = std::min(rows, (block + 1) * kBlock);
    bool all = true;
    for (std::size_t r = block * kBlock; r < end; ++r)
      for (std::uint64_t k = offsets[r]; k < offsets[r + 1]; ++k)
        all &= indices[k] < cols && (k == offsets[r] || indices[k - 1] < indices[k]);
    if (!all) ascend = false;
  });
  if (!ascend)
    fail(Code::invalid_argument,
         "X is no CSR matrix with ascending, distinct indices: call X.sum_duplicates() first");
}

Dataset csr(const py::buffer& offsets, const py::buffer& indices, const py::buffer& values,
            std::size_t cols, const Labelling& labelling) {
  const AtWork at_work;
  const py::buffer_info o = offsets.request(), i = indices.request(), v = values.request();
  const auto owner = std::make_shared<Owner>();
  data::Dataset rows;
  unlocked([&] {
    const std::size_t nonzeros = table_of(v, "X").rows;
    if (o.ndim != 1 || i.ndim != 1 || v.ndim != 1 || o.shape[0] < 1 ||
        static_cast<std::size_t>(i.shape[0]) != nonzeros || cols > (std::size_t{1} << 31))
      fail(Code::invalid_argument, "X is no valid CSR matrix");
    // Negative indices become large ones, which require_csr() refuses.
    const bool is_int32 = i.format == "i";
    const std::uint32_t* index = as_rows(i, is_int32 ? "i" : "I", "X", owner->indices);
    const std::uint64_t* offset = as_rows(o, "L", "X", owner->offsets);
    const auto n = static_cast<std::size_t>(o.shape[0]) - 1;
    require_csr({offset, n + 1}, {index, nonzeros}, cols);
    const float* value = as_rows(v, "f", "X", owner->values);
    require_finite({value, nonzeros}, "X");
    rows.features = tensor::Csr32{offset, index, value, n, cols};
  });
  return labelled(std::move(rows), owner, labelling, {offsets, indices, values});
}

Dataset read(const std::string& places, const std::string& format) {
  const AtWork at_work;
  return unlocked([&] {
    return Dataset(data::read(data::Places::parse(places), format, processors(), nullptr,
                              data::format_options()),
                   {});
  });
}

std::string names(const Dataset& dataset) {
  const auto& names = dataset.rows().names;
  return names ? data::names_text(*names) : "{}";
}

}  // namespace

void add_dataset(py::module_& module) {
  py::class_<Dataset>(module, "Dataset")
      .def_property_readonly("rows", [](const Dataset& d) { return d.rows().rows(); })
      .def_property_readonly("features", [](const Dataset& d) { return d.rows().cols(); })
      .def_property_readonly("names", names)
      // For tests: whether the rows are used in place.
      .def_property_readonly("values_address", [](const Dataset& d) -> std::uintptr_t {
        return std::visit(
            [](const auto& view) {
              if constexpr (requires { view.values; })
                return reinterpret_cast<std::uintptr_t>(view.values);
              else
                return reinterpret_cast<std::uintptr_t>(view.data);
            },
            d.rows().features);
      });
  module.def(
      "dense",
      [](const py::buffer& values, std::optional<py::buffer> labels,
         std::optional<py::buffer> targets, std::optional<py::buffer> weights,
         const std::string& names) {
        return dense(values, {std::move(labels), std::move(targets), std::move(weights), names});
      },
      py::arg("values"), py::arg("labels") = py::none(), py::arg("targets") = py::none(),
      py::arg("weights") = py::none(), py::arg("names") = "");
  module.def(
      "csr",
      [](const py::buffer& offsets, const py::buffer& indices, const py::buffer& values,
         std::size_t cols, std::optional<py::buffer> labels, std::optional<py::buffer> targets,
         std::optional<py::buffer> weights, const std::string& names) {
        return csr(offsets, indices, values, cols,
                   {std::move(labels), std::move(targets), std::move(weights), names});
      },
      py::arg("offsets"), py::arg("indices"), py::arg("values"), py::arg("cols"),
      py::arg("labels") = py::none(), py::arg("targets") = py::none(),
      py::arg("weights") = py::none(), py::arg("names") = "");
  module.def("read", read, py::arg("places"), py::arg("format") = "auto");
}

}  // namespace lambdaml::python
