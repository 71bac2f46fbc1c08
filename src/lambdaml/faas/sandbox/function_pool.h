#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "lambdaml/faas/emulator.h"
#include "lambdaml/faas/sandbox/execution_environment.h"
#include "lambdaml/faas/sandbox/function_config.h"

namespace lambdaml::faas::sandbox {

/// What the functions of one service share. Used by the loop's thread only.
struct Host {
  boost::asio::io_context& loop;
  EmulatorSettings settings;
  Variables inherited;
  int descriptors = 0;
  std::filesystem::path folder;        ///< for code and the environments' /tmp
  int running = 0;                     ///< running events of functions without reserved concurrency
  int reserved = 0;                    ///< concurrency
  std::uint64_t made = 0;              ///< folders and environments, for their names
  std::function<void()> on_free = {};  ///< an event has ended, so others may begin
};

/// The result of an invocation.
struct InvokeAnswer {
  std::string body;
  bool is_error = false;
  std::string log_tail;  ///< the last 4 KB
};

/// One function with its environments and its queue of asynchronous events. Environments run one
/// event at a time and are kept, frozen, for the next. Used by the loop's thread only.
class FunctionPool : public std::enable_shared_from_this<FunctionPool> {
 public:
  using Answer = std::function<void(InvokeAnswer)>;

  FunctionPool(Host& host, FunctionConfig config);

  /// Runs the event now, in a kept environment or a new one. Throws ServiceError: 429 if the
  /// concurrency limit is reached, 500 if this machine cannot start another process.
  void invoke(const std::string& request_id, std::string payload, Answer answer);
  /// The same for callers in this process, without a concurrency limit: throws what
  /// ExecutionEnvironment::start throws. The event's log goes to `log_file`, if any. Returns the
  /// environment; `done` is not called if that is killed.
  std::shared_ptr<ExecutionEnvironment> run_here(const std::string& request_id, std::string payload,
                                                 double timeout_s,
                                                 const std::filesystem::path& log_file,
                                                 std::function<void(const AttemptResult&)> done);
  /// Queues an event; the loop starts and retries it according to the event-invoke config.
  void enqueue(std::string request_id, std::string payload);
  /// Starts queued events as far as the limits allow.
  void dispatch();

  /// Since it was created.
  struct Numbers {
    std::uint64_t invocations = 0, errors = 0, busy_ns = 0;  ///< events that have ended
    std::size_t environments = 0, running = 0, waiting = 0;  ///< now
  };
  Numbers numbers() const;

  const FunctionConfig& config() const { return config_; }
  /// Environments of the old configuration end with their events.
  void replace(FunctionConfig config);
  /// Ends everything: with `now` also running events, otherwise when they have ended.
  void close(bool now);

  bool is_ready = false;  ///< not Pending, no update InProgress
  bool is_active = false;
  std::optional<int> reserved;  ///< concurrency
  std::optional<EventInvokeConfig> events;
  std::map<std::string, std::string> tags;

 private:
  struct Instance;
  struct Waiting {
    std::string request_id;
    std::string payload;
    double since = 0;
    int attempts = 0;
  };
  using Done = std::function<void(const AttemptResult&, const Instance*)>;

  bool may_run() const;
  bool is_old(const Waiting& event) const;
  std::shared_ptr<Instance> take_instance(const std::filesystem::path& log_file);
  std::shared_ptr<Instance> start_instance(std::filesystem::path log_file);
  void listen_to(const std::shared_ptr<Instance>& instance, bool to_stderr,
                 ExecutionEnvironment::Settings& settings);
  void run(const std::string& request_id, std::string payload, Done done);
  void run_in(const std::shared_ptr<Instance>& instance, const std::string& request_id,
              std::string payload, double timeout_s, Done done);
  void release(const std::shared_ptr<Instance>& instance);
  void end(const std::shared_ptr<Instance>& instance, bool now);
  void begin(Waiting event);
  void dispatch_in(double seconds);
  void note(std::string_view text) const;

  Host& host_;
  FunctionConfig config_;
  std::deque<Waiting> queue_;
  std::vector<std::shared_ptr<Instance>> idle_;
  std::set<std::shared_ptr<Instance>> all_;
  std::set<std::shared_ptr<boost::asio::steady_timer>> retries_;
  boost::asio::steady_timer pause_;  ///< until dispatch() continues
  bool is_paused_ = false;
  bool closed_ = false;
  int running_ = 0;
  Numbers ended_;  ///< the numbers of events that have ended
};

}  // namespace lambdaml::faas::sandbox
