#include "lambdaml/trigger/trigger_function.h"

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
#include "lambdaml/base/log.h"
#include "lambdaml/base/own_folder.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/uri.h"
#include "lambdaml/control/checkpoint.h"
#include "lambdaml/control/lease.h"
#include "lambdaml/faas/host.h"
#include "lambdaml/job/compat_payload.h"
#include "lambdaml/job/job.h"
#include "lambdaml/job/job_file.h"
#include "lambdaml/job/options.h"
#include "lambdaml/job/running_cost.h"
#include "lambdaml/storage/storage.h"
#include "lambdaml/trigger/reach.h"
#include "lambdaml/trigger/trigger.h"

namespace lambdaml::trigger {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

/// What the trigger needs to collect and store a finished job's results.
constexpr double kMarginSeconds = 5;

/// Throws the error again, in the words of a payload of the original system if it is about one.
[[noreturn]] void refuse(const Error& error, bool is_original) {
  if (!is_original || error.code() != Code::invalid_argument) throw;
  throw Error(error.code(), "payload: " + job::in_words_of_original(error.what()));
}

/// The resolved options of an event, or of an event of the original system.
Options options_of(const json& event) {
  Options options = job::job_options();
  job::read_environment(options);
  if (job::is_original_payload(event))
    job::from_original_payload(event, options);
  else
    job::from_json(event, "event", options);
  use_own_platform(options);
  try {
    job::resolve(options);
  } catch (const Error& error) {
    refuse(error, job::is_original_payload(event));
  }
  return options;
}

/// What an invocation of the trigger has to do: begin a job, or continue one.
struct Work {
  Options options;
  std::string job_id;
  double spent_s = 0;        ///< by earlier invocations
  std::uint64_t number = 0;  ///< of those; "leg" in the event
  std::uint64_t epoch = 0;   ///< of the newest checkpoint that they left
  bool is_original = false;  ///< whether it began with a payload of the original system
};

constexpr const char* kGoOn = "go_on";

std::string next_event(const Work& work) {
  return json_text(json{{kGoOn,
                         {{"job_id", work.job_id},
                          {"spent_s", work.spent_s},
                          {"leg", work.number},
                          {"epoch", work.epoch},
                          {"original", work.is_original},
                          {"options", job::to_json(work.options)}}}});
}

std::string answer_of_another(const Work& work) {
  return json_text(json{{"status", "another_invocation_goes_on"}, {"job_id", work.job_id}});
}

Work work_of(const faas::Invocation& invocation) {
  const json event = parse_json(invocation.payload);
  if (!event.is_object())
    fail(Code::invalid_argument, "event: not a JSON object with distinct names: '{}'",
         printable(invocation.payload, 60));
  if (!event.contains(kGoOn))
    return {.options = options_of(event),
            .job_id = job::id_of_request("job-", invocation.request_id),
            .is_original = job::is_original_payload(event)};
  try {
    const json& rest = event.at(kGoOn);
    const std::string job_id = rest.at("job_id");
    if (!job::is_job_id(job_id))
      fail(Code::invalid_argument, "event: '{}' is no id of a job", printable(job_id));
    return {options_of(rest.at("options")),
            job_id,
            rest.at("spent_s"),
            rest.at("leg"),
            rest.at("epoch"),
            rest.value("original", false)};
  } catch (const json::exception&) {
    fail(Code::invalid_argument, "event: '{}' is not what a trigger hands on", kGoOn);
  }
}

/// Where a job's model and summary are stored.
class Results {
 public:
  explicit Results(const Work& work)
      : job_id_(work.job_id), place_(place_of(work.options)), store_(storage::open(place_)) {}

  std::optional<std::string> summary() const {
    const std::optional<Buffer> text = store_->load(job_id_ + "/summary.json");
    if (!text) return std::nullopt;
    return std::string(text->text());
  }
  /// The summary with the location of the model.
  std::string save(const fs::path& run, nlohmann::ordered_json summary) const {
    const std::optional<Buffer> model = read_file(run / "model.safetensors");
    if (!model) fail(Code::internal, "job {}: its model is not where it was written", job_id_);
    store_->save(job_id_ + "/model.safetensors", *model);
    // What a report of the job shows besides.
    for (const char* name : {"job.yaml", "metrics.jsonl", "workers.jsonl"})
      if (const std::optional<Buffer> bytes = read_file(run / name))
        store_->save(fmt::format("{}/{}", job_id_, name), *bytes);
    summary["model_path"] = (place_ / job_id_ / "model.safetensors").display();
    std::string text = json_text(summary);
    store_->save(job_id_ + "/summary.json", as_bytes(text));
    return text;
  }
  /// Of the trigger's invocation with that number, however often it is delivered.
  std::string lease_key(std::uint64_t number) const {
    return fmt::format("{}/trigger/{}", job_id_, number);
  }
  std::shared_ptr<storage::Storage> store() const { return store_; }
  const Uri& place() const { return place_; }

