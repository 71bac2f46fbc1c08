#pragma once

namespace lambdaml {

/// From where a place can be reached: what stores say of themselves, and platforms are asked for.
enum class Reach {
  process,   ///< by this process alone
  machine,   ///< by processes of this machine
  anywhere,  ///< by other machines too
};

}  // namespace lambdaml
