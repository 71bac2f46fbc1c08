#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lambdaml/data/dataset.h"

/// What users are told of columns from which little is learned: one line for each kind.
namespace lambdaml::data {

/// Of constant_columns(), given by their texts; nullopt if there are none, or so few rows that they
/// tell little. Models learn nothing from them, but real sets have such columns (pixels at the edge
/// of images), so they are no error.
std::optional<std::string> notice_of_constants(const std::string& what, std::uint64_t rows,
                                               const std::vector<std::string>& columns);
/// Of columns of texts that differ from row to row (identifiers, dates, numbers with a unit), of
/// each of which models have a feature; nullopt if there are none. They have 20 different texts or
/// more, and fewer than two rows per text.
std::optional<std::string> notice_of_texts(const std::string& what, std::uint64_t rows,
                                           const Names* names);
/// Both, of the columns of these rows. Takes constant_columns().
std::vector<std::string> column_notices(const std::string& what, const Dataset& rows);
/// Logs them as warnings.
void warn_of_columns(const std::string& what, const Dataset& rows);
/// Name of a column in such a line: a feature's name, or its number, counted from 1.
std::string column_text(const Names* names, std::size_t column);

}  // namespace lambdaml::data
