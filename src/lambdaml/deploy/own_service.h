#pragma once

#include <memory>
#include <optional>
#include <string>

#include "lambdaml/aws/sigv4.h"
#include "lambdaml/faas/emulator.h"

namespace lambdaml::deploy {

/// A Lambda service of this machine with its keys: for the command, and for a library's callers.
struct OwnService {
  std::unique_ptr<faas::Emulator> emulator;  ///< ends with it
  std::string endpoint;                      ///< http://127.0.0.1:PORT
  /// The key that was generated because the environment has none: requests must be signed with it.
  std::optional<aws::Credentials> made;
};

/// Starts one. `settings` say everything but keys, and how zips in buckets are fetched. With
/// `auth` requests must be signed with the keys of the environment or a generated one. Throws
/// permission_denied (a log folder that another user can write to), and errors of starting it.
OwnService start_own_service(faas::EmulatorSettings settings, bool auth);

}  // namespace lambdaml::deploy
