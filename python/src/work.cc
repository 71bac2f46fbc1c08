#include "work.h"

#include <chrono>
#include <set>

#include <pybind11/stl.h>
#include <unistd.h>

#include "gil.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"

namespace lambdaml::python {

namespace py = pybind11;
using nlohmann::ordered_json;

void Progress::add(const ordered_json& event) {
  throw_if_interrupted();
  std::string text = json_text(event);
  const std::lock_guard lock(mutex_);
  events_.push_back(std::move(text));
  changed_.notify_all();
}

void Progress::set_state(ordered_json event) {
  throw_if_interrupted();
  const std::lock_guard lock(mutex_);
  if (event == state_) return;
  state_ = std::move(event);
  state_is_news_ = true;
}

void Progress::serving(const std::string& what, const std::string& url) {
  add({{"event", "serving"}, {"what", what}, {"url", url}});
}

void Progress::end(std::string result, std::exception_ptr error) {
  const std::lock_guard lock(mutex_);
  result_ = std::move(result);
  error_ = std::move(error);
  ended_ = true;
  changed_.notify_all();
}

bool Progress::ended() const {
  const std::lock_guard lock(mutex_);
  return ended_;
}

std::vector<std::string> Progress::wait(double seconds) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, std::chrono::duration<double>(seconds),
                    [this] { return ended_ || !events_.empty(); });
  std::vector<std::string> out = std::exchange(events_, {});
  if (std::exchange(state_is_news_, false)) out.push_back(json_text(state_));
  return out;
}

std::string Progress::result() const {
  const std::lock_guard lock(mutex_);
  if (!ended_) fail(Code::internal, "the job has not ended");
  if (error_) std::rethrow_exception(error_);
  return result_;
}

namespace {

/// Jobs of this process, under Python's lock.
std::set<Job*>& all_jobs() {
  static auto* jobs = new std::set<Job*>();
  return *jobs;
}
bool g_is_closing = false;

/// Ends all jobs: no worker outlives the interpreter.
void close() {
  g_is_closing = true;
  for (Job* job : all_jobs()) job->cancel();
  while (!all_jobs().empty()) {
    Job* job = *all_jobs().begin();
    all_jobs().erase(job);
    job->join();
  }
  stop_returns();
}

}  // namespace

Job::Job(Work work, std::vector<py::object> kept)
    : progress_(std::make_shared<Progress>()), kept_(std::move(kept)), process_(::getpid()) {
  require_whole_process();
  if (g_is_closing) fail(Code::cancelled, "a job cannot be started while the interpreter ends");
  thread_ = std::thread([progress = progress_, work = std::move(work)] {
    const AtWork at_work;
    const Cancellation::Scope scope(&progress->cancellation());
    try {
      progress->end(json_text(work(*progress)), nullptr);
    } catch (...) {
      progress->end("", std::current_exception());
    }
  });
  all_jobs().insert(this);
}

Job::~Job() {
  all_jobs().erase(this);
  if (::getpid() != process_) {
    // In a fork the thread is missing, and what it used is as it left it.
    thread_.detach();
    new std::shared_ptr<Progress>(progress_);
    return;
  }
  if (!thread_.joinable()) return;
  cancel();
  join();
}

std::vector<std::string> Job::wait(double seconds) {
  require_whole_process();
  std::vector<std::string> events = unlocked([&] { return progress_->wait(seconds); });
  if (progress_->ended()) join();
  return events;
}

void Job::join() {
  std::thread thread = std::move(thread_);
  if (thread.joinable()) unlocked([&] { thread.join(); });
}

void parse(Options& options, const Pairs& pairs) {
  for (const auto& [name, value] : pairs) options.parse(name, value, "argument " + name);
}

void add_work(py::module_& module) {
  py::class_<Job>(module, "Job")
      .def("wait", &Job::wait, py::arg("seconds"))
      .def("cancel", &Job::cancel)
      .def_property_readonly("ended", &Job::ended)
      .def("result", &Job::result);
  module.def("close", close);
}

}  // namespace lambdaml::python
