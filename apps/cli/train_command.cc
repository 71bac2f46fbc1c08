#include <memory>
#include <optional>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "apps/cli/command.h"
#include "apps/cli/live_views.h"
#include "apps/cli/option_flags.h"
#include "apps/cli/plan_entry.h"
#include "apps/cli/progress.h"
#include "apps/cli/summary.h"
#include "lambdaml/job/given.h"
#include "lambdaml/job/options.h"
#include "lambdaml/trigger/trigger.h"
#include "lambdaml/tune/search.h"

namespace lambdaml::cli {

void add_train_command(CLI::App& app, Globals& globals) {
  CLI::App* command = add_command(app, globals, "train", "train a model with function workers");
  const auto flags = std::make_shared<OptionFlags>(*command, job::job_options(), true);
  const auto plan = std::make_shared<std::string>();
  command->add_option("--plan", *plan,
                      "take workers, memory and aggregators of a plan of `lambdaml plan`: FILE for "
                      "its best entry, or FILE:N");
  command->callback([flags, plan, &globals] {
    job::Given given{
        .file = flags->job_file(), .section = tune::kSection, .typed = job::job_options()};
    flags->apply_to(given.typed);
    std::optional<PlanEntry> entry;
    if (!plan->empty()) {
      entry = PlanEntry::read(*plan);
      entry->apply_to(given.typed);
    }
    const Options options = job::options_of(given);
    if (entry) entry->require_within(options);
    nlohmann::ordered_json summary;
    {
      if (entry && !globals.quiet) tell_line("estimate  " + entry->text());
      ProgressDisplay progress(globals.quiet);
      LiveViews views(options, progress);
      summary = trigger::train(options, views);
    }
    tell_warnings(summary);
    const std::string deviation = entry ? entry->compare(summary) : "";
    print_summary(summary, globals);
    if (!deviation.empty() && !globals.json) print_line("estimate  " + deviation);
  });
}

}  // namespace lambdaml::cli
