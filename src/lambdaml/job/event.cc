#include "lambdaml/job/event.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "lambdaml/base/checksum.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/text.h"
#include "lambdaml/job/job_file.h"
#include "lambdaml/job/options.h"

namespace lambdaml::job {
namespace {

using nlohmann::json;

json parse_object(std::string_view text) {
  json object = parse_json(text);
  if (!object.is_object())
    fail(Code::invalid_argument, "event: not a JSON object with distinct names: '{}'",
         printable(text, 60));
  return object;
}

const json& member(const json& object, const char* key) {
  const auto it = object.find(key);
  if (it == object.end()) fail(Code::invalid_argument, "event: the key '{}' is missing", key);
  return *it;
}

std::string required_text(const json& object, const char* key) {
  const json& value = member(object, key);
  if (!value.is_string()) fail(Code::invalid_argument, "event: '{}' must be a text", key);
  return value.get<std::string>();
}

bool required_flag(const json& object, const char* key) {
  const json& value = member(object, key);
  if (!value.is_boolean()) fail(Code::invalid_argument, "event: '{}' must be true or false", key);
  return value.get<bool>();
}

std::uint64_t required_count(const json& object, const char* key, std::uint64_t limit) {
  const json& value = member(object, key);
  if (!value.is_number_integer() || value < 0 || value.get<std::uint64_t>() > limit)
    fail(Code::invalid_argument, "event: '{}' must be a whole number from 0 to {}", key, limit);
  return value.get<std::uint64_t>();
}

constexpr const char* kOwnPart = "part";
constexpr const char* kOwnTestPart = "test_part";
constexpr const char* kModelFile = "definition";
constexpr const char* kInitialModel = "init";
constexpr const char* kPredictor = "model";
constexpr const char* kOwnParts = "parts";
constexpr const char* kPlan = "plan";
/// More parts of a prepared set than any command makes.
constexpr std::size_t kMostParts = 1'000'000;

constexpr const char* kPartRows = "part_rows";
/// Encodes the same as `[[rows, parts], …]`: events for hundreds of workers list hundreds of parts,
/// most of which have as many rows as their neighbours.
constexpr const char* kRunsOfParts = "part_row_runs";
constexpr std::size_t kMostPartsOneByOne = 64;

/// A manifest without what only readers of other parts need; there may be thousands of parts.
json facts_of(const data::Manifest& manifest) {
  json facts = manifest.facts();
  if (manifest.parts() <= kMostPartsOneByOne) return facts;
  json runs = json::array();
  for (const std::uint64_t rows : manifest.part_rows) {
    if (runs.empty() || runs.back()[0] != rows) runs.push_back({rows, 0});
    runs.back()[1] = runs.back()[1].get<std::uint64_t>() + 1;
  }
  if (2 * runs.size() >= manifest.parts()) return facts;
  facts.erase(kPartRows);
  facts[kRunsOfParts] = std::move(runs);
  return facts;
}

/// Parses the result of facts_of(); at most that many parts.
data::Manifest manifest_from(json facts, std::size_t most_parts, const char* what) {
  const auto runs = facts.is_object() ? facts.find(kRunsOfParts) : facts.end();
  if (runs == facts.end()) return data::Manifest::from_facts(std::move(facts), what);
  json rows = json::array();
  for (const json& run : *runs) {
    // Nothing but numbers is written out many times.
    const bool fits = run.is_array() && run.size() == 2 && run[0].is_number_unsigned() &&
                      run[1].is_number_unsigned() &&
                      run[1].get<std::uint64_t>() <= most_parts - rows.size();
    if (!fits)
      fail(Code::invalid_argument, "{}: '{}' is not of at most {} parts", what, kRunsOfParts,
           most_parts);
    rows.insert(rows.end(), run[1].get<std::size_t>(), run[0]);
  }
  facts.erase(runs);
  facts[kPartRows] = std::move(rows);
  return data::Manifest::from_facts(std::move(facts), what);
}

void put(json& object, const char* key, const std::optional<data::Content>& content) {
  if (content)
    object[key] = {{"bytes", content->bytes}, {"checksum", checksum_text(content->checksum)}};
}

std::optional<data::Content> content_at(const json& object, const char* key) {
  const auto at = object.find(key);
  if (at == object.end()) return {};
  const std::optional<std::uint64_t> sum = checksum_from(text_at(*at, "checksum"));
  if (!sum || !at->contains("bytes"))
    fail(Code::invalid_argument, "event: '{}' must have bytes and a checksum", key);
  return data::Content{required_count(*at, "bytes", 1ULL << 53), *sum};
}

/// A job's id becomes part of keys and file names.
std::string job_id_at(const json& object) {
  std::string id = required_text(object, "job_id");
  const bool plain =
      !id.empty() && id.size() <= 100 &&
      id.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") ==
          std::string::npos &&
      id.find_first_not_of('.') != std::string::npos;
  if (!plain)
    fail(Code::invalid_argument,
         "event: 'job_id' must be 1 to 100 letters, digits, '-', '_' or '.'");
  return id;
}

}  // namespace

std::string to_json(const TrainEvent& event) {
  json object{{"task", "train"},
              {"job_id", event.job_id},
              {"worker_index", event.worker},
              {"options", to_json(event.options)},
              {"data", facts_of(event.data)},
              {"data_uri", event.data_uri},
              {"sent_ms", event.sent_ms},
              {"resume", event.resume}};
  if (event.test) object["test"] = facts_of(*event.test);
  put(object, kOwnPart, event.part);
  put(object, kOwnTestPart, event.test_part);
  put(object, kModelFile, event.definition);
  put(object, kInitialModel, event.init);
  if (!event.test_uri.empty()) object["test_uri"] = event.test_uri;
  if (event.resume_round) object["resume_round"] = *event.resume_round;
  if (!event.start.empty()) object["start"] = event.start;
  return json_text(object);
}

std::string to_json(const BenchCommEvent& event) {
  return json_text(json{{"task", "bench_comm"},
                        {"job_id", event.job_id},
                        {"worker_index", event.worker},
                        {"workers", event.workers},
                        {"channel", event.channel},
                        {"sync_mode", event.sync_mode},
                        {"values", event.values},
                        {"rounds", event.rounds},
                        {"patience_s", event.patience_s}});
}

std::string to_json(const CalibrateEvent& event) {
  return json_text(json{{"task", "calibrate"},
                        {"job_id", event.job_id},
                        {"worker_index", event.worker},
                        {"workers", event.workers},
                        {"channel", event.channel},
                        {"remote", event.remote},
                        {"seconds", event.seconds},
                        {"most_requests", event.most_requests},
                        {"patience_s", event.patience_s},
                        {"sent_ms", event.sent_ms}});
}

std::string to_json(const PredictEvent& event) {
  json object{{"task", "predict"},
              {"job_id", event.job_id},
              {"worker_index", event.worker},
              {"workers", event.workers},
              {"channel", event.channel},
              {"remote", event.remote},
              {"data", facts_of(event.data)},
              {"data_uri", event.data_uri},
              {"to", event.to},
              {"out_format", event.out_format},
              {"probabilities", event.probabilities},
              {"scores", event.scores},
              {"ignore_labels", event.ignore_labels},
              {"sent_ms", event.sent_ms}};
  put(object, kPredictor, event.model);
  json& parts = object[kOwnParts] = json::array();
  for (const data::Content& content : event.parts) put(parts.emplace_back(), kOwnPart, content);
  return json_text(object);
}

std::string to_json(const PrepareEvent& event) {
  json object{
      {"task", "prepare"},        {"job_id", event.job_id},         {"worker_index", event.worker},
      {"workers", event.workers}, {"channel", event.channel},       {"remote", event.remote},
      {"to", event.to},           {"for_job", event.for_job},       {"prefix", event.prefix},
      {"as", event.as},           {"patience_s", event.patience_s}, {"sent_ms", event.sent_ms}};
  put(object, kPlan, event.plan);
  return json_text(object);
}

std::string task_of(std::string_view text) {
  static const std::vector<std::string> tasks = {"train", "bench_comm", "calibrate", "predict",
                                                 "prepare"};
  const json object = parse_object(text);
  const std::string task = object.contains("task") ? required_text(object, "task") : tasks[0];
  if (std::ranges::find(tasks, task) == tasks.end())
    fail(Code::invalid_argument, "event: unknown task '{}'{}", printable(task),
         did_you_mean(task, tasks));
  return task;
}

TrainEvent train_event_from_json(std::string_view text) {
  const json object = parse_object(text);
  TrainEvent event;
  event.job_id = job_id_at(object);
  event.options = job_options();
  const json& options = member(object, "options");
  from_json(options, "event: options", event.options);
  event.worker =
      static_cast<std::uint32_t>(required_count(object, "worker_index", event.workers() - 1));
  event.data = manifest_from(member(object, "data"), event.workers(), "event: data");
  if (event.data.parts() != event.workers())
    fail(Code::invalid_argument, "event: {} parts of data for {} workers", event.data.parts(),
         event.workers());
  if (object.contains("data_uri")) event.data_uri = required_text(object, "data_uri");
  if (object.contains("test"))
    event.test = manifest_from(object["test"], event.workers(), "event: test");
  if (object.contains("test_uri")) event.test_uri = required_text(object, "test_uri");
  event.part = content_at(object, kOwnPart);
  event.test_part = content_at(object, kOwnTestPart);
  event.definition = content_at(object, kModelFile);
  event.init = content_at(object, kInitialModel);
  if (object.contains("resume")) {
    if (!object["resume"].is_boolean())
      fail(Code::invalid_argument, "event: 'resume' must be true or false");
    event.resume = object["resume"].get<bool>();
  }
  if (object.contains("resume_round"))
    event.resume_round = required_count(object, "resume_round", 1ULL << 53);
  if (object.contains("start")) event.start = required_text(object, "start");
  if (object.contains("sent_ms"))
    event.sent_ms = static_cast<std::int64_t>(required_count(object, "sent_ms", 1ULL << 53));
  return event;
}

namespace {

/// The worker's place in its job, and where the workers meet.
template <class Event>
void read_membership(const json& object, Event& event) {
  event.job_id = job_id_at(object);
  event.workers = static_cast<std::uint32_t>(required_count(object, "workers", 10000));
  if (event.workers == 0) fail(Code::invalid_argument, "event: 'workers' must be at least 1");
  event.worker =
      static_cast<std::uint32_t>(required_count(object, "worker_index", event.workers - 1));
  event.channel = required_text(object, "channel");
}

double seconds_at(const json& object, const char* name) {
  const json& seconds = member(object, name);
  if (!seconds.is_number() || !(seconds.get<double>() > 0))
    fail(Code::invalid_argument, "event: '{}' must be a number above 0", name);
  return seconds.get<double>();
}

double patience_at(const json& object) { return seconds_at(object, "patience_s"); }

}  // namespace

BenchCommEvent bench_comm_event_from_json(std::string_view text) {
  const json object = parse_object(text);
  BenchCommEvent event;
  read_membership(object, event);
  event.sync_mode = required_text(object, "sync_mode");
  event.values = required_count(object, "values", 1ULL << 32);
  event.rounds = required_count(object, "rounds", 1ULL << 32);
  event.patience_s = patience_at(object);
  return event;
}

CalibrateEvent calibrate_event_from_json(std::string_view text) {
  const json object = parse_object(text);
  CalibrateEvent event;
  read_membership(object, event);
  event.remote = required_flag(object, "remote");
  event.seconds = seconds_at(object, "seconds");
  event.most_requests = required_count(object, "most_requests", 1ULL << 53);
  event.patience_s = patience_at(object);
  event.sent_ms = static_cast<std::int64_t>(required_count(object, "sent_ms", 1ULL << 53));
  return event;
}

PrepareEvent prepare_event_from_json(std::string_view text) {
  const json object = parse_object(text);
  PrepareEvent event;
  read_membership(object, event);
  event.remote = required_flag(object, "remote");
  event.to = required_text(object, "to");
  event.for_job = required_text(object, "for_job");
  event.prefix = required_text(object, "prefix");
  event.as = required_text(object, "as");
  event.patience_s = patience_at(object);
  event.sent_ms = static_cast<std::int64_t>(required_count(object, "sent_ms", 1ULL << 53));
  const std::optional<data::Content> plan = content_at(object, kPlan);
  if (!plan) fail(Code::invalid_argument, "event: the key '{}' is missing", kPlan);
  event.plan = *plan;
  return event;
}

PredictEvent predict_event_from_json(std::string_view text) {
  const json object = parse_object(text);
  PredictEvent event;
  read_membership(object, event);
  event.remote = required_flag(object, "remote");
  event.data = manifest_from(member(object, "data"), kMostParts, "event: data");
  event.data_uri = required_text(object, "data_uri");
  event.to = required_text(object, "to");
  event.out_format = required_text(object, "out_format");
  event.probabilities = required_flag(object, "probabilities");
  event.scores = required_flag(object, "scores");
  event.ignore_labels = required_flag(object, "ignore_labels");
  event.sent_ms = static_cast<std::int64_t>(required_count(object, "sent_ms", 1ULL << 53));
  const std::optional<data::Content> model = content_at(object, kPredictor);
  if (!model) fail(Code::invalid_argument, "event: the key '{}' is missing", kPredictor);
  event.model = *model;
  const json& parts = member(object, kOwnParts);
  if (!parts.is_array()) fail(Code::invalid_argument, "event: '{}' must be a list", kOwnParts);
  for (const json& part : parts) {
    const auto content = part.is_object() ? content_at(part, kOwnPart) : std::nullopt;
    if (!content)
      fail(Code::invalid_argument, "event: '{}' must have a '{}' each", kOwnParts, kOwnPart);
    event.parts.push_back(*content);
  }
  const std::size_t own =
      event.worker < event.data.parts()
          ? (event.data.parts() - event.worker + event.workers - 1) / event.workers
          : 0;
  if (!event.parts.empty() && event.parts.size() != own)
    fail(Code::invalid_argument, "event: '{}' has {} parts and the worker has {}", kOwnParts,
         event.parts.size(), own);
  return event;
}

}  // namespace lambdaml::job
