#pragma once

#include <pybind11/pybind11.h>

namespace lambdaml::python {

/// Releases Python's lock while C++ works. Unlike pybind11's, it does not return to an interpreter
/// that is ending (see stop_returns()): Python would end the thread by unwinding it, which aborts
/// the process.
class Unlocked {
 public:
  Unlocked();
  ~Unlocked();
  Unlocked(const Unlocked&) = delete;
  Unlocked& operator=(const Unlocked&) = delete;

 private:
  PyThreadState* state_;
};

/// Calls `work` without Python's lock.
template <class Work>
auto unlocked(Work&& work) {
  const Unlocked unlocked;
  return std::forward<Work>(work)();
}

/// From now on only the calling thread returns from Unlocked; others are stopped there for good. On
/// return no other is on its way. For the thread that ends the interpreter, before it does; needs
/// Python's lock, and releases it meanwhile.
void stop_returns();

/// To be called once, before any other function of this file: learns of forks.
void watch_forks();

/// Throws Error(unavailable) in a process that was forked while the engine worked in its parent:
/// threads and locks of the parent are missing there.
void require_whole_process();

/// While an instance lives, the engine works: see require_whole_process().
class AtWork {
 public:
  AtWork();
  ~AtWork();
  AtWork(const AtWork&) = delete;
  AtWork& operator=(const AtWork&) = delete;
};

}  // namespace lambdaml::python
