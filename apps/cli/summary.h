#pragma once

#include <nlohmann/json_fwd.hpp>

#include "apps/cli/command.h"

namespace lambdaml::cli {

/// Prints a run's summary: the JSON line with --json, otherwise a few lines for people that end
/// with the model's path.
void print_summary(const nlohmann::ordered_json& summary, const Globals& globals);

/// Prints the summary's warnings to stderr, one line each.
void tell_warnings(const nlohmann::ordered_json& summary);

}  // namespace lambdaml::cli
