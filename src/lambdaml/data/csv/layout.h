#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/data/csv/field.h"
#include "lambdaml/data/dataset.h"

namespace lambdaml::data::csv {

struct Column {
  enum class Kind {
    skipped,
    number,
    text,          ///< categories
    label_number,  ///< labels or targets
    label_text,
    weight
  };
  std::string name;  ///< from the header; without one its index, from 0
  Kind kind = Kind::number;
  std::size_t slot = 0;  ///< among the numbers, or among the columns with dictionaries
};

/// How the rows of a file are to be read; known before the first one is.
struct Layout {
  char delimiter = ',';
  bool header = false;
  bool quoted = false;    ///< there is a quote somewhere
  std::size_t begin = 0;  ///< of the first row in the text
  std::vector<Column> columns;
  std::size_t numbers = 0;
  std::size_t dictionaries = 0;  ///< of text columns, then of the label if it is text
  std::optional<std::size_t> label;
  std::optional<std::size_t> weight;  ///< none in rows for a model
  enum class Missing { refuse, mean, zero } missing = Missing::refuse;
  bool keeps_missing = false;  ///< those that are not refused stay NaN: another process fills them

  /// To be said once the rows have been read: an error is one line.
  std::vector<std::string> notices;

  std::string describe(std::size_t column) const;  ///< "column 'age'", or "column 3"
};

/// Determines delimiter, header, the label's column and the kind of each column from the first
/// records and the options; with `options.names`, columns are what those names say. `text` is not
/// empty. Throws data_corrupt or invalid_argument, naming the file.
Layout layout_of(std::string_view text, const ReadOptions& options);

/// Throws data_corrupt for a fault in record `row` (from 1, the header not counted; 0: the header)
/// of a text, before which there may be others of the same file.
[[noreturn]] void fail_at(const Layout& layout, std::string_view text, std::size_t offset,
                          std::size_t row, const Fault& fault, const ReadOptions& options);

}  // namespace lambdaml::data::csv
