#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

/// JSON objects that carry their own checksum in the member `xxh3`, computed over the other members
/// as this program writes them on one line. White space does not matter; values and names do. A
/// second member, `checked_by`, announces the checksum, so that no single corruption can make a
/// file look like one of an old version without a checksum.
namespace lambdaml {

/// `object` with its checksum, as text; `indent` is that of json_text().
std::string checked_json_text(const nlohmann::json& object, int indent = -1);

/// Removes both members from `object` and returns whether the checksum matches; `none` for files of
/// old versions, which have no checksum.
enum class Checked { none, fits, damaged };
Checked take_checksum(nlohmann::json& object);

}  // namespace lambdaml
