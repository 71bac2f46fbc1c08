#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <nlohmann/json_fwd.hpp>

namespace lambdaml::dashboard {

/// The newest lines of a job's logs that contain `search` in any case (empty: all), of one worker
/// or of all: {"workers": N, "lines": [[worker, line], …], "matches": how many there were}. At most
/// 1,000 lines; of all workers in turn, each in its order. Without secrets. Of a run whose job is
/// not known any more, no lines and a `note` that says why: that is no fault of who asks. Throws
/// invalid_argument for a worker that the job does not have, and what the job's store throws.
nlohmann::ordered_json logs_of(const std::string& run, std::optional<std::uint32_t> worker,
                               const std::string& search);

}  // namespace lambdaml::dashboard
