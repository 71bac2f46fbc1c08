#include <memory>
#include <optional>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "apps/cli/command.h"
#include "apps/cli/job_estimate.h"
#include "apps/cli/option_flags.h"
#include "apps/cli/plan_entry.h"
#include "apps/cli/progress.h"
#include "apps/cli/summary.h"
#include "lambdaml/dashboard/live_views.h"
#include "lambdaml/job/given.h"
#include "lambdaml/job/options.h"
#include "lambdaml/trigger/trigger.h"
#include "lambdaml/tune/search.h"

namespace lambdaml::cli {

namespace {

struct TrainFlags {
  std::string plan;
  std::string estimate = kEstimateAuto;
  std::optional<OptionFlags> job;
};

/// What the job is expected to take, if that is known; throws if it is above its budget.
std::optional<Expectation> expectation_of(const job::Given& given, const Options& options,
                                          const std::optional<PlanEntry>& entry,
                                          const std::string& how) {
  if (entry) {
    entry->expectation().require_within(options, "choose another entry or raise --budget");
    return entry->expectation();
  }
  std::optional<Expectation> out = estimate_of(job::unresolved_options_of(given), how);
  if (out)
    out->require_within(options, "raise --budget, or start it all the same with --estimate none");
  return out;
}

void train(const TrainFlags& flags, const Globals& globals) {
  flags.job->require_no_value(flags.job->job_file());
  job::Given given{
      .file = flags.job->job_file(), .section = tune::kSection, .typed = job::job_options()};
  flags.job->apply_to(given.typed);
  std::optional<PlanEntry> entry;
  if (!flags.plan.empty()) {
    entry = PlanEntry::read(flags.plan);
    entry->apply_to(given.typed);
  }
  const Options options = job::options_of(given);
  const std::optional<Expectation> expected = expectation_of(given, options, entry, flags.estimate);
  nlohmann::ordered_json summary;
  {
    if (expected && !globals.quiet) tell_line("estimate  " + expected->text());
    ProgressDisplay progress(globals.quiet);
    dashboard::LiveViews views(options, progress, tell_serving);
    summary = trigger::train(options, views);
  }
  tell_warnings(summary);
  const std::string deviation = expected ? expected->compare(summary) : "";
  print_summary(summary, globals);
  if (!deviation.empty() && !globals.json) print_line("estimate  " + deviation);
}

}  // namespace

void add_train_command(CLI::App& app, Globals& globals) {
  CLI::App* command = add_command(app, globals, "train", "train a model with function workers");
  const auto flags = std::make_shared<TrainFlags>();
  flags->job.emplace(*command, job::job_options(), true);
  command->add_option("--plan", flags->plan,
                      "take workers, memory and aggregators of a plan of `lambdaml plan`: FILE for "
                      "its best entry, or FILE:N");
  command->add_option(
      "--estimate", flags->estimate,
      "print an estimate of time and dollars before the job starts: auto (if it costs "
      "money), none, or the profile to estimate by [auto]");
  command->callback([flags, &globals] { train(*flags, globals); });
}

}  // namespace lambdaml::cli
