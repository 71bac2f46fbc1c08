#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "lambdaml/base/files.h"

namespace lambdaml::storage::file {

/// Tells waiters that something was renamed into a folder, by inotify. Where the kernel cannot tell
/// (no inotify instance left, a folder that is not there yet, a network file system) a wait ends
/// after a while by itself, so a waiter looks again at least every few milliseconds, backing off
/// to 20. Thread-safe; inotify instances are kept for the next wait, because closing one is slow.
class Arrivals {
 public:
  class Watch {
   public:
    ~Watch();
    Watch(Watch&&) = default;
    /// Watches a folder from now on; whether that worked.
    bool folder(const std::filesystem::path& path) const;
    /// Returns when something may have come. `watched`: whether all folders are being watched.
    void wait(bool watched, double at_most_s) const;

   private:
    friend class Arrivals;
    struct Instance;
    Watch(Arrivals& owner, std::unique_ptr<Instance> instance);
    Arrivals* owner_;
    std::unique_ptr<Instance> instance_;
  };

  Arrivals();
  ~Arrivals();
  Watch begin();

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<Watch::Instance>> idle_;
};

}  // namespace lambdaml::storage::file
