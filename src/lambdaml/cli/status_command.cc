#include <memory>

#include <nlohmann/json.hpp>

#include "lambdaml/base/json.h"
#include "lambdaml/base/text.h"
#include "lambdaml/cli/command.h"
#include "lambdaml/cli/summary.h"
#include "lambdaml/train/job_view.h"

namespace lambdaml::cli {
namespace {

void print_status(const std::string& text, const Globals& globals) {
  if (globals.json) return print_line(text);
  const nlohmann::json status = parse_json(text);
  print_line(fmt::format("{}: {}", status.value("job_id", ""), status.value("state", "")));
  if (status.contains("summary")) return print_summary(json_text(status["summary"]), globals);
  print_line(fmt::format("{} by {} over {}, {} workers on {}", status.value("model", ""),
                         status.value("optim", ""), status.value("sync_mode", ""),
                         status.value("workers", 0), status.value("platform", "")));
  if (status.contains("error")) print_line(status.value("error", ""));
  if (status.contains("started"))
    print_line(fmt::format("workers   {} of {} started, {} finished", status.value("started", 0),
                           status.value("workers", 0), status.value("finished", 0)));
  if (status.contains("round"))
    print_line(fmt::format("epoch     {} of {}, round {} of {}", status.value("epoch", 0),
                           status.value("epochs", 0), status.value("round", 0),
                           status.value("rounds", 0)));
}

}  // namespace

void add_status_command(CLI::App& app, Globals& globals) {
  CLI::App* command =
      add_command(app, globals, "status", "how a job stands: running, done, failed or stopped");
  const auto run = std::make_shared<std::string>();
  command->add_option("RUN", *run, "a run's folder, or CHECKPOINT-URI/JOB-ID")->required();
  command->callback(
      [run, &globals] { print_status(train::JobView::open(*run).status(), globals); });
}

}  // namespace lambdaml::cli
