#pragma once

#include <string>
#include <string_view>

#include "lambdaml/data/blocks/blocks.h"

namespace lambdaml::job {

/// A plan as text, for the channel.
std::string to_json(const data::BlockPlan& plan);
/// Throws data_corrupt, naming `what`.
data::BlockPlan block_plan_from_json(std::string_view text, const std::string& what);

}  // namespace lambdaml::job
