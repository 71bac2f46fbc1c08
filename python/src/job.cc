#include "job.h"

#include <atomic>
#include <condition_variable>
#include <exception>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>
#include <pybind11/stl.h>
#include <unistd.h>

#include "dataset.h"
#include "gil.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/interrupt.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/uri.h"
#include "lambdaml/job/given.h"
#include "lambdaml/job/job_file.h"
#include "lambdaml/job/options.h"
#include "lambdaml/predict/quality.h"
#include "lambdaml/trigger/prediction.h"
#include "lambdaml/trigger/trigger.h"
#include "lambdaml/tune/search.h"

/// A job runs on a thread of its own, so that the thread that waits for it can serve Python's
/// signals and callbacks: the engine never calls Python. What happens is a list of events, JSON
/// texts, that wait() hands over.
namespace lambdaml::python {
namespace {

namespace py = pybind11;
using nlohmann::ordered_json;

/// What the job's thread and its owner share.
class Progress final : public trigger::Observer {
 public:
  void starting(const trigger::JobStart& job) override {
    add(ordered_json{{"event", "start"},
                     {"job_id", job.job_id},
                     {"folder", std::filesystem::absolute(job.folder).string()},
                     {"model", job.model},
                     {"optimizer", job.optimizer},
                     {"rows", job.rows},
                     {"features", job.features},
                     {"workers", job.workers},
                     {"epochs", job.epochs},
                     {"memory_mb", job.memory_mb}});
  }
  void epoch_done(const job::EpochMetrics& metrics) override {
    ordered_json values = ordered_json::object();
    for (const auto& [name, value] : metrics.values) values[name] = value;
    add(ordered_json{{"event", "epoch"}, {"epoch", metrics.epoch}, {"metrics", values}});
  }
  void tick(std::uint32_t workers_alive, std::uint64_t epoch, std::uint64_t round,
            std::uint64_t rounds) override {
    throw_if_interrupted();
    const Tick now{workers_alive, epoch, round, rounds};
    const std::lock_guard lock(mutex_);
    if (now == tick_) return;
    tick_ = now;
    tick_is_news_ = true;
  }
  void worker_failed(std::size_t worker, const faas::EventStatus& status, bool again) override {
    add(ordered_json{{"event", "worker_failed"},
                     {"worker", worker},
                     {"attempts", status.attempts},
                     {"error", status.error_message},
                     {"again", again}});
  }

  void end(std::string result, std::exception_ptr error) {
    const std::lock_guard lock(mutex_);
    result_ = std::move(result);
    error_ = std::move(error);
    ended_ = true;
    changed_.notify_all();
  }
  bool ended() const {
    const std::lock_guard lock(mutex_);
    return ended_;
  }
  /// The events since the last call: waits for some, or for the end.
  std::vector<std::string> wait(double seconds) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::duration<double>(seconds),
                      [this] { return ended_ || !events_.empty(); });
    std::vector<std::string> out = std::exchange(events_, {});
    if (std::exchange(tick_is_news_, false) && !ended_)
      out.push_back(json_text(ordered_json{{"event", "tick"},
                                           {"workers_alive", tick_.workers_alive},
                                           {"epoch", tick_.epoch},
                                           {"round", tick_.round},
                                           {"rounds", tick_.rounds}}));
    return out;
  }
  std::string result() const {
    const std::lock_guard lock(mutex_);
    if (!ended_) fail(Code::internal, "the job has not ended");
    if (error_) std::rethrow_exception(error_);
    return result_;
  }

  Cancellation& cancellation() { return cancellation_; }

 private:
  struct Tick {
    std::uint32_t workers_alive = 0;
    std::uint64_t epoch = 0, round = 0, rounds = 0;
    bool operator==(const Tick&) const = default;
  };

  void add(const ordered_json& event) {
    throw_if_interrupted();
    std::string text = json_text(event);
    const std::lock_guard lock(mutex_);
    events_.push_back(std::move(text));
    changed_.notify_all();
  }

  Cancellation cancellation_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> events_;
  Tick tick_;
  bool tick_is_news_ = false;
  std::string result_;
  std::exception_ptr error_;
  bool ended_ = false;
};

class Job;
/// Jobs of this process, under Python's lock.
std::set<Job*>& all_jobs() {
  static auto* jobs = new std::set<Job*>();
  return *jobs;
}
bool g_is_closing = false;

class Job {
 public:
  using Work = std::function<ordered_json(trigger::Observer&)>;

