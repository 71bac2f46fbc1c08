#pragma once

#include <mutex>
#include <set>
#include <string>

namespace lambdaml::storage::s3 {

/// The servers of this process that lack a kind of request, so that each is asked once.
/// Thread-safe.
class Lacking {
 public:
  bool contains(const std::string& server) const {
    const std::lock_guard lock(mutex_);
    return servers_.contains(server);
  }
  void add(const std::string& server) {
    const std::lock_guard lock(mutex_);
    servers_.insert(server);
  }

 private:
  mutable std::mutex mutex_;
  std::set<std::string> servers_;
};

}  // namespace lambdaml::storage::s3
