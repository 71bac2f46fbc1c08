#include <memory>

#include <nlohmann/json.hpp>

#include "apps/cli/command.h"
#include "apps/cli/summary.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/text.h"
#include "lambdaml/view/job_view.h"

namespace lambdaml::cli {
namespace {

void print_status(const nlohmann::ordered_json& all, const Globals& globals) {
  if (globals.json) return print_json(json_text(all));
  const nlohmann::json status = all;
  print_line(fmt::format("{}: {}", text_at(status, "job_id"), text_at(status, "state")));
  if (status.contains("summary")) return print_summary(all["summary"], globals);
  print_line(fmt::format("{} by {} over {}, {} workers on {}", text_at(status, "model"),
                         text_at(status, "optim"), text_at(status, "sync_mode"),
                         count_at(status, "workers"), text_at(status, "platform")));
  if (status.contains("error")) print_line(text_at(status, "error"));
  if (status.contains("advice")) print_line(text_at(status, "advice"));
  if (status.contains("started"))
    print_line(fmt::format("workers   {} of {} started, {} finished", count_at(status, "started"),
                           count_at(status, "workers"), count_at(status, "finished")));
  if (status.contains("round"))
    print_line(fmt::format("epoch     {} of {}, round {} of {}", count_at(status, "epoch"),
                           count_at(status, "epochs"), count_at(status, "round"),
                           count_at(status, "rounds")));
}

}  // namespace

void add_status_command(CLI::App& app, Globals& globals) {
  CLI::App* command =
      add_command(app, globals, "status", "how a job stands: running, done, failed or stopped");
  const auto run = std::make_shared<std::string>();
  command->add_option("RUN", *run, "a run's folder, or CHECKPOINT-URI/JOB-ID")->required();
  command->callback([run, &globals] { print_status(view::JobView::open(*run).status(), globals); });
}

}  // namespace lambdaml::cli
