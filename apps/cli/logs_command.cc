#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <vector>

#include <nlohmann/json.hpp>

#include "apps/cli/command.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/uri.h"
#include "lambdaml/base/wait.h"
#include "lambdaml/report/search_now.h"
#include "lambdaml/view/job_view.h"
#include "lambdaml/view/log_tail.h"

namespace lambdaml::cli {
namespace {

struct LogsArguments {
  std::string run;
  std::optional<std::uint32_t> worker;
  bool follow = false;
};

std::vector<std::uint32_t> wanted_workers(const view::JobView& job,
                                          const LogsArguments& arguments) {
  if (arguments.worker && *arguments.worker >= job.workers())
    fail(Code::invalid_argument, "--worker {}: the job has workers 0 to {}", *arguments.worker,
         job.workers() - 1);
  if (arguments.worker) return {*arguments.worker};
  std::vector<std::uint32_t> all(job.workers());
  std::iota(all.begin(), all.end(), 0);
  return all;
}

/// Prints the lines since the last call.
void print_news(const view::JobView& job, const LogsArguments& arguments,
                std::map<std::uint32_t, view::LogTail>& tails, bool complete) {
  for (auto& [worker, tail] : tails) {
    const std::string name = arguments.worker ? "" : fmt::format("worker-{} ", worker);
    const std::string log = job.log(worker);
    const view::LogTail::News news = tail.news(log, complete);
    if (news.gap) log::warning("worker {}: lines of its log before these are lost", worker);
    for (const std::string& line : split(std::string(news.text), '\n'))
      if (!line.empty()) print_text(name + line);
  }
}

/// Prints one JSON object with each worker's log lines.
void print_object(const view::JobView& job, const std::vector<std::uint32_t>& workers) {
  nlohmann::json logs = nlohmann::json::array();
  for (const std::uint32_t worker : workers) {
    nlohmann::json lines = nlohmann::json::array();
    for (const std::string& line : split(job.log(worker), '\n'))
      if (!line.empty()) lines.push_back(line);
    logs.push_back({{"worker", worker}, {"lines", std::move(lines)}});
  }
  print_json(json_text(nlohmann::json{{"logs", std::move(logs)}}));
}

/// A search has no workers of its own; those of its trials have logs.
[[noreturn]] void refuse_search(const std::string& place) {
  std::vector<std::string> trials;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(
           std::filesystem::path(path_of_file_uri(place)) / "trials", error))
    if (std::filesystem::is_directory(entry.path() / "log", error))
      trials.push_back(utf8_path(entry.path().filename().string()));
  std::ranges::sort(trials);
  if (trials.empty())
    fail(Code::invalid_argument,
         "search {}: a search has no log, and none of its trials has one here", place);
  constexpr std::size_t kMost = 20;
  const std::size_t more = trials.size() > kMost ? trials.size() - kMost : 0;
  trials.resize(trials.size() - more);
  fail(Code::invalid_argument,
       "search {0}: a search has no log; its trials have: lambdaml logs {0}/trials/TRIAL, where "
       "TRIAL is {1}{2}",
       place, join(trials, ", "), more > 0 ? fmt::format(" or one of {} others", more) : "");
}

}  // namespace

void add_logs_command(CLI::App& app, Globals& globals) {
  CLI::App* command = add_command(app, globals, "logs", "what the workers of a job have logged");
  const auto arguments = std::make_shared<LogsArguments>();
  command->add_option("RUN", arguments->run, "a run's folder, or CHECKPOINT-URI/JOB-ID")
      ->required();
  command->add_option("--worker", arguments->worker, "of this worker only");
  command->add_flag("-f,--follow", arguments->follow, "continue until the job has ended");
  command->callback([arguments, &globals] {
    if (report::is_search(arguments->run)) refuse_search(arguments->run);
    const view::JobView job = view::JobView::open(arguments->run);
    const std::vector<std::uint32_t> workers = wanted_workers(job, *arguments);
    std::map<std::uint32_t, view::LogTail> tails;
    for (const std::uint32_t worker : workers) tails[worker] = {};
    while (arguments->follow && !job.has_ended()) {
      if (!globals.json) print_news(job, *arguments, tails, false);
      pause_for(0.5);
    }
    if (globals.json) return print_object(job, workers);
    print_news(job, *arguments, tails, true);
  });
}

}  // namespace lambdaml::cli
