#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "lambdaml/data/source.h"

/// Prepared data sets: parts with a manifest; for the layer itself.
namespace lambdaml::data {

/// The manifest of what lies in `store`; absent when it has none. Throws data_corrupt.
std::optional<Manifest> load_manifest(storage::Storage& store);

/// A part's bytes; throws not_found.
Buffer load_part(storage::Storage& store, const std::string& key);

/// The rows of the parts as they were before the cut. Throws data_corrupt when some have labels and
/// some have none.
Dataset dealt_back(std::vector<Dataset> parts, const std::string& what);

/// A prepared set whole, each part checked.
Dataset read_prepared(storage::Storage& store, const Manifest& manifest, std::size_t threads,
                      const std::string& what);

}  // namespace lambdaml::data
