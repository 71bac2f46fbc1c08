#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "lambdaml/data/source.h"

/// Prepared data sets: parts with a manifest; for the layer itself.
namespace lambdaml::data {

/// The manifest in `store`; nullopt if there is none. Throws data_corrupt.
std::optional<Manifest> load_manifest(storage::Storage& store);

/// The files in `store` that are named as parts, `{i}_{n}`, with or without a manifest. Lists by
/// the first digit, ten requests, because listing everything could walk a whole disk or bucket.
std::vector<storage::Entry> bare_parts(storage::Storage& store);

/// A part's bytes; throws not_found. One GET.
Buffer load_part(storage::Storage& store, const std::string& key);

/// The rows of the parts in their order before the cut: one part after another if they are
/// `in_order`, otherwise one row of each in turn. Throws data_corrupt if only some have labels.
Dataset joined(std::vector<Dataset> parts, bool in_order, const std::string& what);

/// A whole prepared set; checks each part.
Dataset read_prepared(storage::Storage& store, const Manifest& manifest, std::size_t threads,
                      const std::string& what);

}  // namespace lambdaml::data