 private:
  static Uri place_of(const Options& options) {
    Uri place = Uri::parse(options.text("channel")) / "results";
    for (const char* name : {"checkpoint", "output"})
      if (!options.text(name).empty()) place = Uri::parse(options.text(name));
    if (!outlives_function(place))
      fail(Code::invalid_argument,
           "event: the model would be saved in {} and lost with the function; give it an 'output', "
           "the URI of a store that keeps it",
           place.display());
    return place;
  }

  std::string job_id_;
  Uri place_;
  std::shared_ptr<storage::Storage> store_;
};

/// The epoch of worker 0's newest checkpoint; 0 if it has none.
std::uint64_t newest_epoch(const Options& options, const std::string& job_id) {
  const std::vector<control::Progress> available =
      control::Checkpoints(storage::open(options.text("checkpoint")), job_id, nlohmann::json(), 0,
                           static_cast<std::uint32_t>(options.integer("workers")))
          .available();
  return available.empty() ? 0 : available.front().epoch;
}

/// Renews the lease while the trigger works.
class LeaseKeeper : public Observer {
 public:
  explicit LeaseKeeper(control::Lease& lease) : lease_(lease) {}
  void tick(std::uint32_t, std::uint64_t, std::uint64_t, std::uint64_t) override { lease_.renew(); }

 private:
  control::Lease& lease_;
};

}  // namespace

std::string handle_trigger_event(const faas::Invocation& invocation) {
  const Stopwatch clock;
  const Work work = work_of(invocation);
  Options options = work.options;
  require_reach(options);
  if (const std::string& place = options.text("tensorboard");
      !place.empty() && !outlives_function(Uri::parse(place)))
    fail(Code::invalid_argument,
         "event: tensorboard {}: it would be lost with the function; give the URI of a store",
         Uri::parse(place).display());
  const Results results(work);
  control::Lease lease(results.store(), results.lease_key(work.number), invocation.deadline);
  switch (lease.take(Deadline::in(invocation.deadline.seconds_left() - kMarginSeconds))) {
    case control::Lease::Taken::yes:
      // Retried although it had handed the job on: its time was over before it could report that.
      if (!control::Lease::was_taken(*results.store(), results.lease_key(work.number + 1))) break;
      lease.finish();
      return answer_of_another(work);
    case control::Lease::Taken::finished:
      return results.summary().value_or(answer_of_another(work));
    case control::Lease::Taken::no:
      return answer_of_another(work);
  }
  const double own_s = invocation.deadline.seconds_left() - kMarginSeconds;
  const double limit_s = work.options.real("deadline");
  const double left_s = limit_s == 0 ? own_s : std::min(own_s, limit_s - work.spent_s);
  // Another invocation of the trigger cannot access what this one keeps locally.
  if (options.text("checkpoint").empty())
    options.set("checkpoint", Option::Value(results.place().text()), "checkpoint");
  options.set("deadline", Option::Value(std::max(0.1, left_s)), "deadline");
  if (const double budget = options.real("budget"); budget > 0) {
    const job::Functions functions = job::functions_of(options);
    const job::RunningCost cost =
        job::running_cost(options, functions.memory_mb, functions.architecture);
    const double spent = work.number == 0 ? 0 : cost.after(work.spent_s);
    // What is spent already ends the job at once; 0 would be no limit.
    options.set("budget", Option::Value(std::max(1e-12, budget - spent)), "budget");
  }
  const Scratch scratch("lambdaml-run-");
  const std::filesystem::path output = scratch.path() / "run";
  options.set("output", Option::Value(output.string()), "output");
  LeaseKeeper keeper(lease);
  try {
    nlohmann::ordered_json summary = train_as(work.job_id, options, keeper);
    if (const auto warnings = summary.find("warnings"); warnings != summary.end())
      for (auto& warning : *warnings) {
        if (work.is_original) warning = job::in_words_of_original(warning.get<std::string>());
        log::warning("{}", warning.get<std::string>());
      }
    std::string answer = results.save(output, summary);
    lease.finish();
    return answer;
  } catch (const control::Superseded&) {
    return answer_of_another(work);
  } catch (const Error& error) {
    const std::optional<faas::OwnFunction> own = faas::own_function();
    // Before its own time is over, another limit of the job was reached.
    const bool in_time = left_s < own_s || clock.seconds() < own_s;
    if (error.code() != Code::limit_reached || in_time || !own) refuse(error, work.is_original);
    Work rest = work;
    rest.epoch = newest_epoch(options, work.job_id);
    if (rest.epoch <= work.epoch)
      fail(Code::limit_reached,
           "the trigger's time was over before the job had a checkpoint{}: give it more with "
           "--timeout-s, or the data to more workers",
           work.epoch > 0 ? fmt::format(" after that of epoch {}", work.epoch) : "");
    rest.spent_s += clock.seconds();
    ++rest.number;
    own->invoke(next_event(rest));
    lease.finish();
    return json_text(json{{"status", "to_be_continued"}, {"job_id", rest.job_id}});
  }
}

}  // namespace lambdaml::trigger
