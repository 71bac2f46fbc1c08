#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lambdaml/data/registry.h"
#include "lambdaml/data/source.h"

/// How the data layer tells that a file is the one that was written; for the layer itself.
///
/// A part of a prepared set is known by its size and checksum, which the manifest states and the
/// trigger of a job hands to the worker that reads the part. A shard states its checksum in itself,
/// with the data set and the part that it is: so also a lone shard is checked, parts are known to
/// belong together without a manifest, and a file at the wrong place is told from a damaged one.
/// The checksum that the shard states is then what the manifest says of it, and is checked against
/// the content while the content is checked anyway (shard.cc): once. Text states nothing; the
/// manifest has the checksum of its bytes.
namespace lambdaml::data {

/// The bytes of a part, with what the manifest is to say of them.
Written write_part(const Plugin& plugin, const Dataset& part, const Identity& identity);

/// Throws data_corrupt unless the file is the one that `content` tells of, as far as it states
/// itself; where the format has files state themselves, reading it checks the rest.
void require_content(const Plugin& plugin, const std::shared_ptr<const Buffer>& bytes,
                     const ReadOptions& options, const Content& content);

/// What a file states of itself; nothing where its format has none.
Statement statement_of(const Plugin& plugin, const std::shared_ptr<const Buffer>& bytes,
                       const std::string& what);

/// Parts without a manifest: throws data_corrupt, naming the key, unless each part that states what
/// it is lies at its own key and is of the same data set as the others.
void require_one_set(const std::vector<Statement>& parts, const std::string& what);

}  // namespace lambdaml::data
