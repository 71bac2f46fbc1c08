#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "lambdaml/base/deadline.h"
#include "lambdaml/tune/progress.h"
#include "lambdaml/tune/records.h"

namespace lambdaml::tune {

/// How the tuner ended.
enum class TunerEnd {
  finished,  ///< the search is over
  limit,     ///< its budget or its deadline: can be resumed
  paused,    ///< the tuner's own time is over: another one continues
};

/// What is known of a search when its tuner ends.
struct SearchResult {
  TunerEnd end = TunerEnd::finished;
  std::string limit;                                      ///< which one, one clause
  std::shared_ptr<const nlohmann::ordered_json> summary;  ///< of the search; never null
};

struct TunerLimits {
  Deadline own_time = Deadline::never();  ///< of the tuner as a function
  Deadline search = Deadline::never();    ///< the search's deadline
  double budget = 0;                      ///< dollars; 0: from the search's settings
};

/// Continues a search until it is over: starts segments, several at a time, and records how they
/// end. The newest tuner of the chain that was ordered last (orders.h) is valid: any other throws
/// Superseded. The trials' run folders go under `runs`. Throws cancelled if interrupted, Stopped
/// after request_stop(); after any error the search can be resumed. If no trial was successful at
/// the end, throws the first trial's error.
SearchResult run(Records& records, const std::filesystem::path& runs, const std::string& chain,
                 const TunerLimits& limits, Observer& observer);

}  // namespace lambdaml::tune
