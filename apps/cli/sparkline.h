#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace lambdaml::cli {

/// The course of some numbers as a row of block characters, the newest on the right: `▇▅▃▂▁`. Of
/// more than `columns` numbers the means of equal parts. Empty for fewer than two finite numbers.
std::string sparkline(std::span<const double> values, std::size_t columns);

/// Whether the locale of the terminal has these characters.
bool has_blocks();

}  // namespace lambdaml::cli
