#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>

#include <fmt/format.h>
#include <stdlib.h>

#include "lambdaml/base/clock.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/files.h"
#include "lambdaml/base/interrupt.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/programs/command.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/wait.h"
#include "lambdaml/faas/registry.h"
#include "lambdaml/faas/task_invocations.h"

/// Workers as the tasks of a Slurm array job. Events and logs lie in a folder that all nodes see,
/// as Slurm itself expects for what its jobs print. Slurm requeues the tasks of lost nodes by
/// itself; a task that failed is submitted again.
namespace lambdaml::faas::slurm {
namespace {

namespace fs = std::filesystem;

constexpr double kCommand_s = 60;
constexpr std::size_t kMostOutput = 64u << 20;
constexpr double kEnding_s = 30;  ///< for cancelled tasks to be gone
constexpr std::size_t kLogLines = 10;

/// What one of Slurm's commands prints. Throws with its own words.
std::string output_of(const std::string& command) {
  const std::string program = command.substr(0, command.find(' '));
  const CommandResult result = run_command(command, kCommand_s, kMostOutput, "running " + program);
  if (result.succeeded()) return result.output;
  if (result.end == CommandResult::End::exited && result.number == 127)
    fail(Code::not_found,
         "the platform slurm needs Slurm's commands on this machine, and there is no {}", program);
  if (result.end == CommandResult::End::timed_out)
    fail(Code::unavailable, "{}: no answer within {:g} s", program, kCommand_s);
  const auto says = [&](const char* words) {
    return result.reason.find(words) != std::string::npos;
  };
  const bool is_away =
      says("Unable to contact") || says("Connection refused") || says("Socket timed out");
  fail(is_away ? Code::unavailable : Code::invalid_argument, "Slurm refused: {}", result.reason);
}

/// A folder of its own that ends with this.
class EventFolder {
 public:
  explicit EventFolder(const fs::path& parent) {
    make_folder(parent);
    std::string name = (fs::absolute(parent) / "events-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr)
      fail(Code::permission_denied, "cannot make a folder in {}; give another with --slurm-folder",
           parent.string());
    path_ = name;
  }
  ~EventFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  EventFolder(const EventFolder&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

class Slurm : public BatchSystem {
 public:
  Slurm(const Function& function, const Options& options, std::shared_ptr<EventFolder> events,
        fs::path logs)
      : partition_(options.text("slurm_partition")),
        more_(options.text("slurm_options")),
        executable_(function.executable),
        events_(std::move(events)),
        logs_(fs::absolute(logs)) {
    std::string script = "#!/bin/sh\nunset AWS_LAMBDA_RUNTIME_API\n";
    for (const auto& [name, value] : function.environment)
      script += fmt::format("export {}={}\n", name, quoted_for_shell(value));
    script += fmt::format(
        "export LAMBDAML_EVENTS={}\n"
        // Not the rank of a batch system that this caller may be a task of.
        "export LAMBDAML_TASK_INDEX=\"$SLURM_ARRAY_TASK_ID\"\n"
        "exec {} {}\n",
        quoted_for_shell(Uri::parse(events_->path().string()).text()),
        quoted_for_shell(executable_.string()), quoted_for_shell(function.handler));
    write_file(events_->path() / "task.sh", as_bytes(script));
  }

  void start(const std::vector<std::size_t>& ranks) override {
    end_doubtful();
    if (!fs::is_regular_file(executable_))
      fail(Code::not_found, "cannot start functions: there is no executable {}",
           executable_.string());
    // A name of its own: sbatch may submit a job and end before it has told the number.
    const std::string name = fmt::format("lambdaml-{}", new_request_id());
    std::string command =
        fmt::format("sbatch --parsable --requeue --open-mode=append --array={} --output={}",
                    list_of(ranks), quoted_for_shell(log_pattern()));
    if (!partition_.empty()) command += " --partition=" + quoted_for_shell(partition_);
    for (const std::string& word : split(more_, ' '))
      if (!word.empty()) command += " " + quoted_for_shell(word);
    command += " --job-name=" + name;
    command += " " + quoted_for_shell((events_->path() / "task.sh").string());
    doubtful_.push_back(name);
    const std::string answer = submitted(command);
    // The number, and after a semicolon the cluster's name.
    const std::string job(trim(answer.substr(0, answer.find(';'))));
    if (!to_integer(job))
      fail(Code::data_corrupt, "sbatch printed '{}' instead of a job's number", printable(answer));
    jobs_.push_back(job);
    doubtful_.pop_back();
    for (const std::size_t rank : ranks) job_of_[rank] = job;
    log::info("Slurm job {}: tasks {}", job, list_of(ranks));
  }

  std::map<std::size_t, std::string> ended(const std::vector<std::size_t>& ranks) override {
    std::map<std::string, std::string> states;
    for (const std::string& line : split(
             output_of("squeue --noheader --array --states=all --format='%F_%K %T' --me"), '\n')) {
      const std::size_t space = line.find(' ');
      if (space != std::string::npos) states[line.substr(0, space)] = trim(line.substr(space));
    }
    std::map<std::size_t, std::string> out;
    for (const std::size_t rank : ranks) {
      const auto found = states.find(fmt::format("{}_{}", job_of_[rank], rank));
      if (found == states.end())
        out[rank] = fmt::format("Slurm job {} has no task {} any more", job_of_[rank], rank);
      else if (is_over(found->second))
        out[rank] = fmt::format("Slurm says {}", printable(found->second));
    }
    return out;
  }

  std::vector<std::string> last_lines(std::size_t rank) override {
    std::vector<std::string> lines;
    if (const auto text = read_file(logs_ / fmt::format("worker-{}.log", rank)))
      for (const std::string& line : split(text->text(), '\n'))
        if (!trim(line).empty()) lines.push_back(printable(line, 500));
    if (lines.size() > kLogLines) lines.erase(lines.begin(), lines.end() - kLogLines);
    return lines;
  }

  void cancel() noexcept override {
    try {
      const Tidying tidying;
      end_doubtful();
    } catch (const std::exception& error) {
      log::warning("Slurm jobs may still run; end them with: {} ({})",
                   cancel_by_name(doubtful_.back()), error.what());
    }
    if (jobs_.empty()) return;
    try {
      const Tidying tidying;
      output_of("scancel " + join(jobs_, " "));
      const Deadline deadline = Deadline::in(kEnding_s);
      const std::string ask =
          "squeue --noheader --me --states=running,pending,completing --jobs=" + join(jobs_, ",");
      while (!deadline.passed() && !trim(output_of(ask)).empty()) pause_for(0.1);
    } catch (const std::exception& error) {
      // Jobs that ended long ago are unknown to it.
      if (std::string_view(error.what()).find("Invalid job id") == std::string_view::npos)
        log::warning("Slurm jobs {} may still run; end them with: scancel {} ({})",
                     join(jobs_, " "), join(jobs_, " "), error.what());
    }
  }

 private:
  /// Of a submission that was refused there is nothing to end.
  std::string submitted(const std::string& command) {
    try {
      return output_of(command);
    } catch (const Error& error) {
      if (error.code() == Code::invalid_argument) doubtful_.pop_back();
      throw;
    }
  }

  static std::string cancel_by_name(const std::string& name) { return "scancel --name=" + name; }

  /// Ends what submissions without an answer may have started. Throws unavailable and the like.
  void end_doubtful() {
    while (!doubtful_.empty()) {
      output_of(cancel_by_name(doubtful_.back()));
      doubtful_.pop_back();
    }
  }

  /// In a file name for sbatch, %a is the rank and %% is %.
  std::string log_pattern() const {
    std::string pattern;
    for (const char c : logs_.string()) pattern += c == '%' ? std::string("%%") : std::string(1, c);
    if (pattern.find('\\') != std::string::npos)
      fail(Code::invalid_argument,
           "Slurm takes no backslash in the name of a log's folder ({}): give another --output",
           printable(logs_.string()));
    return pattern + "/worker-%a.log";
  }

  static std::string list_of(const std::vector<std::size_t>& ranks) {
    if (ranks.size() > 1 && ranks.back() - ranks.front() == ranks.size() - 1)
      return fmt::format("{}-{}", ranks.front(), ranks.back());
    return fmt::format("{}", fmt::join(ranks, ","));
  }

  static bool is_over(const std::string& state) {
    for (const char* over : {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL",
                             "OUT_OF_MEMORY", "BOOT_FAIL", "DEADLINE", "REVOKED"})
      if (state == over) return true;
    return false;
  }

  const std::string partition_, more_;
  const fs::path executable_;
  const std::shared_ptr<EventFolder> events_;
  const fs::path logs_;
  std::vector<std::string> jobs_;
  std::vector<std::string> doubtful_;          ///< names of submissions whose number is not known
  std::map<std::size_t, std::string> job_of_;  ///< the newest of each rank
};

class SlurmInvoker : public Invoker {
 public:
  explicit SlurmInvoker(Options options) : options_(std::move(options)) {}
  std::unique_ptr<Invocations> invoke_all(const Function& function,
                                          std::vector<std::string> payloads,
                                          FailureObserver observer) override {
    fs::path folder = options_.text("slurm_folder");
    if (folder.empty()) folder = function.log_folder.empty() ? fs::path(".") : function.log_folder;
    const fs::path logs = function.log_folder.empty() ? folder : function.log_folder;
    make_folder(logs);
    const auto events = std::make_shared<EventFolder>(folder);
    auto system = std::make_unique<Slurm>(function, options_, events, logs);
    return invoke_tasks(function, storage::open(events->path().string()), std::move(system),
                        payloads, std::move(observer));
  }

 private:
  const Options options_;
};

std::string examine(const Options& options) {
  std::string command = "sinfo --noheader --format='%P %a, %D nodes, %c processors'";
  const std::string& partition = options.text("slurm_partition");
  if (!partition.empty()) command += " --partition=" + quoted_for_shell(partition);
  const std::string answer = output_of(command);
  const std::string_view line = trim(std::string_view(answer).substr(0, answer.find('\n')));
  if (line.empty())
    fail(Code::not_found, "Slurm has no partition '{}'; sinfo lists them", printable(partition));
  return "Slurm partition " + printable(line);
}

}  // namespace

void register_plugin(Registry& registry) {
  registry.add(
      {.name = "slurm",
       .help = "tasks of an array job that is submitted to Slurm",
       .options = {{.name = "slurm_partition",
                    .default_value = std::string(),
                    .help = "partition for the platform slurm; empty: Slurm's default",
                    .execution_only = true},
                   {.name = "slurm_options",
                    .default_value = std::string(),
                    .help = "further options of sbatch, with spaces between them",
                    .execution_only = true},
                   {.name = "slurm_folder",
                    .default_value = std::string(),
                    .help = "folder that all nodes see, for the tasks' events; empty: "
                            "beside their logs",
                    .execution_only = true}},
       .separate_processes = true,
       .remote = true,
       .runs_here = [](const Options&) { return true; },
       .examine = examine,
       .make = [](const Options& options) { return std::make_unique<SlurmInvoker>(options); }});
}

}  // namespace lambdaml::faas::slurm
