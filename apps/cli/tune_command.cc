#include <memory>
#include <optional>

#include <nlohmann/json.hpp>

#include "apps/cli/command.h"
#include "apps/cli/option_flags.h"
#include "apps/cli/search_display.h"
#include "apps/cli/search_status.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/text.h"
#include "lambdaml/dashboard/live_views.h"
#include "lambdaml/job/options.h"
#include "lambdaml/tune/local_search.h"

namespace lambdaml::cli {
namespace {

struct TuneFlags {
  std::string job_file;
  std::string resume;
  std::optional<OptionFlags> search;
  std::optional<OptionFlags> job;
};

tune::Given given_by(const TuneFlags& flags) {
  if (flags.job_file.empty())
    fail(Code::invalid_argument,
         "give a job file with a section tune, which says what to search: lambdaml tune JOB.yaml");
  flags.job->require_no_value(flags.job_file);
  tune::Given given{
      .file = flags.job_file, .job = job::job_options(), .settings = tune::search_options()};
  flags.job->apply_to(given.job);
  flags.search->apply_to(given.settings);
  return given;
}

void print_search(const nlohmann::json& summary) {
  const auto count = [&](const char* name) { return summary.value(name, std::uint64_t{0}); };
  print_line(fmt::format("{} trials done, {} stopped, {} failed; {} epochs in {}, ${:.2g}",
                         count("trials_done"), count("trials_stopped"), count("trials_failed"),
                         count("search_epochs"), human_seconds(number_at(summary, "search_wall_s")),
                         number_at(summary, "search_cost_usd")));
  if (summary.contains("search_killed_usd"))
    print_line(fmt::format("          about ${:.2g} of it for jobs that were killed",
                           number_at(summary, "search_killed_usd")));
  if (summary.contains("best_trial")) {
    print_line(fmt::format("best      {}", best_of_search(summary)));
    print_line(fmt::format("          {}", best_options_of_search(summary)));
    print_line(fmt::format("train it  lambdaml train {}", text_at(summary, "best_yaml")));
    print_line(fmt::format("model     {}", text_at(summary, "model_path")));
  }
  print_line(fmt::format("trials    {}", text_at(summary, "trials_csv")));
}

void run_search(const TuneFlags& flags, const Globals& globals) {
  tune::LocalSearch search = flags.resume.empty() ? tune::LocalSearch::begin(given_by(flags))
                                                  : tune::LocalSearch::open(flags.resume);
  Options changed = tune::search_options();
  flags.search->apply_to(changed);
  Options settings = search.search().settings;
  flags.search->apply_to(settings);
  Options shown = search.search().job;
  flags.job->apply_to(shown);
  const tune::LocalSearch::End end = [&] {
    SearchDisplay display(globals.quiet, settings.text("metric"));
    dashboard::LiveSearch views(shown, search.path(), settings.text("metric"), display,
                                tell_serving);
    return search.run(changed, views);
  }();
  if (globals.json)
    print_json(json_text(end.summary));
  else
    print_search(end.summary);
  if (!end.over)
    fail(Code::limit_reached, "search stopped: {}; {}", end.limit, search.way_to_continue());
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
          "--budget, --deadline, --metrics-port and --dashboard count")
      ->type_name("RUN");
  flags->search.emplace(*command, tune::search_options(), Options(), false);
  flags->job.emplace(*command, job::job_options(), tune::search_options(), true);
  command->callback([flags, &globals] { run_search(*flags, globals); });
}

}  // namespace lambdaml::cli
