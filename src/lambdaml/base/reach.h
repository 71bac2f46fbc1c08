#pragma once

namespace lambdaml {

/// From where a place can be reached. Stores declare it; platforms state which of these they can
/// use.
enum class Reach {
  process,   ///< by this process alone
  machine,   ///< by processes of this machine
  anywhere,  ///< by other machines too
};

}  // namespace lambdaml
