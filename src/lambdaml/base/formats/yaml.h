#pragma once

#include <string>
#include <string_view>

namespace YAML {
class Node;
}

namespace lambdaml {

/// Parses `text` as a single document. Its nodes nest at most 64 deep and number at most 100,000,
/// where each alias counts as all the nodes that it stands for, so that walking them always ends.
/// Throws invalid_argument, naming `what` and the line, if the text is not YAML, holds more than
/// one document, or exceeds these limits or 1 MB.
YAML::Node load_yaml(std::string_view text, const std::string& what);

}  // namespace lambdaml
