#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lambdaml/data/registry.h"
#include "lambdaml/data/source.h"

/// How the data layer verifies that a file is the one that was written; for the layer itself.
///
/// A part of a prepared set is identified by its size and checksum, which the manifest states and a
/// job's trigger passes to the worker that reads the part. A shard also contains its own checksum,
/// its data set and its part number: so a single shard can be verified, parts are known to belong
/// together without a manifest, and a file in the wrong place is told from a damaged one. The
/// manifest records the shard's own checksum, which is compared with the content while the content
/// is checked anyway (shard.cc): once. Text files contain no checksum; the manifest has the
/// checksum of their bytes.
namespace lambdaml::data {

/// The bytes of a part, and what the manifest records of them.
Written write_part(const Plugin& plugin, const Dataset& part, const Identity& identity);

/// Throws data_corrupt if the file is not the one that `content` describes, as far as its own
/// statement shows; for formats with statements, reading the file checks the rest.
void require_content(const Plugin& plugin, const std::shared_ptr<const Buffer>& bytes,
                     const ReadOptions& options, const Content& content);

/// What a file states about itself; empty if its format has no statements.
Statement statement_of(const Plugin& plugin, const std::shared_ptr<const Buffer>& bytes,
                       const std::string& what);

/// For parts without a manifest: throws data_corrupt, naming the key, unless each part with a
/// statement is stored under its own key and belongs to the same data set as the others.
void require_one_set(const std::vector<Statement>& parts, const std::string& what);

}  // namespace lambdaml::data
