#include "lambdaml/job/options.h"

#include <algorithm>
#include <array>

#include "lambdaml/base/option_sets.h"
#include "lambdaml/comm/registry.h"
#include "lambdaml/data/registry.h"
#include "lambdaml/faas/registry.h"
#include "lambdaml/job/subjects.h"
#include "lambdaml/model/registry.h"
#include "lambdaml/optim/registry.h"

namespace lambdaml::job {
namespace {

std::vector<std::string> model_names() {
  std::vector<std::string> names;
  for (const model::Plugin& plugin : model::registry().entries()) {
    names.push_back(plugin.name);
    names.insert(names.end(), plugin.aliases.begin(), plugin.aliases.end());
  }
  return names;
}

std::vector<std::string> models_of_a_file() {
  std::vector<std::string> names;
  for (const model::Plugin& plugin : model::registry().entries())
    if (!plugin.file_option.empty()) names.push_back(plugin.name);
  return names;
}

/// Values of --model, without the file of those that have one.
std::vector<std::string> models_with_labels() {
  std::vector<std::string> names;
  for (const model::Plugin& plugin : model::registry().entries()) {
    if (!plugin.needs_labels) continue;
    names.push_back(plugin.name);
    names.insert(names.end(), plugin.aliases.begin(), plugin.aliases.end());
  }
  return names;
}

std::vector<std::string> formats() {
  std::vector<std::string> names = data::format_names();
  names.insert(names.begin(), "auto");
  return names;
}

using Int = std::int64_t;
using Text = std::string;

std::vector<Option> data_options() {
  return {
      {.name = "data",
       .default_value = Text(),
       .help = "training data: a file, a folder, a pattern or a prepared data set, as a path or "
               "storage URI; several are separated by commas",
       .aliases = {"train_file"},
       .execution_only = true},
      {.name = "test_data",
       .default_value = Text(),
       .help = "data evaluated after each epoch beside the validation split",
       .aliases = {"test_file"},
       .execution_only = true},
      {.name = "init",
       .default_value = Text(),
       .help = "model to start from, of the same kind, features and classes: a model file or the "
               "folder of a run, as a path or storage URI",
       .execution_only = true},
      {.name = "format",
       .default_value = Text("auto"),
       .help = "format of the data files",
       .choices = formats(),
       .aliases = {"dataset_type"}},
      {.name = "read_by",
       .default_value = Text("auto"),
       .help = "what reads the data files: the command, or functions, each a part of them; auto is "
               "functions for text of 64 MB and more that deployed functions reach",
       .choices = {"auto", "command", "functions"},
       .execution_only = true}};
}

std::vector<Option> choices_of_plugins() {
  return {{.name = "shuffle",
           .default_value = true,
           .help = "visit the training rows in a new random order in each pass, not in the file's"},
          {.name = "model",
           .default_value = Text("lr"),
           .help = "what is trained",
           .choices = model_names(),
           .open_choices = models_of_a_file()},
          {.name = "optim",
           .default_value = Text("grad_avg"),
           .help = "how workers' results are combined; by default the one that the model prefers",
           .choices = optim::registry().names()},
          {.name = "sync_mode",
           .default_value = Text("reduce"),
           .help = "pattern by which workers merge their vectors",
           .choices = comm::registry().names()}};
}

std::vector<Option> size_options() {
  return {{.name = "channel",
           .default_value = Text("file"),
           .help = "store where workers meet: a URI, or a bare name for that store's default place",
           .execution_only = true},
          {.name = "workers",
           .default_value = Int{4},
           .help = "functions that train together",
           .minimum = 1,
           .maximum = 10000,
           .aliases = {"n_workers"}},
          {.name = "epochs",
           .default_value = Int{10},
           .help = "passes over the data",
           .minimum = 1,
           .maximum = 1e9,
           .aliases = {"n_epochs"}},
          {.name = "batch_size",
           .default_value = Int{1000},
           .help = "rows of one batch, per worker",
           .unit = "rows",
           .minimum = 1,
           .maximum = 4e9},
          {.name = "micro_batch",
           .default_value = Int{0},
           .help = "rows of a batch that are computed at once, for batches that do not fit the "
                   "memory; 0: all",
           .unit = "rows",
           .minimum = 0,
           .maximum = 4e9}};
}

std::vector<Option> end_options() {
  return {{.name = "valid_ratio",
           .default_value = 0.1,
           .help = "share of the rows of each class held out for validation",
           .minimum = 0,
           .maximum = 0.99,
           .needs = {{"model", models_with_labels()}}},
          {.name = "folds",
           .default_value = Int{0},
           .help = "equal parts of each class's rows, of which one is held out instead of a share "
                   "of valid_ratio; 0: none",
           .minimum = 0,
           .maximum = 1000,
           .needs = {{"model", models_with_labels()}}},
          {.name = "fold",
           .default_value = Int{0},
           .help = "which of the folds is held out, from 0",
           .minimum = 0,
           .maximum = 999},
          {.name = "seed",
           .default_value = Int{1},
           .help = "seed of the job's random choices",
           .minimum = 0},
          {.name = "until",
           .default_value = Text(),
           .help = "stop early, e.g. valid_loss<=0.66 or valid_accuracy>=0.9"},
          {.name = "patience",
           .default_value = Int{0},
           .help = "stop early when the loss of the held-out rows (of the training rows where none "
                   "are held out) has not fallen for so many epochs, and keep the best epoch's "
                   "model; 0: never",
           .unit = "epochs",
           .minimum = 0}};
}

std::vector<Option> function_options() {
  const faas::MemoryRange memory = faas::memory_of_platforms();
  return {
      {.name = "platform",
       .default_value = Text("local"),
       .help = "where functions run",
       .choices = faas::registry().names(),
       .execution_only = true},
      {.name = "memory_mb",
       .default_value = memory.usual,
       .help = "memory limit of one function; a deployed one has what it was deployed with",
       .unit = "MB",
       .minimum = static_cast<double>(memory.least),
       .maximum = static_cast<double>(memory.most),
       .execution_only = true},
      {.name = "timeout_s",
       .default_value = 900.0,
       .help = "time limit of one function",
       .unit = "s",
       .above = 0,
       .maximum = 1e6,
       .execution_only = true},
      {.name = "retries",
       .default_value = Int{2},
       .help = "attempts of a worker that crashed, after the first",
       .minimum = 0,
       .maximum = 2,
       .execution_only = true},
      {.name = "patience_s",
       .default_value = 300.0,
       .help = "longest wait for other workers within a round",
       .unit = "s",
       .above = 0,
       .execution_only = true},
      {.name = "threads",
       .default_value = Int{0},
       .help =
           "threads of one worker; 0 shares this machine's processors among the workers, and gives "
           "a deployed function those that come with its memory",
       .minimum = 0,
       .maximum = 1024},
      {.name = "deadline",
       .default_value = 0.0,
       .help = "stop the job after this time, with exit code 3; 0 is never",
       .unit = "s",
       .minimum = 0,
       .execution_only = true},
      {.name = "budget",
       .default_value = 0.0,
       .help = "stop the job when its functions, servers (--servers) and the requests of its "
               "rounds have "
               "cost this, with exit code 3; 0 is no limit",
       .unit = "dollars",
       .minimum = 0,
       .execution_only = true},
      {.name = "servers",
       .default_value = Text(),
       .help = "servers by the hour that run for the job, for its cost: 2*cache.t4g.small of the "
               "price table, or 2*0.05 in dollars an hour; several with commas",
       .execution_only = true}};
}

std::vector<Option> result_options() {
  return {
      {.name = "checkpoint",
       .default_value = Text(),
       .help = "where checkpoints go: a URI; by default the run's folder",
       .execution_only = true},
      {.name = "checkpoint_every",
       .default_value = Int{1},
       .help = "epochs between two checkpoints",
       .unit = "epochs",
       .minimum = 1,
       .execution_only = true},
      {.name = "stop_after",
       .default_value = Int{0},
       .help =
           "epochs after which the job pauses, to be resumed; schedules still span all --epochs; "
           "0: at the end",
       .unit = "epochs",
       .minimum = 0},
      {.name = "run_epochs",
       .default_value = Int{0},
       .help =
           "epochs of one invocation, after which another continues; 0: as many as its time allows",
       .unit = "epochs",
       .minimum = 0,
       .execution_only = true},
      {.name = "output",
       .default_value = Text(),
       .help = "new folder for model, metrics and logs; by default runs/JOB-ID",
       .execution_only = true},
      {.name = "keep",
       .default_value = false,
       .help = "leave the job's keys in the channel when it ends",
       .execution_only = true},
      {.name = "log_level",
       .default_value = Text("info"),
       .help = "what workers log",
       .choices = {"debug", "info", "warning", "error", "off"},
       .execution_only = true},
      {.name = "tensorboard",
       .default_value = Text(),
       .help = "folder or URI below which the job's metrics and weights go as TensorBoard reads "
               "them, in a folder named after the job",
       .execution_only = true},
      {.name = "metrics_port",
       .default_value = Int{-1},
       .help = "port of this machine where the command serves /metrics for Prometheus while the "
               "job runs; 0 picks a free one, -1: none",
       .minimum = -1,
       .maximum = 65535,
       .execution_only = true},
      {.name = "dashboard",
       .default_value = false,
       .help = "serve a live page of the job while the command runs",
       .execution_only = true}};
}

/// Whether some optimizer's epochs are counted by that option.
bool counts_epochs(const std::string& option) {
  return std::ranges::find(optim::registry().entries(), option, &optim::Plugin::epochs_option) !=
         optim::registry().entries().end();
}

template <class Registry>
void add_options_of(const Registry& registry, std::vector<Option>& all) {
  for (const auto& plugin : registry.entries()) add_options(all, plugin.options);
}

}  // namespace

Options job_options() {
  std::vector<Option> all = data_options();
  add_options_of(data::registry(), all);
  add_options(all, choices_of_plugins());
  add_options_of(comm::registry(), all);
  add_options(all, size_options());
  add_options_of(optim::registry(), all);
  add_options(all, end_options());
  add_options(all, function_options());
  add_options(all, result_options());
  add_options_of(model::registry(), all);
  add_options_of(faas::registry(), all);
  return Options(std::move(all));
}

std::vector<Option> own_options() {
  std::vector<Option> all;
  for (const auto& options : {data_options(), choices_of_plugins(), size_options(), end_options(),
                              function_options(), result_options()})
    add_options(all, options);
  return all;
}

Options options_of_resuming() {
  constexpr std::array kKept = {"data", "test_data", "read_by", "init", "checkpoint", "output"};
  std::vector<Option> out;
  const Options all = job_options();
  for (const Option& option : all.declared())
    if ((option.execution_only && std::ranges::find(kKept, option.name) == kKept.end()) ||
        counts_epochs(option.name))
      out.push_back(option);
  return Options(std::move(out));
}

std::string subject_of(std::string_view option) {
  const auto is_in = [&](const std::vector<Option>& options) {
    return std::ranges::find(options, option, &Option::name) != options.end();
  };
  const auto is_of = [&](const auto& registry) {
    return std::ranges::any_of(registry.entries(),
                               [&](const auto& plugin) { return is_in(plugin.options); });
  };
  constexpr std::array kMeeting = {"workers", "channel", "sync_mode"};
  if (is_in(data_options()) || is_of(data::registry())) return "Data";
  if (option == "model" || is_of(model::registry())) return "Model";
  if (std::ranges::find(kMeeting, option) != kMeeting.end() || is_of(comm::registry()))
    return "Workers and where they meet";
  if (is_in(function_options()) || is_of(faas::registry())) return "Functions and limits";
  if (is_in(result_options())) return "Results";
  const bool is_training = is_in(choices_of_plugins()) || is_in(size_options()) ||
                           is_in(end_options()) || is_of(optim::registry());
  return is_training ? "Training" : "Options";
}

}  // namespace lambdaml::job
