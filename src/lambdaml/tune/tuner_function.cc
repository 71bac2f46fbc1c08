#include "lambdaml/tune/tuner_function.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <optional>

#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/own_folder.h"
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
#include "lambdaml/tune/begin_search.h"
#include "lambdaml/tune/orders.h"
#include "lambdaml/tune/tuner.h"

namespace lambdaml::tune {
namespace {

using nlohmann::json;

/// What an invocation of the tuner has to do: begin a search, or continue one.
struct Work {
  std::optional<Search> search;  ///< to begin, unless an earlier delivery of the event has
  std::string records_uri;
  double deadline_s = 0;     ///< of the search, what is left; 0: none
  std::string chain;         ///< of invocations, by the request that began it
  std::uint64_t number = 0;  ///< of the invocation within the chain, from 0; "leg" in the event

  std::string lease_key(std::uint64_t of_number) const {
    return fmt::format("tuner/{}/{}", chain, of_number);
  }
};

Work first_work(const faas::Invocation& invocation) {
  Search search;
  read_search_text(invocation.payload, "event", search);
  job::read_environment(search.job);
  job::read_environment(search.settings, kEnvironment);
  Options& job = search.job;
  trigger::use_own_platform(job);
  search.id = job::id_of_request("tune-", invocation.request_id);
  return {search, place_of_records(search), search.settings.real("deadline"), search.id};
}

Work work_of(const faas::Invocation& invocation) {
  const json event = parse_json(invocation.payload);
  if (!event.is_object())
    fail(Code::invalid_argument, "event: not a JSON object with distinct names: '{}'",
         printable(invocation.payload, 60));
  if (!event.contains("search")) return first_work(invocation);
  if (!event["search"].is_string()) fail(Code::invalid_argument, "event: 'search' must be a URI");
  Work work;
  work.records_uri = event["search"].get<std::string>();
  if (event.contains("deadline_s") && event["deadline_s"].is_number())
    work.deadline_s = event["deadline_s"].get<double>();
  work.chain = job::id_of_request("tune-", invocation.request_id);
  if (event.contains("chain")) {
    const json& number = event.contains("leg") ? event["leg"] : json();
    if (!event["chain"].is_string() || !number.is_number_unsigned())
      fail(Code::invalid_argument, "event: 'chain' and 'leg' are not what a tuner hands on");
    work.chain = job::id_of_request("", event["chain"].get<std::string>());
    work.number = whole_number(number);
  }
  return work;
}

/// The event of the next invocation.
std::string next_event(const Work& work, const TunerLimits& limits) {
  json event{{"search", work.records_uri}, {"chain", work.chain}, {"leg", work.number + 1}};
  if (work.deadline_s > 0) event["deadline_s"] = std::max(0.001, limits.search.seconds_left());
  return json_text(event);
}

std::string answer(const char* state, const Work& work) {
  return json_text(json{{"state", state}, {"search", without_passwords(work.records_uri)}});
}
std::string to_be_continued(const Work& work) { return answer("running", work); }

/// The answer of an invocation that leaves the work to another one.
std::string answer_so_far(Records& records, const Work& work) {
  if (const std::optional<nlohmann::ordered_json> summary = records.summary())
    return json_text(*summary);
  return answer(is_stopped(records) ? "stopped" : "running", work);
}

/// Orders the search to run for a chain that an event begins, once: neither a retry of the event
/// nor a second delivery, which come here one after another, lifts a stop that came meanwhile.
void order_once(Records& records, const Work& work) {
  const std::string done = fmt::format("tuner/{}/ordered", work.chain);
  if (records.store().exists(done)) return;
  order_to_run(records, work.chain);
  records.store().save(done, {});
}

/// The time for ending and recording the trials and invoking the next tuner.
double margin_s(double left_s) {
  return std::clamp(0.1 * left_s, std::min(1.5, 0.4 * left_s), 15.0);
}

/// Renews the lease while the tuner works.
class LeaseKeeper : public Observer {
 public:
  explicit LeaseKeeper(control::Lease& lease) : lease_(lease) {}
  void changed(const View&) override { lease_.renew(); }

 private:
  control::Lease& lease_;
};

}  // namespace

std::string handle_tuner_event(const faas::Invocation& invocation) {
  const Stopwatch clock;
  const Work work = work_of(invocation);
  Records records(work.records_uri);
  if (!work.search && !records.search())
    fail(Code::not_found, "search {}: not found", Uri::parse(work.records_uri).display());
  control::Lease lease(records.shared_store(), work.lease_key(work.number), invocation.deadline);
  const double all_s = invocation.deadline.seconds_left();
  if (lease.take(Deadline::in(all_s - margin_s(all_s))) != control::Lease::Taken::yes)
    return answer_so_far(records, work);
  // Retried although it had handed the search on: its time was over before it could report that.
  if (control::Lease::was_taken(records.store(), work.lease_key(work.number + 1))) {
    lease.finish();
    return answer_so_far(records, work);
  }
  if (std::optional<Search> search = work.search)
    begin(*search, records);
  else if (work.number == 0)
    order_once(records, work);

  const double left_s = invocation.deadline.seconds_left();
  TunerLimits limits;
  limits.own_time = Deadline::in(std::max(0.1, left_s - margin_s(left_s)));
  if (work.deadline_s > 0) limits.search = Deadline::in(work.deadline_s - clock.seconds());
  const Scratch scratch("lambdaml-search-");
  LeaseKeeper keeper(lease);
  SearchResult result;
  try {
    result = run(records, scratch.path() / "search", work.chain, limits, keeper);
  } catch (const control::Superseded&) {
    // A duplicate of this event must not displace a tuner that has taken over.
    lease.finish();
    return to_be_continued(work);
  } catch (const control::Stopped&) {
    // As a failure it would be tried again.
    lease.finish();
    return answer("stopped", work);
  }
  if (result.end == TunerEnd::paused) {
    const std::optional<faas::OwnFunction> own = faas::own_function();
    if (!own)
      fail(Code::limit_reached,
           "the tuner's time is over, and it is no deployed function that could "
           "call itself; continue with: lambdaml tune --resume {}",
           Uri::parse(records.uri()).display());
    own->invoke(next_event(work, limits));
    log::info("to be continued by another invocation");
    lease.finish();
    return to_be_continued(work);
  }
  lease.finish();
  return json_text(*result.summary);
}

}  // namespace lambdaml::tune
