#include "lambdaml/train/trigger_function.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>

#include <nlohmann/json.hpp>
#include <unistd.h>

#include "lambdaml/base/deadline.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/files.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/uri.h"
#include "lambdaml/faas/lambda_client.h"
#include "lambdaml/storage/storage.h"
#include "lambdaml/train/job.h"
#include "lambdaml/train/original_payload.h"
#include "lambdaml/train/run_folder.h"
#include "lambdaml/train/trigger.h"

namespace lambdaml::train {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

/// What the trigger needs to collect and put away a finished job's results.
constexpr double kMarginSeconds = 5;

Options options_of(const std::string& payload) {
  Options options = job_options();
  read_environment(options);
  if (is_original_payload(payload)) {
    from_original_payload(payload, options);
  } else {
    if (!parse_json(payload).is_object())
      fail(Code::invalid_argument, "event: not a JSON object: '{}'", printable(payload, 60));
    from_json(payload, "event", options);
  }
  if (!options.is_set("platform")) options.set("platform", Option::Value(std::string("aws")), "");
  if (options.text("function").empty())
    options.set("function", Option::Value(std::string("lambdaml-worker")), "function");
  resolve(options);
  return options;
}

/// The run's folder of one invocation: /tmp is kept between events.
class Scratch {
 public:
  Scratch() : path_(fs::temp_directory_path() / fmt::format("lambdaml-run-{}", new_job_id())) {}
  ~Scratch() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

/// What an invocation of the trigger is to do: begin a job, or go on with one.
struct Task {
  Options options;
  std::string job_id = {};  ///< empty: a new job
  double spent_s = 0;       ///< by earlier invocations
};

constexpr const char* kGoOn = "go_on";

std::string handed_on(const Task& task) {
  return json_text(json{{kGoOn,
                         {{"job_id", task.job_id},
                          {"spent_s", task.spent_s},
                          {"options", parse_json(to_json(task.options))}}}});
}

Task task_in(const std::string& payload) {
  const json event = parse_json(payload);
  if (!event.is_object() || !event.contains(kGoOn)) return {options_of(payload)};
  try {
    const json& rest = event.at(kGoOn);
    return {options_of(json_text(rest.at("options"))), rest.at("job_id"), rest.at("spent_s")};
  } catch (const json::exception&) {
    fail(Code::invalid_argument, "event: '{}' is not what a trigger hands on", kGoOn);
  }
}

/// Puts model and summary where the job wants them; the summary with the model's place.
std::string put_away(const fs::path& run, const Options& options, json summary) {
  const std::string& wanted = options.text("output");
  const Uri output = !wanted.empty() ? Uri::parse(wanted)
                     : options.text("checkpoint").empty()
                         ? Uri::parse(options.text("channel")) / "results"
                         : Uri::parse(options.text("checkpoint"));
  const std::string job_id = summary.at("job_id").get<std::string>();
  const std::shared_ptr<storage::Storage> store = storage::open(output);
  const std::optional<Buffer> model = read_file(run / "model.safetensors");
  if (!model) fail(Code::internal, "job {}: its model is not where it was written", job_id);
  store->save(job_id + "/model.safetensors", *model);
  summary["model_path"] = (output / job_id / "model.safetensors").display();
  std::string text = json_text(summary);
  store->save(job_id + "/summary.json", as_bytes(text));
  return text;
}

}  // namespace

std::string handle_trigger_event(const faas::Invocation& invocation) {
  const Stopwatch clock;
  const Task task = task_in(invocation.payload);
  const double own_s = invocation.deadline.seconds_left() - kMarginSeconds;
  const double limit_s = task.options.real("deadline");
  const double left_s = limit_s == 0 ? own_s : std::min(own_s, limit_s - task.spent_s);
  Options options = task.options;
  options.set("deadline", Option::Value(std::max(0.1, left_s)), "deadline");
  const Scratch scratch;
  options.set("output", Option::Value(scratch.path().string()), "output");

  Observer nobody;
  try {
    return put_away(scratch.path(), task.options,
                    parse_json(task.job_id.empty() ? train(options, nobody)
                                                   : train_as(task.job_id, options, nobody)));
  } catch (const Error& error) {
    const char* own_name = std::getenv("AWS_LAMBDA_FUNCTION_NAME");
    if (error.code() != Code::limit_reached || left_s < own_s || own_name == nullptr) throw;
    if (!fs::exists(scratch.path()))
      fail(Code::limit_reached,
           "the trigger's time was over before the job had a checkpoint: give it more with "
           "--timeout-s, or the data to more workers");
    Task rest = task;
    rest.job_id = RunFolder::identify(scratch.path()).job_id;
    rest.spent_s += clock.seconds();
    faas::LambdaClient().invoke_all_events(own_name, std::array{handed_on(rest)});
    return json_text(json{{"status", "to_be_continued"}, {"job_id", rest.job_id}});
  }
}

}  // namespace lambdaml::train
