#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/base/bytes.h"
#include "lambdaml/model/table.h"

/// How tables of predictions are written.
namespace lambdaml::predict {

struct OutputFormat {
  std::string name;  ///< the value of --out-format, and the extension of files
  std::string help;
  Buffer (*write)(const model::Table&);
};

/// csv: a line per row; a header if there are several columns. Numbers have the shortest form that
/// restores them. jsonl: an object per line; NaN and infinities are null. npy: an array of one
/// column, or a structured one with a field per column; labels that are texts are numbers there, in
/// the order of the model's classes.
const std::vector<OutputFormat>& output_formats();
/// Throws invalid_argument for an unknown name.
const OutputFormat& output_format(std::string_view name);

/// The key of the predictions of part i of n: "{i}_{n}.csv".
std::string result_key(std::size_t i, std::size_t n, const OutputFormat& format);

}  // namespace lambdaml::predict
