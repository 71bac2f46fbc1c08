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

/// Reports which names were renamed into which folders, using inotify(7). Used by one wait at a
/// time and then kept with its watches for the next, because ending a watch takes milliseconds.
class Arrivals {
 public:
  /// Does not throw: without inotify (limits reached, or not `wanted`) every watch() is refused.
  explicit Arrivals(bool wanted = true);

  enum class Watching { already, added, refused };
  /// Reports arrivals in `folder` from now on. Refused if there is no such folder or no watch left.
  Watching watch(const std::string& folder);

  struct News {
    bool anything = false;  ///< may have arrived: events were lost or a folder was removed
    std::set<std::pair<std::string, std::string>> names;  ///< folder and name
  };
  /// Sleeps until there is news, at most for `seconds`.
  News wait(double seconds);

  /// Whether it can be kept: it belongs to this process (a fork shares the queue) and is not too
  /// large.
  bool reusable() const;

 private:
  FileDescriptor queue_;
  int process_;
  std::map<std::string, int, std::less<>> watch_of_;
  std::map<int, std::string> folder_of_;
};

/// Whether inotify reports every rename into a folder of this type of file system (statfs(2)'s
/// f_type): not those that other machines make on a network file system.
bool reports_arrivals(long file_system_type);

/// A store's idle instances. Thread-safe.
class ArrivalsPool {
 public:
  explicit ArrivalsPool(bool wanted) : wanted_(wanted) {}
  std::unique_ptr<Arrivals> take();
  void give_back(std::unique_ptr<Arrivals> arrivals);

 private:
  const bool wanted_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Arrivals>> idle_;
};

}  // namespace lambdaml::storage::file
