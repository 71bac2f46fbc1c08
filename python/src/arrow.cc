#include "arrow.h"

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/core.h>
#include <pybind11/stl.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"
#include "values.h"

// The interface's structures, whose layout and names it defines.
extern "C" {
struct ArrowSchema {
  const char* format;
  const char* name;
  const char* metadata;
  std::int64_t flags;
  std::int64_t n_children;
  ArrowSchema** children;
  ArrowSchema* dictionary;
  void (*release)(ArrowSchema*);
  void* private_data;
};
struct ArrowArray {
  std::int64_t length;
  std::int64_t null_count;
  std::int64_t offset;
  std::int64_t n_buffers;
  std::int64_t n_children;
  const void** buffers;
  ArrowArray** children;
  ArrowArray* dictionary;
  void (*release)(ArrowArray*);
  void* private_data;
};
struct ArrowArrayStream {
  int (*get_schema)(ArrowArrayStream*, ArrowSchema*);
  int (*get_next)(ArrowArrayStream*, ArrowArray*);
  const char* (*get_last_error)(ArrowArrayStream*);
  void (*release)(ArrowArrayStream*);
  void* private_data;
};
}

namespace lambdaml::python {
namespace {

namespace py = pybind11;

/// A structure of the interface, which its producer releases.
template <class T>
class Owned {
 public:
  Owned() { std::memset(&value_, 0, sizeof value_); }
  Owned(Owned&& other) noexcept : value_(other.value_) { other.value_.release = nullptr; }
  Owned& operator=(Owned&&) = delete;
  ~Owned() {
    if (value_.release != nullptr) value_.release(&value_);
  }
  T* get() { return &value_; }
  T* operator->() { return &value_; }
  const T* operator->() const { return &value_; }
  bool released() const { return value_.release == nullptr; }

 private:
  T value_;
};

bool bit(const void* bits, std::int64_t i) {
  return (static_cast<const std::uint8_t*>(bits)[i / 8] >> (i % 8) & 1) != 0;
}

/// What values of an Arrow format are, in a message.
std::string kind_of(std::string_view format) {
  if (format == "u" || format == "U" || format == "vu") return "texts";
  if (format == "z" || format == "Z" || format == "vz") return "bytes";
  if (format.starts_with('t')) return "dates or times";
  if (format.starts_with('+')) return "lists or structs";
  return fmt::format("values of the Arrow type '{}'", printable(format, 20));
}

[[noreturn]] void fail_type(const std::string& name, std::string_view format) {
  fail(Code::invalid_argument,
       "the column '{}' has {}, which are no numbers: drop it, or make numbers of them",
       printable(name, 60), kind_of(format));
}

/// The rows [begin, end) of a column of a chunk, counted from the beginning of its buffers.
struct Rows {
  const ArrowArray& column;
  std::int64_t begin, length;
};

/// Copies them to every `stride`-th of the numbers from `to` on.
template <class Number>
void copy_numbers(const Rows& rows, float* to, std::size_t stride) {
  const auto* from = static_cast<const Number*>(rows.column.buffers[1]) + rows.begin;
  for (std::int64_t i = 0; i < rows.length; ++i)
    to[static_cast<std::size_t>(i) * stride] = static_cast<float>(from[i]);
}

void copy_column(const ArrowSchema& schema, const Rows& rows, float* to, std::size_t stride) {
  const ArrowArray& column = rows.column;
  const std::string name = schema.name == nullptr ? "" : schema.name;
  const std::string_view format = schema.format;
  if (schema.dictionary != nullptr || format.size() != 1 || column.n_buffers < 2)
    fail_type(name, schema.dictionary != nullptr ? "dictionary" : format);
  if (column.null_count != 0 && column.buffers[0] != nullptr)
    for (std::int64_t i = 0; i < rows.length; ++i)
      if (!bit(column.buffers[0], rows.begin + i))
        fail(Code::invalid_argument, "the column '{}' has missing values: fill or drop such rows",
             printable(name, 60));
  if (rows.length == 0) return;
  switch (format[0]) {
    case 'b':
      for (std::int64_t i = 0; i < rows.length; ++i)
        to[static_cast<std::size_t>(i) * stride] =
            bit(column.buffers[1], rows.begin + i) ? 1.0F : 0.0F;
      return;
    case 'c':
      return copy_numbers<std::int8_t>(rows, to, stride);
    case 'C':
      return copy_numbers<std::uint8_t>(rows, to, stride);
    case 's':
      return copy_numbers<std::int16_t>(rows, to, stride);
    case 'S':
      return copy_numbers<std::uint16_t>(rows, to, stride);
    case 'i':
      return copy_numbers<std::int32_t>(rows, to, stride);
    case 'I':
      return copy_numbers<std::uint32_t>(rows, to, stride);
    case 'l':
      return copy_numbers<std::int64_t>(rows, to, stride);
    case 'L':
      return copy_numbers<std::uint64_t>(rows, to, stride);
    case 'f':
      return copy_numbers<float>(rows, to, stride);
    case 'g':
      return copy_numbers<double>(rows, to, stride);
    default:
      fail_type(name, format);
  }
}

/// The names of a table's columns, and its numbers row by row. Each chunk is released before the
/// next one is taken.
std::pair<std::vector<std::string>, Values> arrow_table(const py::capsule& capsule) {
  auto* stream =
      static_cast<ArrowArrayStream*>(PyCapsule_GetPointer(capsule.ptr(), "arrow_array_stream"));
  if (stream == nullptr) throw py::error_already_set();
  const auto require = [&](int result) {
    if (result == 0) return;
    const char* why = stream->get_last_error(stream);
    fail(Code::invalid_argument, "reading a table: {}", why == nullptr ? strerror(result) : why);
  };
  Owned<ArrowSchema> schema;
  require(stream->get_schema(stream, schema.get()));
  if (std::string_view(schema->format) != "+s")
    fail(Code::invalid_argument, "a table is needed, with columns: this is one column");
  std::vector<std::string> names;
  for (std::int64_t c = 0; c < schema->n_children; ++c)
    names.emplace_back(schema->children[c]->name == nullptr ? "" : schema->children[c]->name);
  const std::size_t cols = names.size();
  std::vector<float> values;
  std::size_t rows = 0;
  while (true) {
    Owned<ArrowArray> chunk;
    require(stream->get_next(stream, chunk.get()));
    if (chunk.released()) break;
    if (static_cast<std::size_t>(chunk->n_children) != cols)
      fail(Code::invalid_argument, "reading a table: a chunk has other columns than the table");
    const auto more = static_cast<std::size_t>(chunk->length);
    values.resize((rows + more) * cols);
    for (std::size_t c = 0; c < cols; ++c) {
      const ArrowArray& column = *chunk->children[c];
      if (column.length < chunk->offset + chunk->length)
        fail(Code::invalid_argument, "reading a table: a column is shorter than the table");
      copy_column(*schema->children[c], {column, column.offset + chunk->offset, chunk->length},
                  values.data() + rows * cols + c, cols);
    }
    rows += more;
  }
  return {std::move(names), Values(std::move(values), {static_cast<py::ssize_t>(rows),
                                                       static_cast<py::ssize_t>(cols)})};
}

}  // namespace

void add_arrow(py::module_& module) { module.def("arrow_table", arrow_table, py::arg("stream")); }

}  // namespace lambdaml::python
