#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "lambdaml/base/options.h"
#include "lambdaml/tune/space.h"
#include "lambdaml/tune/strategy.h"

namespace lambdaml::tune {

/// The key of the search's section in job files.
inline constexpr std::string_view kSection = "tune";
/// The prefix of environment variables for its settings.
inline constexpr std::string_view kEnvironment = "LAMBDAML_TUNE_";

/// The settings of a search, declared once: the search's own, followed by those of the strategies.
Options search_options();

/// What is searched, and how.
struct Search {
  std::string id = {};
  std::uint64_t begun_ms = 0;  ///< in ms since 1970; 0 in records of old versions
  Options job;                 ///< what all trials share, as given: not resolved
  Options settings;            ///< search_options()
  Space space = {};
  bool distinct_points =
      true;  ///< see StrategyInputs; false for searches that an old version began

  Search();
  /// One JSON object without passwords; from_json() makes the same search.
  std::string to_json() const;
  /// Throws data_corrupt.
  static Search from_json(std::string_view text, const std::string& what);
};

/// Reads a job file, YAML or JSON, with the section `tune`. Errors name FILE:LINE. Throws
/// invalid_argument, not_found.
void read_search_file(const std::string& path, Search& search);
void read_search_text(std::string_view text, const std::string& what, Search& search);

/// The text of a job file with the given options of all trials and the space, without passwords and
/// the settings: read_search_text() makes the same search of it with those.
std::string job_file_of(const Search& search);

/// The options of a trial's job, not resolved.
Options options_of(const Search& search, const Assignments& assignments);

/// Where a search without a local folder keeps its records: RECORDS/SEARCH-ID, by default beside
/// the checkpoints, or the channel. Throws invalid_argument if that place may lose data or is
/// inaccessible to the search's functions.
std::string place_of_records(const Search& search);

/// The epochs of a job with these unresolved options, as its optimizer counts them.
std::uint64_t epochs_of(const Options& options);

/// Whether a larger value of the metric is better.
bool higher_is_better(const Search& search);

/// The strategy for the search. Throws invalid_argument for errors that can be found before
/// anything is started: an empty space, a metric that the job does not report, a budget below the
/// minimum cost of the first trial, and what the strategy throws.
std::unique_ptr<Strategy> make_strategy(const Search& search);

}  // namespace lambdaml::tune
