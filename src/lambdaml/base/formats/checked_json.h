#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

/// JSON objects that carry a checksum of themselves: the member `xxh3`, over the others as this
/// program writes them on one line. Blanks do not matter, values and names do. A second member,
/// `checked_by`, says that there is a checksum, so that no single fault makes a file look like one
/// of an old version, which had none.
namespace lambdaml {

/// `object` with its checksum, as text; `indent` as json_text() has it.
std::string checked_json_text(const nlohmann::json& object, int indent = -1);

/// Takes both members out of `object` and tells whether the checksum fits; `none` in files of old
/// versions.
enum class Checked { none, fits, damaged };
Checked take_checksum(nlohmann::json& object);

}  // namespace lambdaml
