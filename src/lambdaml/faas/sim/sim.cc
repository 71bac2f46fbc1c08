#include <algorithm>
#include <optional>

#include "lambdaml/base/error.h"
#include "lambdaml/base/fibers/scheduler.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/unique_id.h"
#include "lambdaml/faas/failure.h"
#include "lambdaml/faas/handlers.h"
#include "lambdaml/faas/registry.h"
#include "lambdaml/sim/world.h"

/// Events as processes of a simulation (sim/simulation.h): fibers in virtual time, which can be
/// killed at any call and are killed at their time limit. Within a simulated world, they start as
/// late as its profile says, have its network, and are billed there. Called from outside, the
/// events have a simulation of their own, whose time goes on while the caller waits for them.
namespace lambdaml::faas::sim {
namespace {

using lambdaml::sim::FunctionRun;
using lambdaml::sim::Process;
using lambdaml::sim::ProcessHandle;
using lambdaml::sim::Simulation;
using lambdaml::sim::World;

bool has_ended(const EventStatus& status) {
  return status.state == EventStatus::State::succeeded ||
         status.state == EventStatus::State::failed;
}

class SimInvocations final : public Invocations {
 public:
  SimInvocations(Function function, std::vector<std::string> payloads, FailureObserver observer)
      : function_(std::move(function)),
        observer_(std::move(observer)),
        own_(Simulation::current() == nullptr ? std::make_unique<Simulation>(1) : nullptr),
        simulation_(own_ ? *own_ : *Simulation::current()),
        world_(own_ ? nullptr : World::current()),
        alive_(std::make_shared<bool>(true)) {
    for (std::string& payload : payloads) {
      events_.push_back({.payload = std::move(payload)});
      begin_event(events_.size() - 1);
    }
    for (std::size_t i = 0; i < events_.size(); ++i) begin_attempt(i, true);
    if (own_) own_->run(0);
  }

  ~SimInvocations() override {
    cancel();
    *alive_ = false;
  }

  bool wait(double seconds) override {
    if (is_over()) return true;
    if (own_) {
      // In steps, so that it returns when all have ended, not at the end of the time.
      constexpr double kStep_s = 0.05;
      for (double left_s = seconds; !is_over() && left_s > 0; left_s -= kStep_s)
        own_->run(std::min(left_s, kStep_s));
      return is_over();
    }
    const TimePoint end = Deadline::in(seconds).time();
    while (!is_over() && time_now() < end) simulation_.wait_for(this, end);
    return is_over();
  }

  std::vector<EventStatus> status() const override {
    std::vector<EventStatus> out;
    for (const Event& event : events_) out.push_back(event.status);
    return out;
  }

  void cancel() override {
    cancelled_ = true;
    for (std::size_t i = 0; i < events_.size(); ++i) {
      Event& event = events_[i];
      if (has_ended(event.status)) continue;
      event.status.state = EventStatus::State::failed;
      event.status.error_type = to_string(Code::cancelled);
      event.status.error_message = fmt::format("{} {}: cancelled", function_.handler, i);
      ++failed_;
      if (event.process) simulation_.kill(event.process);
    }
    if (own_)
      own_->end_all();
    else if (Scheduler* const scheduler = current_scheduler())
      while (is_any_running()) scheduler->wait_for(this, true);
  }

 private:
  /// Of an event that was delivered twice.
  struct Second {
    ProcessHandle process = {};  ///< while it runs
    bool is_awaited = false, has_ended = false;
    std::string response = {};
    std::optional<Failure> failure = {};
  };

  struct Event {
    std::string payload;
    std::string request_id = {};
    EventStatus status = {};
    ProcessHandle process = {};
    std::string response = {};
    std::optional<Failure> failure = {};
    bool timed_out = false;
    double began_s = 0, init_s = 0;
    std::shared_ptr<Second> second = {};
  };

  bool is_any_running() const {
    return std::ranges::any_of(events_,
                               [](const Event& event) { return event.process != nullptr; });
  }
  bool is_over() const { return failed_ > 0 || ended_ == events_.size(); }

