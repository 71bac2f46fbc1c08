#include <memory>

#include <nlohmann/json.hpp>

#include "apps/cli/command.h"
#include "apps/cli/option_flags.h"
#include "apps/cli/progress.h"
#include "apps/cli/summary.h"
#include "lambdaml/job/job.h"
#include "lambdaml/job/options.h"
#include "lambdaml/job/unused_options.h"
#include "lambdaml/trigger/trigger.h"

namespace lambdaml::cli {

void add_train_command(CLI::App& app, Globals& globals) {
  CLI::App* command = add_command(app, globals, "train", "train a model with function workers");
  const auto flags = std::make_shared<OptionFlags>(*command, job::job_options(), true);
  command->callback([flags, &globals] {
    Options options = flags->read();
    Options typed = job::job_options();
    flags->apply_to(typed);
    job::require_used(options, typed);
    job::resolve(options);
    nlohmann::ordered_json summary;
    {
      ProgressDisplay progress(globals.quiet);
      summary = trigger::train(options, progress);
    }
    tell_warnings(summary);
    print_summary(summary, globals);
  });
}

}  // namespace lambdaml::cli
