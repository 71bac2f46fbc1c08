#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/base/bytes.h"
#include "lambdaml/data/dataset.h"

namespace lambdaml::data {

/// Reads blocks of text files whose lines are rows, as blocks.h cuts them. It is made from a file's
/// first lines, which decide what only a whole file can tell otherwise: what its columns are, or
/// where indices begin. Immutable, so it may be shared by threads.
class BlockReader {
 public:
  BlockReader() = default;
  BlockReader(const BlockReader&) = delete;
  BlockReader& operator=(const BlockReader&) = delete;
  virtual ~BlockReader() = default;

  /// Where the first row begins in the file, behind a header.
  virtual std::uint64_t first_row() const = 0;
  /// The names by which the other files of the set are to be read, each by a reader of its own;
  /// null if this reader reads them too.
  virtual std::shared_ptr<const Names> names() const { return nullptr; }
  /// What the user should know about how the file is read; a line each.
  virtual std::vector<std::string> notices() const { return {}; }

  /// False if the lines show that a row has line ends inside, so that the file cannot be cut.
  virtual bool rows_are_lines(std::string_view /*lines*/) const { return true; }
  /// The rows of whole lines, in any form; none of no lines. `options` are those that the reader
  /// was made with, but for the name, the threads and what precedes the block. Values that are
  /// missing and to be filled by what all blocks have are NaN: see fill(). Throws data_corrupt,
  /// naming file and line.
  virtual Dataset read(std::string_view lines, const ReadOptions& options) const = 0;

  enum class Fill {
    nothing,  ///< there are no NaN
    mean,     ///< a NaN becomes the mean of its column's values in all blocks
    zero
  };
  virtual Fill fill() const { return Fill::nothing; }
  /// The form for rows of this size in all; `nonzeros` of their values are not 0.
  virtual Form form_of(std::uint64_t rows, std::uint64_t cols, std::uint64_t nonzeros) const = 0;
};

}  // namespace lambdaml::data
