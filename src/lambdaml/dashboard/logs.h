#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <nlohmann/json_fwd.hpp>

namespace lambdaml::dashboard {

/// The newest lines of a job's logs that contain `search` in any case (empty: all), of one worker
/// or of all: {"workers": N, "lines": [[worker, line], …], "matches": how many there were}. At most
/// 1,000 lines; of all workers in turn, each in its order. Without secrets. Throws what JobView
/// throws.
nlohmann::ordered_json logs_of(const std::string& run, std::optional<std::uint32_t> worker,
                               const std::string& search);

}  // namespace lambdaml::dashboard
