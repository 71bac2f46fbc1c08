#pragma once

#include <string>

namespace lambdaml::control {

/// For a process that cannot clean up: as long as an instance lives, its text tells the user what
/// would remain if the process ended now, e.g. "the job's keys in …; remove them with: …".
/// Thread-safe.
class Leftover {
 public:
  explicit Leftover(std::string text);
  Leftover(const Leftover&) = delete;
  Leftover& operator=(const Leftover&) = delete;
  ~Leftover();

 private:
  std::string text_;
};

/// The texts of all live instances, joined with "; ".
std::string leftovers();

}  // namespace lambdaml::control
