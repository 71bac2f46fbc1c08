#pragma once

#include <optional>
#include <vector>

#include "lambdaml/data/registry.h"
#include "lambdaml/data/source.h"

namespace lambdaml::data {

/// The rows of a folder, or of what is under a prefix of a store, whose files are one set by the
/// rules of a format: images in folders by class, or images and labels in files of their own.
/// nullopt if they are none. `chosen`: null for any format. One list of the folder; what is added
/// to `sources` stands for all files. Throws what Plugin::read_folder throws.
std::optional<Dataset> read_set_of_folder(const Uri& uri, const Plugin* chosen,
                                          const ReadOptions& options,
                                          std::vector<SourceFile>* sources);
/// Whether it is such a folder. One list.
bool is_set_of_folder(const Uri& uri, const Plugin* chosen);

}  // namespace lambdaml::data
