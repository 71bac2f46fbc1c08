#include <memory>

#include <nlohmann/json.hpp>

#include "apps/cli/command.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/secrets.h"
#include "lambdaml/base/uri.h"
#include "lambdaml/view/job_view.h"

namespace lambdaml::cli {

namespace {

std::string dollars_of(const nlohmann::ordered_json& status) {
  const nlohmann::json known(status);
  if (known.contains("cost_usd")) return fmt::format("${:.3g}", number_at(known, "cost_usd"));
  if (!known.contains("cost_so_far_usd")) return "";
  const std::string so_far = fmt::format("~${:.3g}", number_at(known, "cost_so_far_usd"));
  return known.contains("cost_usd_at_end")
             ? fmt::format("{} of ${:.3g}", so_far, number_at(known, "cost_usd_at_end"))
             : so_far;
}

}  // namespace

void add_ls_command(CLI::App& app, Globals& globals) {
  CLI::App* command = add_command(app, globals, "ls", "the jobs of a folder or checkpoint store");
  const auto where = std::make_shared<std::string>("runs");
  command->add_option("WHERE", *where,
                      "a folder of runs or checkpoints, or a checkpoint URI; default: runs");
  command->callback([where, &globals] {
    nlohmann::json all = nlohmann::json::array();
    for (const std::string& run : view::JobView::list(*where)) {
      nlohmann::ordered_json status{{"run", utf8_path(run)}};
      try {
        const nlohmann::ordered_json known = view::JobView::open(run).status();
        for (const char* name : {"job_id", "state", "model", "optim", "workers", "epochs",
                                 "metrics", "left_s", "cost_so_far_usd", "cost_usd_at_end"})
          if (known.contains(name)) status[name] = known[name];
        if (const auto summary = known.find("summary");
            summary != known.end() && summary->contains("cost_usd"))
          status["cost_usd"] = (*summary)["cost_usd"];
      } catch (const Error& error) {
        status["state"] = "unknown";
        status["error"] = error.what();
      }
      if (!globals.json)
        print_line(fmt::format("{:<12} {:<10} {:<10} {:>4} workers  {:<20}  {}",
                               text_at(status, "state"), text_at(status, "model"),
                               text_at(status, "optim"), count_at(status, "workers"),
                               dollars_of(status), utf8_path(run)));
      all.push_back(nlohmann::json(status));
    }
    if (all.empty() && !globals.json)
      print_line(fmt::format("no jobs in {}", without_secrets(*where)));
    if (globals.json) print_json(json_text(nlohmann::json{{"runs", all}}));
  });
}

}  // namespace lambdaml::cli
