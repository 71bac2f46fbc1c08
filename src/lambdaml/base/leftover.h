#pragma once

#include <string>

namespace lambdaml {

/// Says, as long as it lives, what would stay behind if the process ended now, in words for its
/// user: "the job's keys in redis://…; remove them with: …". For a process that cannot tidy up.
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

/// The texts of all that live, with "; " between them.
std::string leftovers();

}  // namespace lambdaml
