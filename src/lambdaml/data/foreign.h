#pragma once

#include <string>

#include "lambdaml/base/bytes.h"

namespace lambdaml::data {

/// Throws data_corrupt if a file's first bytes show a format that people have and that is not read,
/// with the command that converts it: UTF-16, UTF-32, Parquet, Arrow, Excel, HDF5,
/// SQLite, pickles, archives.
void refuse_foreign(Bytes head, const std::string& what);

}  // namespace lambdaml::data
