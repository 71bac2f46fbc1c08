#pragma once

#include <memory>

#include "lambdaml/faas/emulator.h"

namespace lambdaml::faas::emulator {

/// Starts a Lambda service on this machine. Throws already_exists if the port is in use, and
/// resource_exhausted.
std::unique_ptr<Emulator> start_emulator(const EmulatorSettings& settings);

}  // namespace lambdaml::faas::emulator