  void begin_event(std::size_t index) {
    Rng& rng = simulation_.rng();
    const std::uint64_t high = rng.next();
    events_[index].request_id = uuid_of(high, rng.next());
  }

  void begin_attempt(std::size_t index, bool cold) {
    Event& event = events_[index];
    event.failure.reset();
    event.timed_out = false;
    double delay_s = 0;
    if (world_ != nullptr) {
      const World::Start start = world_->next_start(cold ? events_.size() : 1);
      delay_s = start.seconds;
      event.init_s = start.init_s;
    }
    const std::shared_ptr<bool> alive = alive_;
    const int attempt = event.status.attempts + 1;
    event.process = simulation_.start(
        fmt::format("{}-{}.{}", function_.handler, index, attempt),
        [this, index] { run_attempt(index); }, delay_s,
        [this, index, alive](Process& process) {
          if (*alive) end_attempt(index, process.was_killed());
        });
    if (world_ == nullptr) return;
    event.process->annotation = world_->new_network(function_.memory_mb);
    const std::uint64_t number = world_->next_event();
    if (!world_->invoked_again || event.second) return;
    if (const std::optional<double> later_s = world_->invoked_again(number))
      deliver_again(index, delay_s + *later_s);
  }

  /// Services deliver events at least once. An answer that the world calls void is replaced by that
  /// of the other delivery.
  void deliver_again(std::size_t index, double delay_s) {
    Invocation invocation;
    invocation.request_id = events_[index].request_id;
    invocation.payload = events_[index].payload;
    invocation.function_arn = function_.handler;
    const auto second = std::make_shared<Second>();
    const auto function = std::make_shared<const Function>(function_);
    events_[index].second = second;
    const ProcessHandle process = simulation_.start(
        fmt::format("{}-{}.again", function_.handler, index),
        [function, second, invocation = std::move(invocation)]() mutable {
          second->process = Simulation::current()->process();
          invocation.deadline = Deadline::in(function->timeout_s);
          Simulation::current()->call_later(function->timeout_s,
                                            [second, &simulation = *Simulation::current()] {
                                              if (second->process) simulation.kill(second->process);
                                            });
          try {
            second->response = function->in_process(invocation);
          } catch (const lambdaml::sim::Killed&) {
            throw;
          } catch (...) {
            second->failure = current_failure();
          }
        },
        delay_s,
        [this, index, second, alive = alive_](Process& ended) {
          second->process.reset();
          second->has_ended = true;
          if (ended.was_killed()) second->failure = Failure{std::string(kKilled), "it was killed"};
          if (!*alive) return;
          simulation_.notify_all(this);
          if (cancelled_ || !second->is_awaited) return;
          take_answer(events_[index]);
          conclude(index);
        });
    process->annotation = world_->new_network(function_.memory_mb);
  }

  /// In the attempt's fiber.
  void run_attempt(std::size_t index) {
    Event& event = events_[index];
    event.began_s = simulation_.now_s();
    event.status.state = EventStatus::State::running;
    ++event.status.attempts;
    Invocation invocation;
    invocation.request_id = event.request_id;
    invocation.payload = event.payload;
    invocation.deadline = Deadline::in(function_.timeout_s);
    invocation.function_arn = function_.handler;
    const ProcessHandle process = event.process;
    simulation_.call_later(
        function_.timeout_s,
        [this, index, process = std::weak_ptr<Process>(process), alive = alive_] {
          if (*alive) end_overdue(index, process);
        });
    try {
      event.response = function_.in_process(invocation);
      if (event.response.size() > kMaxResponseBytes)
        event.failure = Failure{std::string(kResponseTooLarge),
                                fmt::format("the response has {} bytes", event.response.size())};
    } catch (const lambdaml::sim::Killed&) {
      throw;
    } catch (...) {
      event.failure = current_failure();
    }
  }

