#include <memory>

#include <nlohmann/json.hpp>

#include "apps/cli/command.h"
#include "apps/cli/live_views.h"
#include "apps/cli/option_flags.h"
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
  command->callback([flags, &globals] {
    job::Given given{
        .file = flags->job_file(), .section = tune::kSection, .typed = job::job_options()};
    flags->apply_to(given.typed);
    const Options options = job::options_of(given);
    nlohmann::ordered_json summary;
    {
      ProgressDisplay progress(globals.quiet);
      LiveViews views(options, progress);
      summary = trigger::train(options, views);
    }
    tell_warnings(summary);
    print_summary(summary, globals);
  });
}

}  // namespace lambdaml::cli
