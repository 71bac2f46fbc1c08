#include "lambdaml/data/npy/array.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <vector>

#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"
#include "lambdaml/tensor/half.h"

namespace lambdaml::data::npy {
namespace {

constexpr std::string_view kMagic("\x93NUMPY", 6);
constexpr std::uint64_t kMost = std::uint64_t{1} << 48;

[[noreturn]] void damaged(const std::string& what, std::string_view why) {
  fail(Code::data_corrupt, "reading {}: {}: the file is damaged or no .npy; fetch it again", what,
       why);
}

/// What the header says.
struct Header {
  std::string type;  ///< e.g. <f8
  bool fortran = false;
  std::vector<std::uint64_t> shape;
  std::size_t begin = 0;  ///< of the values in the file
};

/// The value of a key in the header, a Python dictionary on one line: up to the comma or brace
/// behind it, with its quotes or parentheses.
std::string_view value_of(std::string_view header, std::string_view key, const std::string& what) {
  std::size_t at = header.find(fmt::format("'{}':", key));
  if (at == std::string_view::npos) damaged(what, fmt::format("its header has no '{}'", key));
  at = header.find_first_not_of(' ', at + key.size() + 3);
  if (at == std::string_view::npos) damaged(what, "its header ends early");
  const char last = header[at] == '\'' ? '\'' : header[at] == '(' ? ')' : ',';
  // The type of a record is a list; it is refused by its begin.
  if (header[at] == '[') return header.substr(at, 1);
  const std::size_t end = header.find(last, at + 1);
  if (end == std::string_view::npos) damaged(what, "its header ends early");
  return header.substr(at, end - at + (last == ',' ? 0 : 1));
}

std::vector<std::uint64_t> shape_of(std::string_view text, const std::string& what) {
  std::vector<std::uint64_t> out;
  if (text.size() < 2 || text.front() != '(') damaged(what, "its shape is none");
  for (const std::string& length : split(text.substr(1, text.size() - 2), ',')) {
    const std::string_view digits = trim(length);
    if (digits.empty()) continue;
    const std::optional<std::int64_t> number = to_integer(digits);
    if (!number || *number < 0 || static_cast<std::uint64_t>(*number) > kMost)
      damaged(what, "its shape is none");
    out.push_back(static_cast<std::uint64_t>(*number));
  }
  return out;
}

Header header_of(Bytes bytes, const std::string& what) {
  if (bytes.size() < 10) damaged(what, "it ends in its header");
  const auto byte = [&](std::size_t i) { return std::to_integer<std::size_t>(bytes[i]); };
  const bool short_length = byte(6) == 1;
  const std::size_t at = short_length ? 10 : 12;
  if (bytes.size() < at) damaged(what, "it ends in its header");
  std::size_t length = byte(8) | byte(9) << 8U;
  if (!short_length) length |= byte(10) << 16U | byte(11) << 24U;
  if (length > bytes.size() - at) damaged(what, "it ends in its header");
  const std::string_view text = as_text(bytes.subspan(at, length));
  Header out;
  out.type = std::string(value_of(text, "descr", what));
  out.fortran = value_of(text, "fortran_order", what).starts_with("True");
  out.shape = shape_of(value_of(text, "shape", what), what);
  out.begin = at + length;
  return out;
}

/// Calls put(k, value) for the k-th value in the file.
template <class T, class Unsigned, class Put>
void convert(const std::byte* from, std::size_t n, bool swap, const Put& put) {
  for (std::size_t k = 0; k < n; ++k) {
    Unsigned bits = 0;
    std::memcpy(&bits, from + k * sizeof bits, sizeof bits);
    if constexpr (sizeof bits > 1)
      if (swap) bits = swapped_bytes(bits);
    put(k, static_cast<float>(std::bit_cast<T>(bits)));
  }
}

/// The size of a value of a type such as `<f8`; refuses others.
std::size_t size_of_type(const std::string& type, const std::string& what) {
  const auto refuse = [&](std::string_view found, std::string_view remedy) {
    fail(Code::data_corrupt, "reading {}: its array holds {}, which are not read; {}", what, found,
         remedy);
  };
  // As in the header, between quotes.
  if (type.size() < 4) refuse("records", "save its columns as one array of numbers");
  const char kind = type[2];
  const std::string_view size(type.data() + 3, type.size() - 4);
  if (kind == 'O')
    refuse("objects", "save it as numbers: numpy.save(FILE, array.astype('float32'))");
  if (kind == 'U' || kind == 'S' || kind == 'a')
    refuse("texts", "number them: numpy.unique(array, return_inverse=True)[1]");
  if (kind == 'c') refuse("complex numbers", "save real ones");
  if (kind == 'M' || kind == 'm') refuse("times", "save it as numbers: array.astype('float64')");
  const bool integer =
      (kind == 'i' || kind == 'u') && (size == "1" || size == "2" || size == "4" || size == "8");
  const bool real = kind == 'f' && (size == "2" || size == "4" || size == "8");
  if (!integer && !real && !(kind == 'b' && size == "1"))
    refuse(fmt::format("values of the type {}", printable(type, 30)),
           "save it as array.astype('float32')");
  return static_cast<std::size_t>(size[0] - '0');
}

/// `type` is as in the header, e.g. '<f8' with its quotes.
template <class Put>
void convert_all(const std::string& type, const std::byte* from, std::size_t n, const Put& put) {
  const bool swap = type[1] == '>';
  const std::string_view kind(type.data() + 2, 2);
  if (kind == "f2")
    convert<std::uint16_t, std::uint16_t>(from, n, swap, [&](std::size_t k, float bits) {
      put(k, tensor::half_to_float(static_cast<std::uint16_t>(bits)));
    });
  else if (kind == "f4")
    convert<float, std::uint32_t>(from, n, swap, put);
  else if (kind == "f8")
    convert<double, std::uint64_t>(from, n, swap, put);
  else if (kind == "i1")
    convert<std::int8_t, std::uint8_t>(from, n, swap, put);
  else if (kind == "i2")
    convert<std::int16_t, std::uint16_t>(from, n, swap, put);
  else if (kind == "i4")
    convert<std::int32_t, std::uint32_t>(from, n, swap, put);
  else if (kind == "i8")
    convert<std::int64_t, std::uint64_t>(from, n, swap, put);
  else if (kind == "u2")
    convert<std::uint16_t, std::uint16_t>(from, n, swap, put);
  else if (kind == "u4")
    convert<std::uint32_t, std::uint32_t>(from, n, swap, put);
  else if (kind == "u8")
    convert<std::uint64_t, std::uint64_t>(from, n, swap, put);
  else  // bytes and booleans
    convert<std::uint8_t, std::uint8_t>(from, n, swap, put);
}

}  // namespace

bool is_npy(Bytes bytes) { return as_text(bytes).starts_with(kMagic); }

StoredArray read_array(Bytes bytes, const std::string& what) {
  constexpr std::pair<std::string_view, Stored> kTypes[] = {
      {"f2", Stored::f16}, {"f4", Stored::f32}, {"f8", Stored::f64}, {"i1", Stored::i8},
      {"i2", Stored::i16}, {"i4", Stored::i32}, {"i8", Stored::i64}, {"u1", Stored::u8},
      {"u2", Stored::u16}, {"u4", Stored::u32}, {"u8", Stored::u64}, {"b1", Stored::boolean}};
  const Header header = header_of(bytes, what);
  size_of_type(header.type, what);
  const std::string_view kind(header.type.data() + 2, 2);
  StoredArray out{
      .type = std::ranges::find(kTypes, kind, [](const auto& type) { return type.first; })->second,
      .swapped = header.type[1] == '>',
      .fortran = header.fortran,
      .shape = {header.shape.begin(), header.shape.end()}};
  std::size_t size = size_of(out.type);
  bool too_large = false;
  for (const std::size_t length : out.shape)
    too_large |= __builtin_mul_overflow(size, length, &size);
  if (too_large) damaged(what, "its shape is too large");
  if (size > bytes.size() - header.begin)
    damaged(what, fmt::format("its {} bytes of values are fewer than its shape has",
                              bytes.size() - header.begin));
  out.bytes = bytes.subspan(header.begin, size);
  return out;
}

Matrix read_matrix(Bytes bytes, const std::string& what) {
  const Header header = header_of(bytes, what);
  const std::size_t size = size_of_type(header.type, what);
  if (header.shape.empty() || header.shape.size() > 2)
    fail(Code::data_corrupt,
         "reading {}: its array has {} dimensions where rows and columns are expected; reshape it: "
         "array.reshape(len(array), -1)",
         what, header.shape.size());
  Matrix out;
  out.rows = header.shape[0];
  out.cols = header.shape.size() == 2 ? header.shape[1] : 1;
  if (out.cols != 0 && out.rows > kMost / out.cols) damaged(what, "its shape is too large");
  const std::size_t n = out.rows * out.cols;
  if (n > (bytes.size() - header.begin) / size)
    damaged(what, fmt::format("its {} bytes of values are fewer than its shape has",
                              bytes.size() - header.begin));
  out.values = Array<float>(dense_bytes(out.rows, out.cols, what) / sizeof(float));
  float* const to = out.values.data();
  const std::byte* const from = bytes.data() + header.begin;
  if (header.fortran && out.cols > 1)
    convert_all(header.type, from, n, [&](std::size_t k, float value) {
      to[k % out.rows * out.cols + k / out.rows] = value;
    });
  else
    convert_all(header.type, from, n, [&](std::size_t k, float value) { to[k] = value; });
  const float* const wrong =
      std::find_if(to, to + n, [](float value) { return !std::isfinite(value); });
  if (wrong != to + n) {
    const auto k = static_cast<std::size_t>(wrong - to);
    // As --label counts: rows from 1, columns from 0.
    const std::string column = out.cols > 1 ? fmt::format(", column {}", k % out.cols) : "";
    fail(Code::data_corrupt,
         "reading {}: row {}{}: {} is not a finite 32-bit number: fill or remove it, for instance "
         "with numpy.nan_to_num(array)",
         what, k / out.cols + 1, column, *wrong);
  }
  return out;
}

}  // namespace lambdaml::data::npy
