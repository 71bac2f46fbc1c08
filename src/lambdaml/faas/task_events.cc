#include "lambdaml/faas/task_events.h"

#include <utility>

#include "lambdaml/base/environment.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/text.h"

namespace lambdaml::faas {
namespace {

constexpr const char* kPlace = "LAMBDAML_EVENTS";
constexpr const char* kWait = "LAMBDAML_EVENTS_WAIT_S";
constexpr double kWait_s = 600;
constexpr std::string_view kOk = "ok", kFailed = "failed";

std::string event_key(std::size_t rank) { return fmt::format("{}/event", rank); }
std::string end_key(std::size_t rank) { return fmt::format("{}/end", rank); }

/// A line with how and which attempt, and the response or the failure.
std::string text_of(const TaskEnd& end) {
  const std::optional<Failure>& failure = end.outcome.failure;
  return fmt::format("{} {}\n{}", failure ? kFailed : kOk, end.attempt,
                     failure ? json_of(*failure) : end.outcome.response);
}

TaskEnd end_from(std::string_view text) {
  const std::size_t line = text.find('\n');
  const std::size_t space = text.substr(0, line).find(' ');
  const Failure damaged{std::string(to_string(Code::data_corrupt)), "it left no valid end", {}};
  if (line == std::string_view::npos || space == std::string_view::npos)
    return {std::string(text), {"", damaged}};
  TaskEnd end{std::string(text.substr(space + 1, line - space - 1)), {}};
  if (text.substr(0, space) == kOk)
    end.outcome.response = text.substr(line + 1);
  else
    end.outcome.failure = failure_from_json(text.substr(line + 1)).value_or(damaged);
  return end;
}

/// What the handler wants to be called with next; a task has one thread that handles events.
std::optional<std::string> g_next;

double wait_s() {
  const std::optional<std::string> text = environment_variable(kWait);
  if (!text) return kWait_s;
  const std::optional<std::int64_t> seconds = to_integer(*text);
  if (!seconds || *seconds < 0)
    fail(Code::invalid_argument, "{}={}: it is no number of seconds", kWait, printable(*text, 40));
  return static_cast<double>(*seconds);
}

}  // namespace

TaskEvents::TaskEvents(std::shared_ptr<storage::Storage> store,
                       const std::vector<std::string>& payloads)
    : store_(std::move(store)), tasks_(payloads.size()) {
  std::vector<std::string> ends, keys;
  std::vector<storage::Item> events;
  for (std::size_t rank = 0; rank < tasks_; ++rank) {
    ends.push_back(end_key(rank));
    keys.push_back(event_key(rank));
  }
  for (std::size_t rank = 0; rank < tasks_; ++rank)
    events.push_back({keys[rank], as_bytes(payloads[rank])});
  store_->remove_all(ends);  // of an earlier job at the same place
  try {
    store_->save_all(events);
  } catch (...) {
    remove();
    throw;
  }
}

TaskEvents::~TaskEvents() { remove(); }

void TaskEvents::remove() noexcept {
  try {
    std::vector<std::string> keys;
    for (std::size_t rank = 0; rank < tasks_; ++rank) {
      keys.push_back(event_key(rank));
      keys.push_back(end_key(rank));
    }
    store_->remove_all(keys);
  } catch (const std::exception& error) {
    log::warning("the events of the job's tasks remain in {}: {}", store_->describe(),
                 error.what());
  }
}

std::vector<std::optional<TaskEnd>> TaskEvents::ends(const std::vector<std::size_t>& ranks) {
  std::vector<std::string> keys;
  for (const std::size_t rank : ranks) keys.push_back(end_key(rank));
  std::vector<std::optional<TaskEnd>> out;
  for (const std::optional<Buffer>& text : store_->load_present(keys))
    out.push_back(text ? std::optional(end_from(text->text())) : std::nullopt);
  return out;
}

bool is_task() { return environment_variable(kPlace).has_value(); }

std::size_t rank_of_task(std::span<const char* const> variables) {
  std::vector<std::string> names;
  for (const char* name : variables) {
    names.emplace_back(name);
    const std::optional<std::string> text = environment_variable(name);
    if (!text) continue;
    const std::optional<std::int64_t> rank = to_integer(*text);
    if (!rank || *rank < 0)
      fail(Code::invalid_argument, "{}={}: the task's rank must be a number from 0", name,
           printable(*text, 40));
    return static_cast<std::size_t>(*rank);
  }
  fail(
      Code::invalid_argument,
      "{} is set, but none of the variables that tell a task its rank ({}): run it as a task of an "
      "array job",
      kPlace, join(names, ", "));
}

void continue_task(const std::string& payload) { g_next = payload; }

int serve_task(const Handler& handler, std::span<const char* const> rank_variables) {
  const std::size_t rank = rank_of_task(rank_variables);
  const auto store = storage::open(environment_variable(kPlace).value_or(""));
  const double limit_s = wait_s();
  log::info("task {}: its event is in {}", rank, store->describe());
  Buffer event;
  try {
    event = store->load_or_wait(event_key(rank), Deadline::in(limit_s));
  } catch (const storage::MissingKeys&) {
    fail(Code::not_found,
         "no event for task {} in {} after {:g} s: start the job with lambdaml train --platform "
         "array, --events with that place, and one task for each worker",
         rank, store->describe(), limit_s);
  }
  g_next = std::string(event.text());
  Outcome outcome;
  while (g_next) {
    Invocation invocation;
    invocation.request_id = new_request_id();
    invocation.payload = *std::exchange(g_next, std::nullopt);
    outcome = outcome_of(handler, invocation);
  }
  store->save(end_key(rank), as_bytes(text_of({new_request_id(), outcome})));
  return outcome.failure && is_worth_a_retry(outcome.failure->type) ? 1 : 0;
}

}  // namespace lambdaml::faas
