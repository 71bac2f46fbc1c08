#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/base/bytes.h"

/// Rows that are more than a list of float32 features: images, token ids, several inputs.
namespace lambdaml::data {

/// The type of the numbers of a tensor.
enum class Element : std::uint8_t { float32, float16, int64, int32, uint8 };
constexpr Element kElements[] = {Element::float32, Element::float16, Element::int64, Element::int32,
                                 Element::uint8};

/// Bytes of one number.
std::size_t size_of(Element element);
bool is_integer(Element element);
/// "float32", "uint8", …
std::string_view to_string(Element element);
/// The reverse; nullopt for another text.
std::optional<Element> element_from(std::string_view text);

/// What a tensor is called and what each of its rows is.
struct TensorShape {
  std::string name;
  Element element = Element::float32;
  std::vector<std::size_t> shape;  ///< of one row; empty: one number

  /// Numbers and bytes of one row.
  std::size_t row_numbers() const;
  std::size_t row_bytes() const { return row_numbers() * size_of(element); }
  /// "image: uint8 [3, 32, 32]", for messages.
  std::string text() const;
  bool operator==(const TensorShape&) const = default;
};

/// One named tensor of every row: rows × shape numbers, contiguous, in the byte order of the
/// machine, aligned for their type. A view.
struct Tensor : TensorShape {
  const std::byte* values = nullptr;

  const std::byte* row(std::size_t i) const { return values + i * row_bytes(); }
  /// That of the rows from `begin` on.
  Tensor from_row(std::size_t begin) const;
  /// Of `rows` rows.
  Bytes bytes(std::size_t rows) const { return {values, rows * row_bytes()}; }
};

/// The tensors of a data set: its inputs, and what to learn where that is a tensor too.
struct TensorShapes {
  std::vector<TensorShape> inputs;  ///< empty: a set of features
  std::optional<TensorShape> target = {};

  bool empty() const { return inputs.empty(); }
  /// "image: uint8 [3, 32, 32], to learn y: float32 [2]", for messages.
  std::string text() const;
  bool operator==(const TensorShapes&) const = default;
};
constexpr std::size_t kMostTensors = 64;
constexpr std::size_t kMostDimensions = 8;
constexpr std::size_t kMostNameBytes = 200;
constexpr std::size_t kMostRowBytes = std::size_t{1} << 34;

/// Throws data_corrupt, naming `what`, for a name that is empty, long or no UTF-8, too many
/// dimensions, and rows without numbers or of too many.
void require_possible(const TensorShape& tensor, std::string_view what);
/// As the metadata `tensors` of a file: a JSON object.
std::string tensors_text(const TensorShapes& shapes);
/// The reverse; empty for an empty text. Throws data_corrupt, naming `what`, for too many tensors,
/// names that occur twice, and those that require_possible() refuses.
TensorShapes tensors_from(std::string_view text, std::string_view what);

/// Whether all numbers are finite; integers are. One pass.
bool all_finite(const Tensor& tensor, std::size_t rows);

/// Those of the rows from `begin` on.
std::vector<Tensor> from_row(std::span<const Tensor> tensors, std::size_t begin);
std::optional<Tensor> from_row(const std::optional<Tensor>& tensor, std::size_t begin);

/// Copies the rows row_of(0) … row_of(n − 1) of `from` to `to`, which has n · row_bytes() bytes.
template <class RowOf>
void copy_rows(const Tensor& from, std::size_t n, const RowOf& row_of, std::byte* to) {
  const std::size_t bytes = from.row_bytes();
  for (std::size_t r = 0; r < n; ++r) to = std::copy_n(from.values + row_of(r) * bytes, bytes, to);
}

}  // namespace lambdaml::data
