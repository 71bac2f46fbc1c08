#include "lambdaml/tune/tuner_function.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>

#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/uri.h"
#include "lambdaml/faas/lambda_client.h"
#include "lambdaml/storage/storage.h"
#include "lambdaml/train/job.h"
#include "lambdaml/train/remote.h"
#include "lambdaml/tune/tuner.h"

namespace lambdaml::tune {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

struct Begun {
  std::string records_uri;
  double deadline_s = 0;  ///< of the search, what is left; 0: none
};

/// Begins the search that the event describes, unless an earlier delivery of it has.
Begun begin_from(const faas::Invocation& invocation) {
  Search search;
  read_search_text(invocation.payload, "event", search);
  train::read_environment(search.job);
  train::read_environment(search.settings, kEnvironment);
  Options& job = search.job;
  if (!job.is_set("platform")) job.set("platform", Option::Value(std::string("aws")), "platform");
  if (job.text("function").empty())
    job.set("function", Option::Value(std::string("lambdaml-worker")), "function");
  search.id = train::id_of_request("tune-", invocation.request_id);
  Records records(place_of_records(search));
  begin(search, records);
  return {records.uri(), search.settings.real("deadline")};
}

}  // namespace

std::string handle_tuner_event(const faas::Invocation& invocation) {
  const Stopwatch clock;
  const json event = parse_json(invocation.payload);
  if (!event.is_object())
    fail(Code::invalid_argument, "event: not a JSON object: '{}'",
         printable(invocation.payload, 60));
  Begun begun;
  if (event.contains("search")) {
    if (!event["search"].is_string()) fail(Code::invalid_argument, "event: 'search' must be a URI");
    begun.records_uri = event["search"].get<std::string>();
    if (event.contains("deadline_s") && event["deadline_s"].is_number())
      begun.deadline_s = event["deadline_s"].get<double>();
  } else {
    begun = begin_from(invocation);
  }

  Records records(begun.records_uri);
  if (!records.search())
    fail(Code::not_found, "search {}: there is none", Uri::parse(begun.records_uri).display());
  // What it takes to end the trials, to record them and to call the next one.
  const double left_s = invocation.deadline.seconds_left();
  const double margin_s = std::clamp(0.1 * left_s, std::min(1.5, 0.4 * left_s), 15.0);
  TunerLimits limits;
  limits.own_time = Deadline::in(std::max(0.1, left_s - margin_s));
  if (begun.deadline_s > 0) limits.search = Deadline::in(begun.deadline_s - clock.seconds());

  const fs::path runs = fs::temp_directory_path() / ("lambdaml-search-" + train::new_job_id());
  struct Remover {
    const fs::path& path;
    ~Remover() {
      std::error_code ignored;
      fs::remove_all(path, ignored);
    }
  } const remover{runs};
  Observer nobody;
  const Outcome outcome = run(records, runs, limits, nobody);
  if (outcome.how == Outcome::How::finished) return outcome.summary;
  if (outcome.how == Outcome::How::limit) fail(Code::limit_reached, "{}", outcome.limit);

  json next{{"search", records.uri()}};
  if (begun.deadline_s > 0) next["deadline_s"] = std::max(0.001, limits.search.seconds_left());
  const char* name = std::getenv("AWS_LAMBDA_FUNCTION_NAME");
  if (name == nullptr)
    fail(Code::limit_reached,
         "the tuner's time is over, and it is no deployed function that could "
         "call itself; go on with: lambdaml tune --resume {}",
         Uri::parse(records.uri()).display());
  faas::LambdaClient().invoke_all_events(name, std::array{json_text(next)});
  log::info("to be continued by another invocation");
  return json_text(
      json{{"state", "running"}, {"search", Uri::parse(records.uri()).without_password().text()}});
}

}  // namespace lambdaml::tune
