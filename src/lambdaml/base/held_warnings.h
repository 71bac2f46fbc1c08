#pragma once

#include <string>
#include <utility>
#include <vector>

#include "lambdaml/base/error.h"

namespace lambdaml::log {

/// While there is one, it keeps what warn_once() is given in its thread; its end logs that. Of
/// several the newest keeps. For one thread.
class HeldWarnings {
 public:
  HeldWarnings();
  ~HeldWarnings();
  HeldWarnings(const HeldWarnings&) = delete;
  HeldWarnings& operator=(const HeldWarnings&) = delete;

  void keep(const std::string& message) { messages_.push_back(message); }
  /// Forgets them.
  void drop() noexcept { messages_.clear(); }

 private:
  std::vector<std::string> messages_;
};

/// While there is one, the process logs errors only, unless even information is logged: for work
/// that would warn of what nobody has asked for. Process-wide, also for other threads; format and
/// fields stay as they are. One inside of another changes nothing.
class QuietLog {
 public:
  QuietLog();
  ~QuietLog();
  QuietLog(const QuietLog&) = delete;
  QuietLog& operator=(const QuietLog&) = delete;

 private:
  bool lowers_;
};

/// Calls `work`, which reads and checks what a user gave. What it gives warn_once() is logged when
/// it ends, unless it refuses the input: a refusal is one line. Throws what `work` throws.
template <class Work>
decltype(auto) warn_unless_refused(Work&& work) {
  HeldWarnings held;
  try {
    return std::forward<Work>(work)();
  } catch (const Error& error) {
    if (is_bad_input(error.code())) held.drop();
    throw;
  }
}

}  // namespace lambdaml::log
