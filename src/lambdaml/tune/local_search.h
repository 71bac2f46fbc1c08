#pragma once

#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "lambdaml/tune/records.h"
#include "lambdaml/tune/search_folder.h"
#include "lambdaml/tune/tuner.h"

namespace lambdaml::tune {

/// What a user gives for a new search: the command by its flags, a library's caller by arguments.
struct Given {
  std::string file = {};                 ///< a job file with the section `tune`
  std::optional<std::string> text = {};  ///< the text of one instead
  Options job;       ///< job::job_options(), of which those are set that were given for this search
  Options settings;  ///< search_options(), likewise
};

/// A search that is run by this process, with a folder on this machine.
class LocalSearch {
 public:
  /// Checks everything and writes the search's record. Throws invalid_argument, not_found,
  /// already_exists, data_corrupt (bad input), and what the stores throw; nothing is left then.
  static LocalSearch begin(const Given& given);
  /// To be continued: its folder, or the URI of its records. A stop of it is over then. Throws what
  /// SearchFolder::open() throws, and not_found.
  static LocalSearch open(const std::string& run);

  struct End {
    nlohmann::ordered_json summary;  ///< with the paths of the results
    bool over = false;               ///< false: the limit ended it, and it can be resumed
    std::string limit;               ///< one clause that names it
  };
  /// Runs it until it is over or at a limit; `changed` are settings that count for this time
  /// (budget, deadline). Errors of a search that can be resumed say so.
  End run(const Options& changed, Observer& observer);

  const std::filesystem::path& path() const { return folder_.path(); }
  const Search& search() const { return search_; }
  /// "continue with: lambdaml tune --resume …"
  std::string way_to_continue() const;

 private:
  LocalSearch(SearchFolder folder, Records records, Search search, std::string chain);

  SearchFolder folder_;
  Records records_;
  Search search_;
  std::string chain_;  ///< of tuners: this object's
};

}  // namespace lambdaml::tune
