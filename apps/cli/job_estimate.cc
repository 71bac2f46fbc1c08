#include "apps/cli/job_estimate.h"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <string_view>

#include <nlohmann/json.hpp>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lambdaml/aws/environment.h"
#include "lambdaml/base/deadline.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/interrupt.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/own_folder.h"
#include "lambdaml/base/parallel.h"
#include "lambdaml/base/uri.h"
#include "lambdaml/cost/cost.h"
#include "lambdaml/faas/registry.h"
#include "lambdaml/faas/runtime.h"
#include "lambdaml/job/job.h"
#include "lambdaml/plan/estimate.h"
#include "lambdaml/sim/profile.h"

namespace lambdaml::cli {
namespace {

using nlohmann::json;

/// A job's start is not held up for longer: where a budget is to be kept, and where it is not.
constexpr double kMost_s = 8, kMostWithoutBudget_s = 2;

bool has_remote_functions(const Options& job) {
  const faas::Plugin& platform = faas::registry().get(job.text("platform"));
  return platform.remote && !platform.billed_as.empty();
}

/// Whether requests to the job's channel cost money, and no server stands in for its service.
bool has_metered_channel(const Options& job) {
  if (!job.is_set("channel")) return false;
  if (job.text("channel").find("://") == std::string::npos) return false;
  const Uri channel = Uri::parse(job.text("channel"));
  if (channel.query.contains("endpoint")) return false;
  const std::string& scheme = channel.scheme;
  storage::Usage one;
  one.put.requests = 1;
  one.write_units = 1;
  return cost::Prices::current().of_requests({{scheme, one}}, faas::own_region()) > 0 &&
         aws::configured_endpoint(scheme).empty();
}

/// Whether something of the job is billed.
bool costs_money(const Options& job) {
  if (has_remote_functions(job)) return aws::configured_endpoint("lambda").empty();
  return has_metered_channel(job);
}

/// Processes of this machine in the place of functions.
void put_functions_here(sim::FunctionProfile& functions) {
  constexpr double kInvoke_s = 0.001, kStart_s = 0.04;
  functions.host_processors = static_cast<double>(processors());
  functions.least_mb = 1;
  functions.most_mb = 1 << 20;
  functions.mb_per_processor = 1;
  functions.invoke = sim::Latency::always(kInvoke_s);
  functions.cold_start = sim::Latency::always(kStart_s);
}

/// By the built-in profile of the job's functions if `profile_name` is empty.
json estimate_here(Options job, const std::string& profile_name) {
  const faas::Plugin& platform = faas::registry().get(job.text("platform"));
  const job::Functions functions = job::functions_of(job);
  if (functions.memory_mb != job.integer("memory_mb"))
    job.set("memory_mb", Option::Value(functions.memory_mb), "memory_mb");
  sim::Profile profile = sim::Profile::open(
      profile_name.empty() ? sim::Profile::built_in_for(platform.remote ? functions.architecture
                                                                        : faas::own_architecture())
                           : profile_name);
  if (profile_name.empty() && !platform.remote && !platform.deployed_function)
    put_functions_here(profile.functions);
  const std::optional<plan::Estimate> found = plan::estimate(job, profile);
  if (!found) return nullptr;
  return {{"seconds", found->seconds},
          {"usd", found->usd},
          {"servers_usd", found->servers_usd},
          {"channel", found->channel},
          {"by", found->profile}};
}

/// In the child: what there is to say, as JSON.
std::string answer_of(const Options& job, const std::string& profile) {
  try {
    return json_text(estimate_here(job, profile));
  } catch (const Error& error) {
    return json_text(json{{"error", error.what()}, {"code", to_string(error.code())}});
  } catch (const std::exception& error) {
    return json_text(json{{"error", error.what()}, {"code", to_string(Code::internal)}});
  }
}

void write_all(int to, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(to, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
}

/// All that comes until the other end is closed; what came so far if that takes too long.
std::string read_all(int from, Deadline deadline) {
  std::string out;
  char part[4096];
  while (!deadline.passed()) {
    pollfd ready{.fd = from, .events = POLLIN, .revents = 0};
    constexpr int kStep_ms = 50;
    if (interrupted()) break;
    if (::poll(&ready, 1, kStep_ms) <= 0) continue;
    const ssize_t n = ::read(from, part, sizeof part);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return out;
    out.append(part, static_cast<std::size_t>(n));
  }
  return {};
}

std::string answer_of_child(const Options& job, const std::string& profile) {
  const Scratch scratch("lambdaml-estimate-");  // also of what the child leaves when it is ended
  int ends[2];
  if (::pipe(ends) != 0) return {};
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(ends[0]);
    ::setenv("TMPDIR", scratch.path().c_str(), 1);
    log::configure(log::Level::off, log::Format::text);
    write_all(ends[1], answer_of(job, profile));
    std::_Exit(0);
  }
  ::close(ends[1]);
  std::string answer;
  if (child > 0) {
    const bool decides = !profile.empty() || job.real("budget") > 0;
    answer = read_all(ends[0], Deadline::in(decides ? kMost_s : kMostWithoutBudget_s));
    ::kill(child, SIGKILL);
    while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  ::close(ends[0]);
  return answer;
}

}  // namespace

std::optional<Expectation> estimate_of(const Options& job, const std::string& how) {
  const bool is_wanted = how != kEstimateAuto;
  if (how == kEstimateNone || (!is_wanted && !costs_money(job))) return {};
  if (is_wanted) sim::Profile::open(how);  // its errors come first
  const std::string answer = answer_of_child(job, is_wanted ? how : "");
  throw_if_interrupted();
  const json found = answer.empty() ? json() : parse_json(answer);
  if (found.is_object() && found.contains("error")) {
    if (is_wanted) throw Error(code_from_string(text_at(found, "code")), text_at(found, "error"));
    return {};
  }
  if (!found.is_object()) {
    if (is_wanted)
      fail(Code::invalid_argument,
           "train: there is no quick estimate of this job; lambdaml simulate takes longer for one");
    return {};
  }
  Expectation out;
  out.seconds = out.seconds_p10 = out.seconds_p90 = number_at(found, "seconds");
  out.usd = out.usd_p90 = number_at(found, "usd");
  out.servers_usd = number_at(found, "servers_usd");
  out.channel = text_at(found, "channel");
  out.by = "profile " + text_at(found, "by");
  return out;
}

}  // namespace lambdaml::cli
