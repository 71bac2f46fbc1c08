#include <memory>

#include "lambdaml/cli/command.h"
#include "lambdaml/cli/option_flags.h"
#include "lambdaml/cli/progress.h"
#include "lambdaml/cli/summary.h"
#include "lambdaml/train/job.h"
#include "lambdaml/train/job_options.h"
#include "lambdaml/train/trigger.h"

namespace lambdaml::cli {

void add_train_command(CLI::App& app, Globals& globals) {
  CLI::App* command = add_command(app, globals, "train", "train a model with function workers");
  const auto flags = std::make_shared<OptionFlags>(*command, train::job_options(), true);
  command->callback([flags, &globals] {
    Options options = flags->read();
    train::resolve(options);
    std::string summary;
    {
      ProgressDisplay progress(globals.quiet);
      summary = train::train(options, progress);
    }
    print_summary(summary, globals);
  });
}

}  // namespace lambdaml::cli
