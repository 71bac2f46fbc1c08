#include "lambdaml/faas/task_invocations.h"

#include <algorithm>
#include <array>
#include <optional>
#include <set>

#include "lambdaml/base/clock.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/interrupt.h"
#include "lambdaml/base/log.h"
#include "lambdaml/faas/task_events.h"
#include "lambdaml/faas/watched_invocations.h"

namespace lambdaml::faas {
namespace {

using State = EventStatus::State;
using Ranks = std::vector<std::size_t>;

constexpr double kFirstPause_s = 0.1;  ///< between two looks at the ends
constexpr double kLongestPause_s = 1;
constexpr double kSystemPause_s = 1;  ///< between two questions to the batch system
/// How long a batch system that is away is asked to start tasks again: its controller restarts.
constexpr double kSystemAway_s = 600;
constexpr double kFirstRestart_s = 1, kLongestRestart_s = 30;  ///< between two such requests

class TaskInvocations : public WatchedInvocations {
 public:
  TaskInvocations(const Function& function, std::shared_ptr<storage::Storage> store,
                  std::unique_ptr<BatchSystem> system, const std::vector<std::string>& payloads,
                  FailureObserver observer)
      : WatchedInvocations(payloads.size(), std::move(observer)),
        function_(function),
        events_(std::move(store), payloads),
        system_(std::move(system)),
        tasks_(payloads.size()) {
    Ranks all(payloads.size());
    for (std::size_t rank = 0; rank < all.size(); ++rank) all[rank] = rank;
    if (system_ && !all.empty()) {
      bool started = false;
      try {
        started = starts(all, Patient::no);
      } catch (...) {
        system_->cancel();
        throw;
      }
      if (!started) {
        system_->cancel();
        return;
      }
    }
    for (const std::size_t rank : all) begin(rank);
    start_watching([this, cancellation = Cancellation::current()] {
      const Cancellation::Scope scope(cancellation);
      watch();
    });
  }
  ~TaskInvocations() override { cancel(); }

  void cancel() override {
    if (end_watching() && system_) system_->cancel();
  }

 private:
  struct Task {
    enum class Phase { running, due, ended };
    Phase phase = Phase::running;
    int attempts = 0;
    Deadline due = Deadline::never();
    std::optional<std::string> ended_attempt = {};  ///< whose end was taken last
  };

  enum class Patient { no, yes };

  /// What is refused has started nothing, so its events have failed and none may still run. A
  /// patient call leaves them due while the system is away.
  bool starts(const Ranks& ranks, Patient patient) {
    try {
      system_->start(ranks);
      away_until_ = Deadline::never();
      restart_pause_s_ = kFirstRestart_s;
      return true;
    } catch (const Error& error) {
      if (error.code() == Code::cancelled) throw;
      if (patient == Patient::yes && may_come_back(error)) {
        for (const std::size_t rank : ranks) tasks_[rank].due = Deadline::in(restart_pause_s_);
        restart_pause_s_ = std::min(2 * restart_pause_s_, kLongestRestart_s);
        return false;
      }
      for (const std::size_t rank : ranks) {
        EventStatus status = board_.at(rank);
        status.state = State::failed;
        status.error_type = to_string(error.code());
        status.error_message = status.error_message.empty()
                                   ? std::string(error.what())
                                   : fmt::format("{}; its task cannot be started again: {}",
                                                 status.error_message, error.what());
        end(rank, std::move(status));
      }
      return false;
    }
  }

  bool may_come_back(const Error& error) {
    if (error.code() != Code::unavailable && error.code() != Code::deadline_exceeded) return false;
    if (away_until_.is_never()) away_until_ = Deadline::in(kSystemAway_s);
    if (away_until_.passed()) return false;
    log::warning("tasks cannot be started again yet: {}", error.what());
    return true;
  }

  void begin(std::size_t rank) {
    tasks_[rank].phase = Task::Phase::running;
    EventStatus status = board_.at(rank);
    status.state = State::running;
    status.attempts = ++tasks_[rank].attempts;
    board_.set(rank, std::move(status));
  }

  Ranks in(Task::Phase phase) const {
    Ranks out;
    for (std::size_t rank = 0; rank < tasks_.size(); ++rank)
      if (tasks_[rank].phase == phase) out.push_back(rank);
    return out;
  }

  void watch() {
    double pause_s = kFirstPause_s;
    while (in(Task::Phase::ended).size() < tasks_.size()) {
      bool news = false;
      try {
        news = take_ends();
        if (system_) news |= ask_system();
        start_due();
      } catch (...) {
        const Failure why = current_failure();
        // An interrupt ends the watching.
        if (why.type == to_string(Code::cancelled)) break;
        log::warning("watching {} tasks: {}", tasks_.size(), why.message);
      }
      pause_s = news ? kFirstPause_s : std::min(1.3 * pause_s, kLongestPause_s);
      if (!board_.pause(pause_s)) break;
    }
    for (std::size_t rank = 0; rank < tasks_.size(); ++rank)
      board_.end_as_cancelled(rank, function_.handler);
  }

