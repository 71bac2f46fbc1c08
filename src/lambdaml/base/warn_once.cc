#include "lambdaml/base/warn_once.h"

#include <mutex>
#include <set>

#include "lambdaml/base/log.h"

namespace lambdaml::log {

void warn_once(const std::string& message) {
  /// A function may serve events for days.
  constexpr std::size_t kMostKept = 1000;
  static std::mutex mutex;
  static std::set<std::string> said;
  {
    const std::lock_guard lock(mutex);
    if (said.size() >= kMostKept) said.clear();
    if (!said.insert(message).second) return;
  }
  warning("{}", message);
}

}  // namespace lambdaml::log
