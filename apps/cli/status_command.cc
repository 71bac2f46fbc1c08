#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

#include <nlohmann/json.hpp>

#include "apps/cli/command.h"
#include "apps/cli/moment.h"
#include "apps/cli/search_status.h"
#include "apps/cli/sparkline.h"
#include "apps/cli/summary.h"
#include "lambdaml/base/deadline.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/wait.h"
#include "lambdaml/model/reporting.h"
#include "lambdaml/report/curves.h"
#include "lambdaml/report/search_now.h"
#include "lambdaml/report/source.h"
#include "lambdaml/view/job_view.h"

namespace lambdaml::cli {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

struct StatusArguments {
  std::string run;
  bool of_search = false;
  bool watch = false;
};

/// The metrics of the last epoch, those of a model by their names, and how the first one went.
std::vector<std::string> lines_of_metrics(const json& status, const std::string& run) {
  std::vector<std::string> lines;
  const model::Plugin* plugin = model::registry().find(text_at(status, "model"));
  if (plugin == nullptr || !status.contains("metrics")) return lines;
  std::string text, first;
  for (const model::ReportedMetric& reported : model::epoch_metrics(*plugin)) {
    if (!status["metrics"].contains(reported.name)) continue;
    if (first.empty()) first = reported.name;
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", reported.name,
                        reported.metric.shown(number_at(status["metrics"], reported.name.c_str())));
  }
  if (text.empty()) return lines;
  lines.push_back(fmt::format("metrics   {} (epoch {})", text, count_at(status, "metrics_epoch")));
  if (!has_blocks()) return lines;
  constexpr std::size_t kColumns = 40;
  try {
    const std::optional<Buffer> file = report::Source::open(run).read("metrics.jsonl");
    const report::Curves curves = report::read_curves(file ? file->text() : "", kColumns * 4);
    const auto column = curves.columns.find(first);
    if (column != curves.columns.end())
      if (const std::string spark = sparkline(column->second, kColumns); !spark.empty())
        lines.push_back(fmt::format("          {} {}", first, spark));
  } catch (const Error&) {
    // The curve is an addition.
  }
  return lines;
}

/// The last sign of life of a job that has given none for a while; empty of any other.
std::string sign_of_life(const json& status) {
  constexpr double kWhile_s = 60;
  const std::uint64_t seen_ms = count_at(status, "seen_ms");
  const std::string state = text_at(status, "state");
  if (seen_ms == 0 || (state != "running" && state != "interrupted")) return "";
  const double silent_s = (static_cast<double>(epoch_ms()) - static_cast<double>(seen_ms)) / 1e3;
  if (state == "running" && silent_s < kWhile_s) return "";
  return fmt::format("last sign of life {} ago, at {}", human_seconds(std::max(0.0, silent_s)),
                     local_time(seen_ms));
}

std::vector<std::string> lines_of(const json& status, const std::string& run) {
  std::vector<std::string> lines;
  lines.push_back(fmt::format("{}: {}", text_at(status, "job_id"), text_at(status, "state")));
  if (status.contains("summary")) return lines;
  lines.push_back(fmt::format("{} by {} over {}, {} workers on {}", text_at(status, "model"),
                              text_at(status, "optim"), text_at(status, "sync_mode"),
                              count_at(status, "workers"), text_at(status, "platform")));
  for (const char* name : {"error", "advice"})
    if (status.contains(name)) lines.push_back(text_at(status, name));
  if (const std::string sign = sign_of_life(status); !sign.empty())
    lines.push_back(fmt::format("seen      {}", sign));
  if (status.contains("begun_ms"))
    lines.push_back(fmt::format("begun     {}", local_time(count_at(status, "begun_ms"))));
  if (status.contains("started"))
    lines.push_back(fmt::format("workers   {} of {} started, {} finished",
                                count_at(status, "started"), count_at(status, "workers"),
                                count_at(status, "finished")));
  if (status.contains("round"))
    lines.push_back(fmt::format("epoch     {} of {}, round {} of {}", count_at(status, "epoch"),
                                count_at(status, "epochs"), count_at(status, "round"),
                                count_at(status, "rounds")));
  for (std::string& line : lines_of_metrics(status, run)) lines.push_back(std::move(line));
  if (status.contains("elapsed_s"))
    lines.push_back(
        fmt::format("time      {} so far{}", human_seconds(number_at(status, "elapsed_s")),
                    status.contains("left_s")
                        ? fmt::format(", about {} left", human_seconds(number_at(status, "left_s")))
                        : ""));
  if (status.contains("cost_so_far_usd"))
    lines.push_back(fmt::format(
        "cost      about ${:.3g} so far{} (functions alone)", number_at(status, "cost_so_far_usd"),
        status.contains("cost_usd_at_end")
            ? fmt::format(", ${:.3g} at the end", number_at(status, "cost_usd_at_end"))
            : ""));
  return lines;
}

ordered_json status_now(const StatusArguments& arguments) {
  // A job that is resumed has another record.
  return arguments.of_search ? report::search_now(arguments.run)
                             : view::JobView::open(arguments.run).status();
}

std::vector<std::string> lines_now(const StatusArguments& arguments, const json& status) {
  return arguments.of_search ? lines_of_search(status) : lines_of(status, arguments.run);
}

/// Shows the status until the job or search has ended: on a terminal in place, elsewhere when it
/// changes. Returns the last one.
ordered_json watch(const StatusArguments& arguments, const Globals& globals) {
  constexpr double kPause_s = 1, kPlainPause_s = 5;
  const Terminal terminal;
  std::size_t drawn = 0;
  while (true) {
    ordered_json status = status_now(arguments);
    const std::string state = text_at(status, "state");
    const bool is_over = state != "running" && state != "not ended";
    if (terminal.can_redraw() && drawn > 0) draw(fmt::format("\x1b[{}A\r\x1b[J", drawn));
    drawn = 0;
    if (is_over) return status;
    if (!globals.json && !globals.quiet) {
      std::string rows;
      for (const std::string& line : lines_now(arguments, status))
        rows += (terminal.can_redraw() ? terminal.row(line, drawn == 0)
                                       : printable(line, std::string::npos)) +
                "\n",
            ++drawn;
      draw(rows);
    }
    pause_for(terminal.can_redraw() ? kPause_s : kPlainPause_s);
  }
}

void show_status(const StatusArguments& arguments, const Globals& globals) {
  const ordered_json all = arguments.watch ? watch(arguments, globals) : status_now(arguments);
  if (globals.json) return print_json(json_text(all));
  for (const std::string& line : lines_now(arguments, all)) print_line(line);
  if (all.contains("summary")) print_summary(all["summary"], globals);
}

}  // namespace

void add_status_command(CLI::App& app, Globals& globals) {
  CLI::App* command = add_command(app, globals, "status",
                                  "how a job or search stands: progress, loss, time left, cost");
  const auto arguments = std::make_shared<StatusArguments>();
  command
      ->add_option("RUN", arguments->run,
                   "the folder of a run or search, CHECKPOINT-URI/JOB-ID, or the URI of a search's "
                   "records")
      ->required();
  command->add_flag("-w,--watch", arguments->watch, "show it until that has ended");
  command->callback([arguments, &globals] {
    arguments->of_search = report::is_search(arguments->run);
    show_status(*arguments, globals);
  });
}

}  // namespace lambdaml::cli
