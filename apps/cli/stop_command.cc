#include <memory>

#include <nlohmann/json.hpp>

#include "apps/cli/command.h"
#include "lambdaml/base/deadline.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/wait.h"
#include "lambdaml/view/job_view.h"

namespace lambdaml::cli {
namespace {

/// A job without results may remove its record when it ends.
bool has_ended(const view::JobView& job) {
  try {
    return job.has_ended() || text_at(job.status(), "state") != "running";
  } catch (const Error& error) {
    if (error.code() == Code::not_found) return true;
    throw;
  }
}

}  // namespace

void add_stop_command(CLI::App& app, Globals& globals) {
  CLI::App* command = add_command(app, globals, "stop", "stop a running job; it can be resumed");
  struct Arguments {
    std::string run;
    double wait_s = 30;
  };
  const auto arguments = std::make_shared<Arguments>();
  command->add_option("RUN", arguments->run, "a run's folder, or CHECKPOINT-URI/JOB-ID")
      ->required();
  command->add_option("--wait-s", arguments->wait_s, "how long to wait for its end, in s")
      ->check(CLI::NonNegativeNumber);
  command->callback([arguments, &globals] {
    const view::JobView job = view::JobView::open(arguments->run);
    job.stop();
    const Deadline deadline = Deadline::in(arguments->wait_s);
    while (!has_ended(job)) {
      if (deadline.passed())
        fail(Code::deadline_exceeded,
             "run {}: asked to stop, and not ended within {:g} s; see: lambdaml status {}",
             arguments->run, arguments->wait_s, arguments->run);
      pause_for(0.1);
    }
    if (globals.json)
      print_json(json_text(nlohmann::json{{"job_id", job.job_id()}, {"state", "stopped"}}));
    else
      print_line(fmt::format("{}: stopped", job.job_id()));
  });
}

}  // namespace lambdaml::cli
