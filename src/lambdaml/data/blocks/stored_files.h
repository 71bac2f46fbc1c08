#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/base/options.h"
#include "lambdaml/data/blocks/blocks.h"
#include "lambdaml/data/places.h"
#include "lambdaml/data/registry.h"

namespace lambdaml::data {

/// The files of a data set and their sizes, found without reading them, in the order in which
/// data::read() reads them: one file, several, a pattern, or a folder of files. nullopt for what
/// needs more than its files one by one: a prepared set, parts `{i}_{n}`, rows and labels in two
/// files, a folder that is one set by the rules of a format (images in folders by class), a pipe.
/// `format` is a value of --format, `options` have those of formats. Some LISTs per place, and some
/// requests to tell what it is. Throws not_found, and what data::read() throws of the names of
/// files.
std::optional<std::vector<StoredFile>> stored_files(const Places& places,
                                                    std::string_view format = "auto",
                                                    const Options& options = format_options());

/// Reads the heads of the files: completes `plan`, whose files, options and model are set, by the
/// format, by which files can be cut, and by the first file with rows. 4 KB of each file, and 256
/// KB of the first one. Returns what the user should know of how the files are read. Throws as
/// data::read() does of a file's first lines; data_corrupt if no file has rows.
std::vector<std::string> complete(BlockPlan& plan, std::size_t threads);

}  // namespace lambdaml::data
