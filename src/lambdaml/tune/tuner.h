#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "lambdaml/base/deadline.h"
#include "lambdaml/tune/records.h"
#include "lambdaml/tune/report.h"
#include "lambdaml/tune/search.h"

namespace lambdaml::tune {

/// The progress of a search.
struct View {
  std::span<const TrialView> trials;  ///< those begun, by number
  const TrialView* best = nullptr;
  std::uint64_t trials_expected = 0;
  double cost_usd = 0;
  double seconds_left = -1;  ///< estimated; negative while nothing is known
};

/// Called about ten times a second, on the thread that runs the search.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void changed(const View&) {}
};

/// Begins a search: checks it, cuts the data for its first trial and writes its record. Leaves an
/// existing search unchanged. Throws invalid_argument, not_found, data_corrupt (bad input), and
/// what the store throws.
void begin(Search& search, Records& records);

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
/// end. The newest tuner of a search is valid: an older one throws Superseded. The trials' run
/// folders go under `runs`. Throws cancelled if interrupted, Stopped after request_stop(); after
/// any error the search can be resumed. If no trial was successful at the end, throws the first
/// trial's error.
SearchResult run(Records& records, const std::filesystem::path& runs, const TunerLimits& limits,
                 Observer& observer);

/// Asks the tuner of a search to stop its trials at their checkpoints, and to end: within seconds
/// it throws Stopped. The search can be resumed. Throws not_found if no tuner runs. Three requests.
void request_stop(Records& records);
/// Whether a tuner has begun to work on the search and not ended; one that was killed seems to run.
/// Two requests.
bool is_running(Records& records);

}  // namespace lambdaml::tune