  /// A function whose time is over is killed.
  void end_overdue(std::size_t index, const std::weak_ptr<Process>& weak) {
    const ProcessHandle process = weak.lock();
    if (!process || events_[index].process != process) return;
    events_[index].timed_out = true;
    simulation_.kill(process);
  }

  /// In no fiber, when the last of the attempt's has ended.
  void end_attempt(std::size_t index, bool was_killed) {
    Event& event = events_[index];
    event.process.reset();
    simulation_.notify_all(this);
    if (world_ != nullptr)
      world_->ran(FunctionRun{.function = function_.handler,
                              .began_s = event.began_s,
                              .ended_s = simulation_.now_s(),
                              .memory_mb = static_cast<double>(function_.memory_mb),
                              .init_s = event.init_s,
                              .was_killed = was_killed});
    if (cancelled_) return;
    if (event.timed_out)
      event.failure = Failure{std::string(kTimedOut),
                              fmt::format("timed out after {:g} s", function_.timeout_s)};
    else if (was_killed)
      event.failure = Failure{std::string(kKilled), "killed by signal 9"};
    if (!event.failure && event.second && world_->is_void && world_->is_void(event.response)) {
      if (event.second->process) {
        event.second->is_awaited = true;
        return;
      }
      if (event.second->has_ended) take_answer(event);
    }
    conclude(index);
  }

  static void take_answer(Event& event) {
    const std::shared_ptr<Second> second = std::exchange(event.second, nullptr);
    event.response = std::move(second->response);
    event.failure = std::move(second->failure);
  }

  void conclude(std::size_t index) {
    Event& event = events_[index];
    if (!event.failure && function_.goes_on && function_.goes_on(event.response)) {
      event.status.attempts = 0;
      begin_event(index);
      return begin_attempt(index, false);
    }
    if (!event.failure) {
      event.status.state = EventStatus::State::succeeded;
      event.status.response = std::move(event.response);
      ++ended_;
      return simulation_.notify_all(this);
    }
    fail_attempt(index);
  }

  void fail_attempt(std::size_t index) {
    Event& event = events_[index];
    EventStatus& status = event.status;
    status.error_type = event.failure->type;
    status.error_message =
        fmt::format("{} {}: {}", function_.handler, index, event.failure->message);
    const bool retry =
        status.attempts <= function_.retries && function_.worth_a_retry(event.failure->type);
    status.state = retry ? EventStatus::State::waiting : EventStatus::State::failed;
    try {
      if (observer_) observer_(index, status, retry);
    } catch (...) {
      log::warning("the observer of failures failed: {}", current_failure().message);
    }
    if (!retry) {
      ++ended_;
      ++failed_;
      return simulation_.notify_all(this);
    }
    const double pause_s = retry_pause_s(function_.retry_delay_s, status.attempts);
    simulation_.call_later(pause_s, [this, index, alive = alive_] {
      if (*alive && !cancelled_) begin_attempt(index, false);
    });
  }

  const Function function_;
  const FailureObserver observer_;
  std::vector<Event> events_;
  std::size_t ended_ = 0, failed_ = 0;
  bool cancelled_ = false;
  std::unique_ptr<Simulation> own_;  ///< of a caller outside any simulation
  Simulation& simulation_;
  World* const world_;
  std::shared_ptr<bool> alive_;  ///< false once this object does not exist
};

class SimInvoker final : public Invoker {
 public:
  std::unique_ptr<Invocations> invoke_all(const Function& function,
                                          std::vector<std::string> payloads,
                                          FailureObserver observer) override {
    Function complete = function;
    complete.in_process = handler_here(function, "sim");
    return std::make_unique<SimInvocations>(std::move(complete), std::move(payloads),
                                            std::move(observer));
  }
};

}  // namespace

void register_plugin(Registry& registry) {
  registry.add({.name = "sim",
                .help = "events in the virtual time of a simulation; see lambdaml simulate",
                .separate_processes = false,
                .billed_as = "lambda",
                .make = [](const Options&) { return std::make_unique<SimInvoker>(); }});
}

}  // namespace lambdaml::faas::sim
