#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "lambdaml/base/bytes.h"
#include "lambdaml/data/array.h"

/// Numbers as files of arrays hold them (NumPy, safetensors, idx), and what they become.
namespace lambdaml::data {

enum class Stored { f16, bf16, f32, f64, i8, i16, i32, i64, u8, u16, u32, u64, boolean };

std::size_t size_of(Stored type);
/// The type of a tensor that holds such numbers: the same if there is one; float32 for reals of
/// other sizes, uint8 for booleans, and for other integers the larger one (int64 for u64, of which
/// those beyond are refused).
Element element_of(Stored type);

/// The bits of an unsigned number in the other byte order.
template <class Bits>
Bits swapped_bytes(Bits bits) {
  Bits out = 0;
  for (std::size_t i = 0; i < sizeof bits; ++i)
    out = static_cast<Bits>(out << 8U | (bits >> (8 * i) & 0xffU));
  return out;
}

/// An array in a file. A view.
struct StoredArray {
  Stored type = Stored::f32;
  bool swapped = false;  ///< in the other byte order than that of the machine
  bool fortran = false;  ///< the first index varies fastest
  std::vector<std::size_t> shape = {};
  Bytes bytes = {};

  std::size_t rows() const { return shape.at(0); }
};

/// Its rows as a tensor of that name. Throws data_corrupt, naming `what`, for a shape that is none
/// of a tensor, bytes that are not as many as the shape says, and numbers that are not finite or
/// too large; resource_exhausted if they exceed the memory. Copies.
TensorValues tensor_from(const StoredArray& array, std::string name, const std::string& what);

/// An array of one or two dimensions as rows of float32 features. Throws as tensor_from() does.
Dataset features_from(const StoredArray& array, const std::string& what);

/// One number per row: labels, if all are whole numbers, or else targets. Throws as tensor_from()
/// does, and for whole numbers beyond 32 bits.
Labelling labelling_from(const StoredArray& array, const std::string& what);

struct NamedArray {
  std::string name;
  StoredArray array;
};
/// The data set of such arrays. `label` names the one to learn, or is `none`; empty: that named y,
/// label, target or labels, if there is one. It becomes labels or targets if it has one number per
/// row, and a tensor otherwise. Throws invalid_argument, naming the arrays, unless all have as many
/// rows.
Dataset dataset_of(std::vector<NamedArray> arrays, std::string_view label, const std::string& what);

}  // namespace lambdaml::data
