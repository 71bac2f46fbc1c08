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
