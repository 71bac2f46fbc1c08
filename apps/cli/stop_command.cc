#include <memory>
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "apps/cli/command.h"
#include "lambdaml/base/deadline.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/uri.h"
#include "lambdaml/base/wait.h"
#include "lambdaml/report/search_now.h"
#include "lambdaml/tune/orders.h"
#include "lambdaml/tune/records.h"
#include "lambdaml/tune/search_folder.h"
#include "lambdaml/view/job_view.h"

namespace lambdaml::cli {
namespace {

/// A job without results may remove its record when it ends.
bool has_ended(const view::JobView& job) {
  try {
    return job.has_ended() || text_at(job.status(), "state") != "running";
  } catch (const Error& error) {
    if (error.code() == Code::not_found) return true;
    throw;
  }
}

/// Calls has_ended until it is so. Throws deadline_exceeded after so many seconds; `advice` ends
/// the message.
template <class HasEnded>
void wait_for_end(const std::string& what, double wait_s, const std::string& advice,
                  HasEnded&& has_ended) {
  const Deadline deadline = Deadline::in(wait_s);
  while (!has_ended()) {
    if (deadline.passed())
      fail(Code::deadline_exceeded, "{}: asked to stop, and not ended within {:g} s; {}", what,
           wait_s, advice);
    pause_for(0.1);
  }
}

/// Returns its id.
std::string stop_search(const std::string& place, double wait_s) {
  tune::Records records(tune::records_uri_of(place));
  const std::optional<tune::Search> search = records.search();
  if (!search) fail(Code::not_found, "search {}: its records are not there", place);
  if (tune::is_left(place) && tune::is_running(records))
    fail(Code::invalid_argument,
         "search {}: it is not running, its tuner was killed; continue with: lambdaml tune "
         "--resume {}",
         place, place);
  tune::request_stop(records);
  wait_for_end("search " + place, wait_s,
               "if its tuner was killed, nothing runs; it stays stopped until: lambdaml tune "
               "--resume " +
                   place,
               [&] { return !tune::is_running(records) || tune::is_left(place); });
  return search->id;
}

/// Returns its id.
std::string stop_job(const std::string& place, double wait_s) {
  const view::JobView job = view::JobView::open(place);
  job.stop();
  wait_for_end("run " + place, wait_s, "see: lambdaml status " + place,
               [&] { return has_ended(job); });
  return job.job_id();
}

}  // namespace

void add_stop_command(CLI::App& app, Globals& globals) {
  CLI::App* command =
      add_command(app, globals, "stop", "stop a running job or search; it can be resumed");
  struct Arguments {
    std::string run;
    double wait_s = 30;
  };
  const auto arguments = std::make_shared<Arguments>();
  command
      ->add_option("RUN", arguments->run,
                   "the folder of a run or search, CHECKPOINT-URI/JOB-ID, or the URI of a search's "
                   "records")
      ->required();
  command->add_option("--wait-s", arguments->wait_s, "how long to wait for its end, in s")
      ->check(CLI::NonNegativeNumber);
  command->callback([arguments, &globals] {
    const bool searches = report::is_search(arguments->run);
    const std::string id = searches ? stop_search(arguments->run, arguments->wait_s)
                                    : stop_job(arguments->run, arguments->wait_s);
    const char* const name = searches ? "search_id" : "job_id";
    if (globals.json)
      print_json(json_text(nlohmann::json{{name, id}, {"state", "stopped"}}));
    else
      print_line(fmt::format("{}: stopped", id));
  });
}

}  // namespace lambdaml::cli
