#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "integration/process.h"

namespace lambdaml::servers {

/// A Redis cluster of three primaries, each with a replica, on 127.0.0.1. A primary that does not
/// answer for a second is replaced by its replica.
class RedisCluster {
 public:
  static constexpr int kPrimaries = 3;

  /// Starts it in `folder` and waits until every slot is served and has a replica: some 5 s. For
  /// benchmarks without replicas, which elsewhere have machines of their own. Throws what Process
  /// and await_answer() throw.
  RedisCluster(const std::filesystem::path& program, const std::filesystem::path& folder,
               bool has_replicas = true);

  /// Of the server that was the first primary.
  int port() const { return ports_[0]; }
  const std::vector<int>& ports() const { return ports_; }
  /// Kills all servers, or one (SIGKILL); starts those again that do not run, and waits until every
  /// slot is served.
  void stop();
  void stop(int port);
  void start();
  void signal(int number);

 private:
  void start_one(int i);
  /// Those that say so: one that has come back says it until it hears of its replacement.
  int count_primaries() const;
  /// Throws unavailable when it has not become true by the deadline.
  template <class Is>
  void await(const std::string& what, Is&& is);

  std::filesystem::path program_, folder_;
  const int servers_;
  std::vector<int> ports_, bus_ports_;
  std::vector<std::unique_ptr<Process>> processes_;
};

}  // namespace lambdaml::servers
