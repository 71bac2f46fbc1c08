#include <filesystem>
#include <memory>
#include <optional>

#include <nlohmann/json.hpp>

#include "apps/cli/command.h"
#include "apps/cli/option_flags.h"
#include "apps/cli/search_display.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/interrupt.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/uri.h"
#include "lambdaml/control/endings.h"
#include "lambdaml/control/run_folder.h"
#include "lambdaml/job/job.h"
#include "lambdaml/job/job_file.h"
#include "lambdaml/job/options.h"
#include "lambdaml/job/unused_options.h"
#include "lambdaml/trigger/reach.h"
#include "lambdaml/tune/search_folder.h"
#include "lambdaml/tune/tuner.h"

namespace lambdaml::cli {
namespace {

namespace fs = std::filesystem;

struct TuneFlags {
  std::string job_file;
  std::string resume;
  std::optional<OptionFlags> search;
  std::optional<OptionFlags> job;
};

tune::Search read_search(const TuneFlags& flags) {
  if (flags.job_file.empty())
    fail(Code::invalid_argument,
         "give a job file with a section tune, which says what to search: lambdaml tune JOB.yaml");
  tune::Search search;
  tune::read_search_file(flags.job_file, search);
  job::read_environment(search.job);
  job::read_environment(search.settings, tune::kEnvironment);
  flags.job->apply_to(search.job);
  flags.search->apply_to(search.settings);
  search.id = job::new_job_id();
  // Whoever searches the choice of an option's owner has not forgotten it.
  Options all = search.job;
  for (const tune::Parameter& parameter : search.space.parameters())
    all.set(parameter.name, parameter.at(0.5), "space");
  Options typed = job::job_options();
  flags.job->apply_to(typed);
  job::require_used(all, typed);
  return search;
}

tune::SearchFolder begin(const TuneFlags& flags, std::optional<tune::Records>& records) {
  tune::Search search = read_search(flags);
  const fs::path output =
      search.job.text("output").empty()
          ? fs::path("runs") / search.id
          : control::output_folder(search.job.text("output"),
                                   "; records says where the search's records go");
  // The folder is the search's; the best trial's job must have another one.
  search.job.set("output", Option::Value(std::string()), "output");
  const bool elsewhere = !search.settings.text("records").empty() || job::is_remote(search.job);
  const std::string records_uri =
      elsewhere ? tune::place_of_records(search) : (Uri::parse(output.string()) / "records").text();
  tune::SearchFolder folder = tune::SearchFolder::create(output, search.id, records_uri);
  try {
    tune::begin(search, records.emplace(records_uri));
  } catch (...) {
    folder.discard();
    throw;
  }
  return folder;
}

tune::SearchFolder open(const std::string& run) {
  if (run.find("://") == std::string::npos) return tune::SearchFolder::open(run);
  std::error_code ignored;
  if (fs::exists(fs::path(path_of_file_uri(run)) / "search.json", ignored))
    return tune::SearchFolder::open(path_of_file_uri(run));
  const std::string id = Uri::parse(run).name();
  const fs::path folder = fs::path("runs") / id;
  if (fs::exists(folder, ignored)) return tune::SearchFolder::open(folder);
  if (!tune::Records(run).search())
    fail(Code::not_found, "search {}: there are no records of one", Uri::parse(run).display());
  return tune::SearchFolder::create(folder, id, run);
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

void print_search(const nlohmann::json& summary) {
  const auto count = [&](const char* name) { return summary.value(name, std::uint64_t{0}); };
  print_line(fmt::format("{} trials done, {} stopped, {} failed; {} epochs in {}, ${:.2g}",
                         count("trials_done"), count("trials_stopped"), count("trials_failed"),
                         count("search_epochs"), human_seconds(number_at(summary, "search_wall_s")),
                         number_at(summary, "search_cost_usd")));
  if (summary.contains("best_trial")) {
    const std::string metric = text_at(summary, "metric");
    print_line(fmt::format("best      trial {}: {} {:.6g} with {}", count("best_trial"), metric,
                           number_at(summary, metric.c_str()), json_text(summary["options"])));
    print_line(fmt::format("train it  lambdaml train {}", text_at(summary, "best_yaml")));
    print_line(fmt::format("model     {}", text_at(summary, "model_path")));
  }
  print_line(fmt::format("trials    {}", text_at(summary, "trials_csv")));
}

/// Whether the search has ended, as far as is known.
bool is_over(tune::Records& records) noexcept {
  const Tidying tidying;
  try {
    return records.summary().has_value();
  } catch (const std::exception&) {
    return false;
  }
}

void run_search(const TuneFlags& flags, const Globals& globals) {
  std::optional<tune::Records> begun;
  tune::SearchFolder folder = flags.resume.empty() ? begin(flags, begun) : open(flags.resume);
  tune::Records records = begun ? *begun : tune::Records(folder.records_uri());
  const std::optional<tune::Search> search = records.search();
  if (!search)
    fail(Code::not_found, "search {}: its records are not in {}", folder.path().string(),
         Uri::parse(records.uri()).display());
  Options settings = search->settings;
  flags.search->apply_to(settings);
  tune::TunerLimits limits;
  if (settings.real("deadline") > 0) limits.search = Deadline::in(settings.real("deadline"));
  limits.budget = settings.real("budget");

  const std::string how_to_continue =
      "continue with: lambdaml tune --resume " + utf8_path(folder.path().string());
  tune::SearchResult result;
  try {
    SearchDisplay display(globals.quiet, settings.text("metric"));
    result = tune::run(records, folder.runs(), limits, display);
  } catch (const control::Superseded&) {
    throw;
  } catch (const Error& error) {
    // What is damaged stays damaged when it is tried again.
    if (error.code() == Code::data_corrupt || is_over(records)) throw;
    std::throw_with_nested(
        Error(error.code(), fmt::format("{}; {}", error.what(), how_to_continue)));
  }
  const nlohmann::ordered_json summary = completed(*result.summary, folder.path());
  const std::string text = json_text(summary);
  const bool over = result.end == tune::TunerEnd::finished;
  folder.take_results(records, over ? text : "");
  if (globals.json)
    print_json(text);
  else
    print_search(summary);
  if (!over) fail(Code::limit_reached, "search stopped: {}; {}", result.limit, how_to_continue);
}

}  // namespace

void add_tune_command(CLI::App& app, Globals& globals) {
  CLI::App* command = add_command(app, globals, "tune", "search hyper-parameters by many jobs");
  const auto flags = std::make_shared<TuneFlags>();
  command->add_option("JOB", flags->job_file,
                      "job file, YAML or JSON, with options by name and a section tune");
  command
      ->add_option(
          "--resume", flags->resume,
          "continue a search: its folder, or the URI of its records; of the other flags only "
          "--budget and --deadline count")
      ->type_name("RUN");
  flags->search.emplace(*command, tune::search_options(), Options(), false);
  flags->job.emplace(*command, job::job_options(), tune::search_options(), true);
  command->callback([flags, &globals] { run_search(*flags, globals); });
}

}  // namespace lambdaml::cli
