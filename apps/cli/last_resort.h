#pragma once

#include <thread>

#include "lambdaml/base/files.h"

namespace lambdaml::cli {

/// Catches interrupts for a command and ensures that the first one ends the process. Every wait of
/// this project throws then (base/interrupt.h), but a name server that does not answer, a hanging
/// disk or a long computation cannot be interrupted. Half a second after the time for cleanup is
/// over, this ends the process with everything that still runs in it, reports what is left behind
/// and exits with the code of an interrupt. Local workers die with the process.
class LastResort {
 public:
  LastResort();
  LastResort(const LastResort&) = delete;
  LastResort& operator=(const LastResort&) = delete;
  ~LastResort();

 private:
  void watch() const;

  FileDescriptor over_;  ///< readable when the command has ended
  std::thread watcher_;
};

}  // namespace lambdaml::cli
