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

// Who works on a search is decided by two keys of its records.
//
//   tuner/order    what was last asked for on purpose: that a chain of tuners runs the search, or
//                  that it stops. A chain is the process of one command, or an event to a tuner
//                  function with its retries and the invocations that continue it.
//   tuner/claim    the newest tuner of that chain
//
// So a stop holds whatever comes late: a retry of an event, or the next invocation of a chain,
// belongs to an earlier order and ends at once. Only order_to_run() lifts it; a tuner function
// calls it once for an event, under the lease of that event.

/// Begins a search: checks it, cuts the data for its first trial, orders it to run for the chain
/// `search.id` unless anything was ordered before, and writes its record. Leaves an existing search
/// unchanged. Throws invalid_argument, not_found, data_corrupt (bad input), and what the store
/// throws.
void begin(Search& search, Records& records);

/// Orders a search to be continued by `chain`, a unique name: tuners of other chains end, and an
/// earlier stop is over. One request.
void order_to_run(Records& records, const std::string& chain);

/// How many seconds the search's tuners have worked on it, one that was killed until some seconds
/// before that; 0 if none has yet. One request.
double search_seconds(Records& records);

/// The jobs of a segment: one, or one for each fold, in the order in which they run. Segments of
/// one trial have the same jobs, and folders of their own. No request.
struct JobOfSegment {
  std::string id;      ///< SEARCH-ID-TRIAL, with three digits more of the fold, if there are folds
  std::string folder;  ///< of the run, among those of the search's trials: its name alone
};
std::vector<JobOfSegment> jobs_of(const Search& search, const Segment& segment);
/// Whether the summary that is found where a job of the segment keeps its own, {} if there is none,
/// is that of an earlier segment of the same trial: then this job has not begun. No request.
bool is_of_earlier_segment(const nlohmann::json& summary, std::span<const Segment> segments,
                           const Segment& segment);

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
/// end. The newest tuner of the chain that was ordered last is valid: any other throws Superseded.
/// The trials' run folders go under `runs`. Throws cancelled if interrupted, Stopped after
/// request_stop(); after any error the search can be resumed. If no trial was successful at the
/// end, throws the first trial's error.
SearchResult run(Records& records, const std::filesystem::path& runs, const std::string& chain,
                 const TunerLimits& limits, Observer& observer);

/// Orders a search to stop: within seconds its tuner stops its trials at their checkpoints and
/// throws Stopped, also one that has yet to begin. The search can be resumed. Throws not_found if
/// no tuner works on it and none is to. Up to four requests.
void request_stop(Records& records);
/// Whether the last order is a stop. One request.
bool is_stopped(Records& records);
/// Whether a tuner works on the search, or is to: the first, or the next invocation of its chain.
/// One that was killed seems to run. Up to three requests.
bool is_running(Records& records);

}  // namespace lambdaml::tune
