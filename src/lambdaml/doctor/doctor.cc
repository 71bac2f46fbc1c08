#include "lambdaml/doctor/doctor.h"

#include <algorithm>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>

#include <fmt/format.h>

#include "lambdaml/base/deadline.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/interrupt.h"
#include "lambdaml/comm/registry.h"
#include "lambdaml/doctor/checks.h"
#include "lambdaml/faas/registry.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::doctor {
namespace {

/// After its waits were cancelled, how long a check may take to notice.
constexpr double kNotice_s = 1;
using std::string_literals::operator""s;

/// A check on a thread of its own, which may outlive its caller.
struct Running {
  std::mutex mutex;  ///< guards what follows
  std::condition_variable changed;
  bool ended = false;
  Check check;
  Cancellation cancellation;
};

void run(Check& check, const std::function<void(Check&)>& body) {
  const Stopwatch watch;
  try {
    body(check);
  } catch (const std::exception& error) {
    check.state = Check::State::failed;
    check.detail = error.what();
    if (check.advice.empty()) check.advice = advice_for(code_of(error));
  }
  check.seconds = watch.seconds();
}

/// Runs a check within the time limit; false if it hangs.
bool run_bounded(Check& check, std::function<void(Check&)> body) {
  const auto running = std::make_shared<Running>();
  std::thread([running, check, body = std::move(body)]() mutable {
    const Cancellation::Scope scope(&running->cancellation);
    run(check, body);
    const std::lock_guard lock(running->mutex);
    running->check = std::move(check);
    running->ended = true;
    running->changed.notify_all();
  }).detach();
  std::unique_lock lock(running->mutex);
  const auto ends_within = [&](double limit_s) {
    const Deadline deadline = Deadline::in(limit_s);
    while (!running->ended && !deadline.passed()) {
      running->changed.wait_for(lock, std::chrono::milliseconds(50));
      if (interrupted()) running->cancellation.cancel();
      throw_if_interrupted();
    }
    return running->ended;
  };
  const bool in_time = ends_within(kCheck_s);
  if (!in_time) running->cancellation.cancel();
  const bool ended = in_time || ends_within(kNotice_s);
  if (in_time) {
    check = running->check;
    return true;
  }
  check.state = Check::State::failed;
  check.detail = fmt::format("no end after {:g} s", kCheck_s);
  check.advice = advice_for(Code::unavailable);
  check.seconds = kCheck_s;
  return ended;
}

class Examiner {
 public:
  explicit Examiner(const std::function<void(const Check&)>& done) : done_(done) {}

  void add(const std::string& name, bool needed, std::function<void(Check&)> body) {
    Check check{.name = name, .needed = needed, .detail = {}, .advice = {}};
    if (!run_bounded(check, std::move(body))) out_.hangs = true;
    if (check.state == Check::State::failed && !needed) check.state = Check::State::warning;
    done_(check);
    out_.checks.push_back(std::move(check));
  }

  Examination take() { return std::move(out_); }

 private:
  const std::function<void(const Check&)>& done_;
  Examination out_;
};

}  // namespace

std::string to_string(Check::State state) {
  switch (state) {
    case Check::State::ok:
      return "ok";
    case Check::State::warning:
      return "warning";
    case Check::State::failed:
      return "failed";
    case Check::State::skipped:
      return "skipped";
  }
  return {};
}

bool Examination::passed() const {
  return std::ranges::none_of(
      checks, [](const Check& check) { return check.state == Check::State::failed; });
}

Examination examine(const Options& job, const std::function<void(const Check&)>& done) {
  const faas::Plugin& platform = faas::registry().get(job.text("platform"));
  const bool starts_processes = platform.separate_processes && !platform.remote;
  // By its bare name, a store is at its default place on this machine.
  const bool meets_here = !job.is_set("channel") || job.text("channel") == "file";
  Examiner all(done);
  all.add("programs", true, check_programs);
  all.add("worker", starts_processes, check_worker);
  all.add("deep models", false, check_deep_models);
  all.add("shared memory", meets_here && !platform.remote, check_shared_memory);
  if (starts_processes) all.add("memory", true, [job](Check& check) { check_memory(check, job); });
  all.add("file descriptors", true, check_descriptors);
  all.add("output folder", true, [job](Check& check) { check_output(check, job); });
  // Functions of other platforms have what their hosts give them.
  all.add("credentials", platform.remote && !platform.billed_as.empty(), check_credentials);
  if (platform.examine)
    all.add("platform", true, [job](Check& check) { check_platform(check, job); });
  const comm::Plugin* mode = comm::registry().find(job.text("sync_mode"));
  const std::string creates = mode != nullptr && mode->creates ? "sync_mode " + mode->name : "";
  for (const auto& [name, needs] : {std::pair("channel", creates), std::pair("checkpoint", ""s)})
    if (job.is_set(name) && !job.text(name).empty())
      all.add(name, true, [uri = job.text(name), needs = needs](Check& check) {
        check_store(check, uri, needs);
      });
  for (const auto& [option, name] :
       {std::pair("data", "data"), std::pair("test_data", "test data")})
    if (job.is_set(option) && !job.text(option).empty())
      all.add(name, true, [place = job.text(option)](Check& check) { check_data(check, place); });
  all.add("clock", true, check_clock);
  return all.take();
}

}  // namespace lambdaml::doctor
