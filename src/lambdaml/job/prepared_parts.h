#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "lambdaml/data/source.h"

namespace lambdaml::job {

/// A part that a worker has saved, for its report.
nlohmann::json to_json(std::size_t part, const data::SavedPart& saved);
/// The parts of all reports, in order. Throws data_corrupt unless there is each of `parts` once.
std::vector<data::SavedPart> saved_parts(const std::vector<std::string>& reports,
                                         std::size_t parts);

}  // namespace lambdaml::job
