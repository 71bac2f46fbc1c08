#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "lambdaml/data/array.h"

namespace lambdaml::data::libsvm {

/// An error in a text, and where it is.
struct Fault {
  const char* at = nullptr;
  std::string message;
  bool index_0 = false;  ///< a feature index 0 in a text whose indices begin at 1
};

/// The rows of a piece of text. Its arrays are reused for each piece so that they stay in the
/// processor's cache.
struct Block {
  Array<std::uint32_t> indices;   ///< from 0
  Array<float> values;            ///< beside the indices
  Array<std::uint32_t> row_ends;  ///< row r has the entries [row_ends[r - 1], row_ends[r])
  Array<std::int32_t> labels;     ///< meaningless when `labelled` is false, or `real` is true
  Array<float> targets;           ///< the labels as real numbers
  std::size_t rows = 0;
  std::size_t entries = 0;
  std::size_t cols = 0;  ///< the largest index + 1
  bool labelled = true;
  bool real = false;  ///< a label is no integer of 32 bits
  const char* first_row = nullptr;
  std::optional<Fault> fault;  ///< the first error; the rows before it are valid
};

/// The error of a row that has a label or lacks one, unlike the first row of the file.
std::string labelling_fault(bool labelled);

/// Parses whole lines: `text` must end in a newline (or be empty) and be followed by kReadable
/// readable bytes. It must be shorter than 16 GiB, so that there are fewer than 2^32 entries.
/// `index_base`: the first feature's index, 0 or 1.
void parse_block(std::string_view text, Block& block, int index_base);

}  // namespace lambdaml::data::libsvm