  bool take_ends() {
    const Ranks running = in(Task::Phase::running);
    if (running.empty()) return false;
    const std::vector<std::optional<TaskEnd>> ends = events_.ends(running);
    bool news = false;
    unsettled_.clear();
    for (std::size_t i = 0; i < running.size(); ++i) {
      if (!ends[i] || tasks_[running[i]].ended_attempt == ends[i]->attempt) continue;
      const Outcome& outcome = ends[i]->outcome;
      if (outcome.failure) {
        fail_attempt(running[i], *outcome.failure);
      } else if (!succeed(running[i], outcome.response)) {
        unsettled_.insert(running[i]);
        continue;
      }
      news = true;
      // Not before, for what throws is tried again.
      tasks_[running[i]].ended_attempt = ends[i]->attempt;
    }
    return news;
  }

  /// Fails the tasks that ended without leaving their end. A task may have left it just before, so
  /// it counts when it is still missing at the next question.
  bool ask_system() {
    if (since_question_.seconds() < kSystemPause_s) return false;
    since_question_ = Stopwatch();
    Ranks asked = in(Task::Phase::running);
    std::erase_if(asked, [&](std::size_t rank) { return unsettled_.contains(rank); });
    const auto ended = system_->ended(asked);
    std::set<std::size_t> suspects;
    bool news = false;
    for (const auto& [rank, why] : ended) {
      if (!suspects_.contains(rank)) {
        suspects.insert(rank);
        continue;
      }
      fail_attempt(rank, {std::string(kExitError), "its task ended without a result: " + why, {}});
      news = true;
    }
    suspects_ = std::move(suspects);
    return news;
  }

  void start_due() {
    Ranks due;
    for (const std::size_t rank : in(Task::Phase::due))
      if (tasks_[rank].due.passed()) due.push_back(rank);
    if (due.empty()) return;
    if (system_ && !starts(due, Patient::yes)) return;
    for (const std::size_t rank : due) begin(rank);
  }

  /// False: the storage could not be asked whether it did, so this end counts later.
  bool succeed(std::size_t rank, std::string response) {
    if (function_.goes_on && function_.goes_on(response)) {
      tasks_[rank].attempts = 0;
      tasks_[rank].phase = Task::Phase::due;
      tasks_[rank].due = Deadline::in(0);
      return true;
    }
    // A worker may end well and still have given up: the job's storage then has the reason.
    auto told = told_by_storage(function_, std::array{rank});
    if (!told) return false;
    EventStatus status;
    status.state = State::succeeded;
    if (has_ended(told->front()))
      status = std::move(*told->front());
    else
      status.response = std::move(response);
    status.attempts = tasks_[rank].attempts;
    if (status.state == State::failed) board_.report(rank, status, false);
    end(rank, std::move(status));
    return true;
  }

  static bool has_ended(const std::optional<EventStatus>& status) {
    return status && (status->state == State::succeeded || status->state == State::failed);
  }

  void fail_attempt(std::size_t rank, const Failure& why) {
    Task& task = tasks_[rank];
    const bool retry = task.attempts <= function_.retries && function_.worth_a_retry(why.type);
    EventStatus status = board_.at(rank);
    status.state = retry ? State::waiting : State::failed;
    status.attempts = task.attempts;
    status.error_type = why.type;
    status.error_message = fmt::format("{} {}: {}", function_.handler, rank, why.message);
    if (system_) status.last_log_lines = last_lines(rank);
    board_.report(rank, status, retry);
    if (!retry) return end(rank, std::move(status));
    board_.set(rank, std::move(status));
    task.phase = Task::Phase::due;
    task.due = Deadline::in(retry_pause_s(function_.retry_delay_s, task.attempts));
  }

  std::vector<std::string> last_lines(std::size_t rank) {
    try {
      return system_->last_lines(rank);
    } catch (const Error& error) {
      return {fmt::format("(its log cannot be read: {})", error.what())};
    }
  }

  void end(std::size_t rank, EventStatus status) {
    tasks_[rank].phase = Task::Phase::ended;
    board_.set(rank, std::move(status));
  }

  const Function function_;
  TaskEvents events_;
  const std::unique_ptr<BatchSystem> system_;
  std::vector<Task> tasks_;  ///< used by the watcher only, after the constructor
  std::set<std::size_t> suspects_;
  std::set<std::size_t> unsettled_;  ///< ended well, but the storage could not be asked
  Stopwatch since_question_;
  Deadline away_until_ = Deadline::never();  ///< set while the system does not start tasks
  double restart_pause_s_ = kFirstRestart_s;
};

}  // namespace

std::unique_ptr<Invocations> invoke_tasks(const Function& function,
                                          std::shared_ptr<storage::Storage> store,
                                          std::unique_ptr<BatchSystem> system,
                                          const std::vector<std::string>& payloads,
                                          FailureObserver observer) {
  return std::make_unique<TaskInvocations>(function, std::move(store), std::move(system), payloads,
                                           std::move(observer));
}

}  // namespace lambdaml::faas
