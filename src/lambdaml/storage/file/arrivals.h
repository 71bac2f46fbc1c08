#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/base/files.h"

namespace lambdaml::storage::file {

/// Tells which names were renamed into which folders, as the kernel reports it (inotify(7)). Used
/// by one wait at a time; kept for the next one with its watches, because ending a watch costs
/// milliseconds.
class Arrivals {
 public:
  /// Throws nothing: without inotify (limits reached) every watch() is refused.
  Arrivals();

  enum class Watch { already, added, refused };
  /// Makes arrivals in `folder` known from now on. Refused when there is no such folder, or no
  /// watch left.
  Watch watch(const std::string& folder);

  struct News {
    bool anything = false;  ///< may have come: events were lost or a folder has gone
    std::set<std::pair<std::string, std::string>> names;  ///< folder and name
  };
  /// Sleeps until there is news, but not longer than `seconds`.
  News wait(double seconds);

  /// Whether it is worth keeping: of this process (a fork shares the queue) and not too large.
  bool reusable() const;

 private:
  FileDescriptor queue_;
  int process_;
  std::map<std::string, int, std::less<>> watch_of_;
  std::map<int, std::string> folder_of_;
};

/// The idle ones of a store.
class ArrivalsPool {
 public:
  std::unique_ptr<Arrivals> take();
  void give_back(std::unique_ptr<Arrivals> arrivals);

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<Arrivals>> idle_;
};

}  // namespace lambdaml::storage::file
