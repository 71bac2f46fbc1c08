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

/// What the functions of one service share. Belongs to the loop's thread.
struct Host {
  boost::asio::io_context& loop;
  EmulatorSettings settings;
  Variables inherited;
  int descriptors = 0;
  std::filesystem::path folder;        ///< of code and of the environments' /tmp
  int running = 0;                     ///< events, of functions without reserved concurrency
  int reserved = 0;                    ///< concurrency
  std::uint64_t made = 0;              ///< folders and environments, for their names
  std::function<void()> on_free = {};  ///< an event has ended: others may begin
};

/// What an invocation gives back.
struct InvokeAnswer {
  std::string body;
  bool is_error = false;
  std::string log_tail;  ///< the last 4 KB
};

/// One function with its environments and its queue of asynchronous events. Environments run one
/// event at a time and are kept, frozen, for the next. Belongs to the loop's thread.
class FunctionPool : public std::enable_shared_from_this<FunctionPool> {
 public:
  using Answer = std::function<void(InvokeAnswer)>;

  FunctionPool(Host& host, FunctionConfig config);

  /// Runs the event now, in a kept environment or a new one. Throws ServiceError: 429 when no more
  /// may run, 500 when this machine has no more processes.
  void invoke(const std::string& request_id, std::string payload, Answer answer);
  /// The same within this process, whatever the concurrency: throws what Environment::start throws.
  /// The event's log goes to `log_file`, if any. `done` is not called when the environment, which
  /// is returned, is killed.
  std::shared_ptr<ExecutionEnvironment> run_here(const std::string& request_id, std::string payload,
                                                 double timeout_s,
                                                 const std::filesystem::path& log_file,
                                                 std::function<void(const Outcome&)> done);
  /// Queues it; the loop begins and repeats it as the event-invoke config says.
  void enqueue(std::string request_id, std::string payload);
  /// Begins what waits, as far as it may.
  void dispatch();

  const FunctionConfig& config() const { return config_; }
  /// Environments of the old one end with their events.
  void replace(FunctionConfig config);
  /// Ends everything. With `now` also what runs, else that ends by itself.
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
  using Done = std::function<void(const Outcome&, const Instance*)>;

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
  boost::asio::steady_timer pause_;  ///< before dispatch() goes on
  bool is_paused_ = false;
  bool closed_ = false;
  int running_ = 0;
};

}  // namespace lambdaml::faas::sandbox
