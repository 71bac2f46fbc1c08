#include "lambdaml/tune/local_search.h"

#include <filesystem>
#include <utility>

#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/base/interrupt.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/unique_id.h"
#include "lambdaml/base/uri.h"
#include "lambdaml/control/endings.h"
#include "lambdaml/control/run_folder.h"
#include "lambdaml/job/job.h"
#include "lambdaml/job/job_file.h"
#include "lambdaml/job/options.h"
#include "lambdaml/job/unused_options.h"
#include "lambdaml/trigger/reach.h"
#include "lambdaml/tune/begin_search.h"
#include "lambdaml/tune/orders.h"

namespace lambdaml::tune {
namespace {

namespace fs = std::filesystem;

/// Sets those of `to` that are set in `from`.
void apply(const Options& from, Options& to) {
  for (const Option& option : from.declared())
    if (from.is_set(option.name)) to.set(option.name, from.value(option.name), "argument");
}

Search search_of(const Given& given) {
  Search search;
  if (given.text)
    read_search_text(*given.text, "the job", search);
  else
    read_search_file(given.file, search);
  job::read_environment(search.job);
  job::read_environment(search.settings, kEnvironment);
  apply(given.job, search.job);
  apply(given.settings, search.settings);
  search.id = job::new_job_id();
  // Whoever searches the choice of an option's owner has not forgotten it.
  Options all = search.job;
  for (const Parameter& parameter : search.space.parameters())
    all.set(parameter.name, parameter.at(0.5), "space");
  job::require_used(all, given.job);
  return search;
}

SearchFolder folder_of(const std::string& run) {
  if (run.find("://") == std::string::npos) return SearchFolder::open(run);
  std::error_code ignored;
  if (fs::exists(fs::path(path_of_file_uri(run)) / "search.json", ignored))
    return SearchFolder::open(path_of_file_uri(run));
  const std::string id = Uri::parse(run).name();
  const fs::path folder = fs::path("runs") / id;
  if (fs::exists(folder, ignored)) return SearchFolder::open(folder);
  if (!Records(run).search())
    fail(Code::not_found, "search {}: there are no records of one", Uri::parse(run).display());
  return SearchFolder::create(folder, id, run);
}

/// Adds to the summary what is known only here.
nlohmann::ordered_json completed(nlohmann::ordered_json out, const fs::path& folder) {
  nlohmann::ordered_json trials = std::move(out["trials"]);
  out.erase("trials");
  if (out.contains("best_trial")) {
    out["model_path"] = utf8_path((folder / "model.safetensors").string());
    out["best_yaml"] = utf8_path((folder / "best.yaml").string());
  }
  out["trials_csv"] = utf8_path((folder / "trials.csv").string());
  out["trials"] = std::move(trials);
  return out;
}

/// Whether the search has ended, as far as is known.
bool is_over(Records& records) noexcept {
  const Tidying tidying;
  try {
    return records.summary().has_value();
  } catch (const std::exception&) {
    return false;
  }
}

}  // namespace

LocalSearch::LocalSearch(SearchFolder folder, Records records, Search search, std::string chain)
    : folder_(std::move(folder)),
      records_(std::move(records)),
      search_(std::move(search)),
      chain_(std::move(chain)) {}

LocalSearch LocalSearch::begin(const Given& given) {
  Search search = search_of(given);
  const fs::path output =
      search.job.text("output").empty()
          ? fs::path("runs") / search.id
          : control::output_folder(search.job.text("output"),
                                   "; records says where the search's records go");
  // The folder is the search's; the best trial's job must have another one.
  search.job.set("output", Option::Value(std::string()), "output");
  const bool elsewhere = !search.settings.text("records").empty() || job::is_remote(search.job);
  const std::string records_uri =
      elsewhere ? place_of_records(search) : (Uri::parse(output.string()) / "records").text();
  SearchFolder folder = SearchFolder::create(output, search.id, records_uri);
  try {
    Records records(records_uri);
    tune::begin(search, records);
    std::string chain = search.id;
    return {std::move(folder), std::move(records), std::move(search), std::move(chain)};
  } catch (...) {
    folder.discard();
    throw;
  }
}

LocalSearch LocalSearch::open(const std::string& run) {
  SearchFolder folder = folder_of(run);
  Records records(folder.records_uri());
  std::optional<Search> search = records.search();
  if (!search)
    fail(Code::not_found, "search {}: its records are not in {}", folder.path().string(),
         Uri::parse(records.uri()).display());
  std::string chain = unique_id();
  if (!records.summary()) order_to_run(records, chain);
  return {std::move(folder), std::move(records), std::move(*search), std::move(chain)};
}

std::string LocalSearch::way_to_continue() const {
  return "continue with: lambdaml tune --resume " + utf8_path(folder_.path().string());
}

LocalSearch::End LocalSearch::run(const Options& changed, Observer& observer) {
  Options settings = search_.settings;
  apply(changed, settings);
  TunerLimits limits;
  if (settings.real("deadline") > 0) limits.search = Deadline::in(settings.real("deadline"));
  limits.budget = settings.real("budget");
  SearchResult result;
  try {
    result = tune::run(records_, folder_.runs(), chain_, limits, observer);
  } catch (const control::Superseded&) {
    throw;
  } catch (const Error& error) {
    // What is damaged stays damaged when it is tried again.
    if (error.code() == Code::data_corrupt || is_over(records_)) throw;
    std::throw_with_nested(
        Error(error.code(), fmt::format("{}; {}", error.what(), way_to_continue())));
  }
  End end{completed(*result.summary, folder_.path()), result.end == TunerEnd::finished,
          result.limit};
  folder_.take_results(records_, end.over ? json_text(end.summary) : "");
  return end;
}

}  // namespace lambdaml::tune