  /// `kept`: what the work uses.
  Job(Work work, std::vector<py::object> kept)
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
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;
  ~Job() {
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

  std::vector<std::string> wait(double seconds) {
    require_whole_process();
    std::vector<std::string> events = unlocked([&] { return progress_->wait(seconds); });
    if (progress_->ended()) join();
    return events;
  }
  bool ended() const { return progress_->ended(); }
  void cancel() { progress_->cancellation().cancel(); }
  std::string result() const { return progress_->result(); }

  /// For the interpreter's end.
  void join() {
    std::thread thread = std::move(thread_);
    if (thread.joinable()) unlocked([&] { thread.join(); });
  }

 private:
  const std::shared_ptr<Progress> progress_;
  const std::vector<py::object> kept_;
  const pid_t process_;
  std::thread thread_;
};

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

using Pairs = std::vector<std::pair<std::string, std::string>>;

void parse(Options& options, const Pairs& pairs) {
  for (const auto& [name, value] : pairs) options.parse(name, value, "argument " + name);
}

trigger::InMemory in_memory(const Dataset* data, const Dataset* test) {
  trigger::InMemory out;
  if (data != nullptr) out.data = data->rows();
  if (test != nullptr) out.test = test->rows();
  return out;
}

const Dataset* dataset_of(const py::object& object) {
  return object.is_none() ? nullptr : object.cast<const Dataset*>();
}

std::unique_ptr<Job> train(const std::string& file, const std::optional<std::string>& text,
                           const Pairs& typed, const py::object& data, const py::object& test) {
  const AtWork at_work;
  job::Given given{
      .file = file, .text = text, .section = tune::kSection, .typed = job::job_options()};
  parse(given.typed, typed);
  const Options options = unlocked([&] { return job::options_of(given); });
  return std::make_unique<Job>(
      [options, memory = in_memory(dataset_of(data), dataset_of(test))](
          trigger::Observer& observer) { return trigger::train(options, observer, memory); },
      std::vector<py::object>{data, test});
}

std::unique_ptr<Job> resume(const std::string& run, const Pairs& changed, const py::object& data,
                            const py::object& test) {
  Options options = job::options_of_resuming();
  parse(options, changed);
  return std::make_unique<Job>(
      [run, options,
       memory = in_memory(dataset_of(data), dataset_of(test))](trigger::Observer& observer) {
        return trigger::resume(path_of_file_uri(run), observer, options, memory);
      },
      std::vector<py::object>{data, test});
}

/// `lambdaml predict --to`.
std::unique_ptr<Job> predict(const std::string& model, const std::string& data,
                             const std::string& to, const std::string& out_format,
                             bool probabilities, bool scores, bool ignore_labels,
                             const Pairs& typed) {
  const trigger::Prediction prediction{
      .model = model,
      .data = data,
      .to = to,
      .out_format = out_format,
      .request = {.shown = {.class_scores = scores, .probabilities = probabilities},
                  .ignore_labels = ignore_labels}};
  Options options = trigger::options_of_predictions();
  job::read_environment(options);
  parse(options, typed);
  return std::make_unique<Job>(
      [prediction, options, to](trigger::Observer&) {
        const trigger::PredictionEnd end = trigger::predict_in_functions(prediction, options);
        ordered_json out = predict::json_of(end.quality, *end.plugin, end.shape);
        out["job_id"] = end.job_id;
        out["workers"] = end.workers;
        out["parts"] = end.parts;
        out["path"] = Uri::parse(to).display();
        return out;
      },
      std::vector<py::object>());
}

}  // namespace

void add_jobs(py::module_& module) {
  py::class_<Job>(module, "Job")
      .def("wait", &Job::wait, py::arg("seconds"))
      .def("cancel", &Job::cancel)
      .def_property_readonly("ended", &Job::ended)
      .def("result", &Job::result);
  module.def("train", train, py::arg("file"), py::arg("text"), py::arg("typed"),
             py::arg("data") = py::none(), py::arg("test") = py::none());
  module.def("resume", resume, py::arg("run"), py::arg("changed"), py::arg("data") = py::none(),
             py::arg("test") = py::none());
  module.def("predict", predict, py::arg("model"), py::arg("data"), py::arg("to"),
             py::arg("out_format"), py::arg("probabilities"), py::arg("scores"),
             py::arg("ignore_labels"), py::arg("typed"));
  module.def("close", close);
}

}  // namespace lambdaml::python
