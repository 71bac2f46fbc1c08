#pragma once

#include <nlohmann/json_fwd.hpp>

#include "lambdaml/report/document.h"
#include "lambdaml/report/source.h"

namespace lambdaml::report {

/// The item of a run.
nlohmann::ordered_json run_json(const Source& source, const Request& request);

}  // namespace lambdaml::report
