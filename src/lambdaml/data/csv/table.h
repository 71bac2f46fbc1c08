#pragma once

#include <cstdint>
#include <vector>

#include "lambdaml/data/array.h"
#include "lambdaml/data/csv/block.h"
#include "lambdaml/data/csv/layout.h"

namespace lambdaml::data::csv {

/// The form for rows of this size unless one is `wanted`: sparse only if nine in ten values are 0,
/// because numbers of different scales are better standardized, which sparse ones are not.
Form form_of(Form wanted, std::size_t rows, std::size_t cols, std::size_t nonzeros);

/// Combines blocks into a data set: extend() makes room for the blocks of a wave in the order of
/// the text, then place() copies them, several in parallel. Texts are numbered anew for the whole
/// file.
class Table {
 public:
  /// The arguments must outlive the table.
  Table(const Layout& layout, const ReadOptions& options);

  struct Place {
    std::size_t row = 0;
    /// The number in the whole file of each text of each of the block's dictionaries.
    std::vector<std::vector<std::uint32_t>> codes;
  };

  std::size_t rows() const { return rows_; }
  /// Room for about so many rows. Throws resource_exhausted if they exceed the memory.
  void reserve(double rows);
  /// Throws data_corrupt for a column with too many texts.
  Place extend(const Block& block);
  void place(const Place& at, const Block& block);
  /// Throws data_corrupt for a column without any value, names that are not UTF-8, and if the set
  /// is too wide.
  Dataset finish() &&;

 private:
  struct Encoding;

  void fill_missing(Names& names);
  Labelling labelling(Names names);
  Encoding encoding() const;
  template <class Take>
  void encode_row(std::size_t row, const Encoding& encoding, const Take& take) const;
  Dataset encoded(const Encoding& encoding, Labelling labelling) const;

  const Layout& layout_;
  const ReadOptions& options_;
  std::size_t rows_ = 0;
  Array<float> numbers_;
  Array<std::uint32_t> codes_;
  Array<double> labels_;
  Array<float> weights_;
  std::vector<Dictionary> dictionaries_;
};

}  // namespace lambdaml::data::csv
