#include "lambdaml/tune/tuner_function.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <optional>

#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/secrets.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/uri.h"
#include "lambdaml/control/endings.h"
#include "lambdaml/control/lease.h"
#include "lambdaml/faas/host.h"
#include "lambdaml/job/job.h"
#include "lambdaml/job/job_file.h"
#include "lambdaml/storage/storage.h"
#include "lambdaml/trigger/reach.h"
#include "lambdaml/trigger/scratch.h"
#include "lambdaml/tune/tuner.h"

namespace lambdaml::tune {
namespace {

using nlohmann::json;

/// What an invocation of the tuner has to do: begin a search, or continue one.
struct Task {
  std::optional<Search> search;  ///< to begin, unless an earlier delivery of the event has
  std::string records_uri;
  double deadline_s = 0;  ///< of the search, what is left; 0: none
  std::string chain;      ///< of invocations, by the request that began it
  std::uint64_t leg = 0;  ///< how many invocations of the chain there were before

  std::string lease_key(std::uint64_t of_leg) const {
    return fmt::format("tuner/{}/{}", chain, of_leg);
  }
};

Task first_task(const faas::Invocation& invocation) {
  Search search;
  read_search_text(invocation.payload, "event", search);
  job::read_environment(search.job);
  job::read_environment(search.settings, kEnvironment);
  Options& job = search.job;
  trigger::use_own_platform(job);
  search.id = job::id_of_request("tune-", invocation.request_id);
  return {search, place_of_records(search), search.settings.real("deadline"), search.id};
}

Task task_of(const faas::Invocation& invocation) {
  const json event = parse_json(invocation.payload);
  if (!event.is_object())
    fail(Code::invalid_argument, "event: not a JSON object with distinct names: '{}'",
         printable(invocation.payload, 60));
  if (!event.contains("search")) return first_task(invocation);
  if (!event["search"].is_string()) fail(Code::invalid_argument, "event: 'search' must be a URI");
  Task task;
  task.records_uri = event["search"].get<std::string>();
  if (event.contains("deadline_s") && event["deadline_s"].is_number())
    task.deadline_s = event["deadline_s"].get<double>();
  task.chain = job::id_of_request("tune-", invocation.request_id);
  if (event.contains("chain")) {
    const json& leg = event.contains("leg") ? event["leg"] : json();
    if (!event["chain"].is_string() || !leg.is_number_unsigned())
      fail(Code::invalid_argument, "event: 'chain' and 'leg' are not what a tuner hands on");
    task.chain = job::id_of_request("", event["chain"].get<std::string>());
    task.leg = leg.get<std::uint64_t>();
  }
  return task;
}

/// The event of the next invocation.
std::string handed_on(const Task& task, const TunerLimits& limits) {
  json event{{"search", task.records_uri}, {"chain", task.chain}, {"leg", task.leg + 1}};
  if (task.deadline_s > 0) event["deadline_s"] = std::max(0.001, limits.search.seconds_left());
  return json_text(event);
}

std::string to_be_continued(const Task& task) {
  return json_text(json{{"state", "running"}, {"search", without_passwords(task.records_uri)}});
}

/// The time for ending and recording the trials and invoking the next tuner.
double margin_s(double left_s) {
  return std::clamp(0.1 * left_s, std::min(1.5, 0.4 * left_s), 15.0);
}

/// Signals that the tuner is alive.
class Watch : public Observer {
 public:
  explicit Watch(control::Lease& lease) : lease_(lease) {}
  void changed(const View&) override { lease_.renew(); }

 private:
  control::Lease& lease_;
};

}  // namespace

std::string handle_tuner_event(const faas::Invocation& invocation) {
  const Stopwatch clock;
  const Task task = task_of(invocation);
  Records records(task.records_uri);
  if (!task.search && !records.search())
    fail(Code::not_found, "search {}: not found", Uri::parse(task.records_uri).display());
  control::Lease lease(records.shared_store(), task.lease_key(task.leg), invocation.deadline);
  const double all_s = invocation.deadline.seconds_left();
  if (lease.take(Deadline::in(all_s - margin_s(all_s))) != control::Lease::Taken::yes)
    return records.summary().value_or(to_be_continued(task));
  // Retried although it had handed the search on: its time was over before it could report that.
  if (control::Lease::was_taken(records.store(), task.lease_key(task.leg + 1))) {
    lease.finish();
    return records.summary().value_or(to_be_continued(task));
  }
  if (std::optional<Search> search = task.search) begin(*search, records);

  const double left_s = invocation.deadline.seconds_left();
  TunerLimits limits;
  limits.own_time = Deadline::in(std::max(0.1, left_s - margin_s(left_s)));
  if (task.deadline_s > 0) limits.search = Deadline::in(task.deadline_s - clock.seconds());
  const trigger::Scratch scratch("lambdaml-search-");
  Watch watch(lease);
  Outcome outcome;
  try {
    outcome = run(records, scratch.path(), limits, watch);
  } catch (const control::Superseded&) {
    // A duplicate of this event must not displace a tuner that has taken over.
    lease.finish();
    return to_be_continued(task);
  }
  if (outcome.how == Outcome::How::paused) {
    const std::optional<faas::OwnFunction> own = faas::own_function();
    if (!own)
      fail(Code::limit_reached,
           "the tuner's time is over, and it is no deployed function that could "
           "call itself; continue with: lambdaml tune --resume {}",
           Uri::parse(records.uri()).display());
    own->invoke(handed_on(task, limits));
    log::info("to be continued by another invocation");
    outcome.summary = to_be_continued(task);
  }
  lease.finish();
  return outcome.summary;
}

}  // namespace lambdaml::tune
