#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "lambdaml/base/deadline.h"
#include "lambdaml/tune/records.h"
#include "lambdaml/tune/report.h"
#include "lambdaml/tune/search.h"

namespace lambdaml::tune {

/// How far a search is.
struct View {
  std::span<const TrialView> trials;  ///< those begun, by number
  const TrialView* best = nullptr;
  std::uint64_t trials_expected = 0;
  double cost_usd = 0;
  double seconds_left = -1;  ///< estimated; negative while nothing is known
};

/// Told about ten times a second, on the thread that searches.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void changed(const View&) {}
};

/// Begins a search: checks it, cuts the data for its first trial and writes its record. A search
/// that is there already is left as it is. Throws invalid_argument, not_found, data_corrupt (bad
/// input), what the store throws.
void begin(Search& search, Records& records);

/// How the tuner ended.
struct Outcome {
  enum class How {
    finished,  ///< the search is over
    limit,     ///< its budget or its deadline: can be resumed
    paused,    ///< the tuner's own time is over: another goes on
  };
  How how = How::finished;
  std::string limit;    ///< which one, one clause
  std::string summary;  ///< JSON
};

struct TunerLimits {
  Deadline own_time = Deadline::never();  ///< of the tuner as a function
  Deadline search = Deadline::never();    ///< the search's deadline
  double budget = 0;                      ///< dollars; 0: what the search's settings say
};

/// Goes on with a search until it is over: starts legs, several at a time, and records how they
/// end. The newest tuner of a search counts: an older one leaves and throws Superseded.
/// Folders of the trials' runs go under `runs`. Throws cancelled when interrupted; whatever is
/// thrown, the search can be resumed. When it is over, throws the first trial's error when no trial
/// was done.
Outcome run(Records& records, const std::filesystem::path& runs, const TunerLimits& limits,
            Observer& observer);

}  // namespace lambdaml::tune
