#include <memory>

#include <nlohmann/json.hpp>

#include "apps/cli/command.h"
#include "apps/cli/option_flags.h"
#include "apps/cli/progress.h"
#include "apps/cli/summary.h"
#include "lambdaml/base/uri.h"
#include "lambdaml/dashboard/live_views.h"
#include "lambdaml/job/options.h"
#include "lambdaml/trigger/trigger.h"

namespace lambdaml::cli {

void add_resume_command(CLI::App& app, Globals& globals) {
  CLI::App* command =
      add_command(app, globals, "resume", "continue an interrupted run from its last checkpoint");
  const auto run = std::make_shared<std::string>();
  command->add_option("RUN", *run, "the run's folder")->required();
  const auto flags = std::make_shared<OptionFlags>(*command, job::options_of_resuming(),
                                                   Options(std::vector<Option>()), false);
  command->callback([run, flags, &globals] {
    Options changed = job::options_of_resuming();
    flags->apply_to(changed);
    nlohmann::ordered_json summary;
    {
      ProgressDisplay progress(globals.quiet);
      dashboard::LiveViews views(changed, progress, tell_serving);
      summary = trigger::resume(path_of_file_uri(*run), views, changed);
    }
    tell_warnings(summary);
    print_summary(summary, globals);
  });
}

}  // namespace lambdaml::cli
