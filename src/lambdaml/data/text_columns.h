#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "lambdaml/data/dataset.h"

namespace lambdaml::data {

/// What users are told of columns of texts that differ from row to row (identifiers, dates, numbers
/// with a unit), of each of which models have a feature: one line; nullopt if there are none. They
/// have 20 different texts or more, and fewer than two rows per text.
std::optional<std::string> notice_of_texts(const std::string& what, std::uint64_t rows,
                                           const Names* names);
/// Logs it as a warning.
void warn_of_texts(const std::string& what, const Dataset& rows);

}  // namespace lambdaml::data
