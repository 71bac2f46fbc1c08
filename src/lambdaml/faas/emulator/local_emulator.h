#pragma once

#include <memory>

#include "lambdaml/faas/emulator.h"

namespace lambdaml::faas::emulator {

/// Starts a Lambda service on this machine. Throws already_exists when the port is taken,
/// resource_exhausted.
std::unique_ptr<Emulator> start_emulator(const EmulatorSettings& settings);

}  // namespace lambdaml::faas::emulator
