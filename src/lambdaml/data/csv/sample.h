#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/data/csv/field.h"
#include "lambdaml/data/dataset.h"

/// The first records of a text, and what they tell before its columns are known.
namespace lambdaml::data::csv {

using Record = std::vector<std::string>;

/// As many records as tell a column of numbers from one of texts.
constexpr std::size_t kRecordsOfSample = 1000;

struct Sample {
  std::vector<Record> records;
  std::vector<std::size_t> ends;  ///< where each record ends in the text
  std::optional<Fault> fault;     ///< at which the sample stops
};
/// Up to `most` records at the begin of `text`, which ends in a newline and is followed by
/// kReadable readable bytes.
Sample sample_of(std::string_view text, char delimiter, std::size_t most = kRecordsOfSample);

/// The option `delimiter`, or the one that the first records have. Throws invalid_argument.
char delimiter_for(std::string_view text, const ReadOptions& options);

/// Whether the first record has the names of columns. It has if a text stands above a column of
/// numbers, or if it has names that differ and do not occur as values.
bool has_header(const std::vector<Record>& records, const ReadOptions& options);

/// A number, or what was meant to be one.
bool is_number_like(const std::string& text);

/// Whether the first bytes of a text are rows with a delimiter, and not LIBSVM's.
bool looks_like_csv(std::string_view head);

}  // namespace lambdaml::data::csv
