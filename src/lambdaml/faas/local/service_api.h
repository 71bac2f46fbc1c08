#pragma once

#include <memory>

#include "lambdaml/faas/emulator.h"

namespace lambdaml::faas::local {

/// Starts a service on this machine: routes of the AWS Lambda service API before a LambdaService.
/// Throws resource_exhausted when the port is taken.
std::unique_ptr<Emulator> start_emulator(const EmulatorSettings& settings);

}  // namespace lambdaml::faas::local
