#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>
#include <pybind11/pybind11.h>
#include <sys/types.h>

#include "lambdaml/base/interrupt.h"
#include "lambdaml/base/options.h"

/// Work of the engine runs on a thread of its own, so that the thread that waits for it can serve
/// Python's signals and callbacks: the engine never calls Python. What happens is a list of events,
/// JSON texts, that Job::wait() hands over.
namespace lambdaml::python {

/// What the work's thread and its owner share.
class __attribute__((visibility("hidden"))) Progress {
 public:
  // For the work's thread: they throw cancelled if it is to end.

  void add(const nlohmann::ordered_json& event);
  /// A state that replaces the last one unless that was handed over.
  void set_state(nlohmann::ordered_json event);
  /// Of a live view: what it is, and its URL.
  void serving(const std::string& what, const std::string& url);

  void end(std::string result, std::exception_ptr error);

  // For the owner.

  bool ended() const;
  /// The events since the last call: waits for some, or for the end.
  std::vector<std::string> wait(double seconds);
  /// Of work that has ended; throws its error.
  std::string result() const;
  Cancellation& cancellation() { return cancellation_; }

 private:
  Cancellation cancellation_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> events_;
  nlohmann::ordered_json state_;
  bool state_is_news_ = false;
  std::string result_;
  std::exception_ptr error_;
  bool ended_ = false;
};

class __attribute__((visibility("hidden"))) Job {
 public:
  using Work = std::function<nlohmann::ordered_json(Progress&)>;

  /// `kept`: what the work uses.
  Job(Work work, std::vector<pybind11::object> kept = {});
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;
  ~Job();

  std::vector<std::string> wait(double seconds);
  bool ended() const { return progress_->ended(); }
  void cancel() { progress_->cancellation().cancel(); }
  std::string result() const { return progress_->result(); }

  /// For the interpreter's end.
  void join();

 private:
  const std::shared_ptr<Progress> progress_;
  const std::vector<pybind11::object> kept_;
  const pid_t process_;
  std::thread thread_;
};

/// Options by name and text.
using Pairs = std::vector<std::pair<std::string, std::string>>;
void parse(Options& options, const Pairs& pairs);

/// The class of jobs, and close().
void add_work(pybind11::module_& module);

}  // namespace lambdaml::python
