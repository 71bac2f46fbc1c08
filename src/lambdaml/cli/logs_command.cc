#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <thread>

#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/base/interrupt.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/text.h"
#include "lambdaml/cli/command.h"
#include "lambdaml/train/job_view.h"

namespace lambdaml::cli {
namespace {

struct LogsArguments {
  std::string run;
  std::optional<std::uint32_t> worker;
  bool follow = false;
};

/// Prints what came since the last call; `shown` are the bytes of each log that were.
void print_news(const train::JobView& job, const LogsArguments& arguments,
                std::map<std::string, std::size_t>& shown, bool whole_lines) {
  std::uint32_t worker = 0;
  for (const train::JobView::Log& log : job.logs()) {
    const bool wanted = !arguments.worker || *arguments.worker == worker;
    ++worker;
    std::size_t& from = shown[log.name];
    if (!wanted || log.text.size() <= from) continue;
    std::string_view news = std::string_view(log.text).substr(from);
    if (whole_lines) news = news.substr(0, news.rfind('\n') + 1);
    from += news.size();
    for (const std::string& line : split(std::string(news), '\n'))
      if (!line.empty())
        print_line(arguments.worker ? printable(line, line.size())
                                    : fmt::format("{} {}", log.name, printable(line, line.size())));
  }
}

/// As one JSON object: what each worker has logged, line by line.
void print_object(const train::JobView& job, const LogsArguments& arguments) {
  nlohmann::json logs = nlohmann::json::array();
  std::uint32_t worker = 0;
  for (const train::JobView::Log& log : job.logs()) {
    if (!arguments.worker || *arguments.worker == worker) {
      nlohmann::json lines = nlohmann::json::array();
      for (const std::string& line : split(log.text, '\n'))
        if (!line.empty()) lines.push_back(line);
      logs.push_back({{"worker", worker}, {"lines", std::move(lines)}});
    }
    ++worker;
  }
  print_line(json_text(nlohmann::json{{"logs", std::move(logs)}}));
}

void require_worker(const train::JobView& job, const LogsArguments& arguments) {
  const std::size_t workers = job.logs().size();
  if (arguments.worker && *arguments.worker >= workers)
    fail(Code::invalid_argument, "--worker {}: the job has workers 0 to {}", *arguments.worker,
         workers - 1);
}

}  // namespace

void add_logs_command(CLI::App& app, Globals& globals) {
  CLI::App* command = add_command(app, globals, "logs", "what the workers of a job have logged");
  const auto arguments = std::make_shared<LogsArguments>();
  command->add_option("RUN", arguments->run, "a run's folder, or CHECKPOINT-URI/JOB-ID")
      ->required();
  command->add_option("--worker", arguments->worker, "of this worker only");
  command->add_flag("-f,--follow", arguments->follow, "go on until the job has ended");
  command->callback([arguments, &globals] {
    catch_interrupts();
    const train::JobView job = train::JobView::open(arguments->run);
    require_worker(job, *arguments);
    std::map<std::string, std::size_t> shown;
    while (arguments->follow && !job.has_ended()) {
      if (!globals.json) print_news(job, *arguments, shown, true);
      throw_if_interrupted();
      std::this_thread::sleep_for(std::chrono::milliseconds(500));
    }
    if (globals.json) return print_object(job, *arguments);
    print_news(job, *arguments, shown, false);
  });
}

}  // namespace lambdaml::cli
