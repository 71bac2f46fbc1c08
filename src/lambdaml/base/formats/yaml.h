#pragma once

#include <string>
#include <string_view>

namespace YAML {
class Node;
}

namespace lambdaml {

/// The one document that `text` is. Its nodes nest at most 64 deep and number at most 100,000 where
/// each alias counts as all that it stands for, so that whoever walks them ends. Throws
/// invalid_argument, which names `what` and the line, for what is no YAML, is more than one
/// document, or is larger than that or than 1 MB.
YAML::Node load_yaml(std::string_view text, const std::string& what);

}  // namespace lambdaml
