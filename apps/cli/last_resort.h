#pragma once

#include <thread>

#include "lambdaml/base/files.h"

namespace lambdaml::cli {

/// Catches interrupts for a command, and sees to it that the first one ends the process: every wait
/// of this project throws then (base/interrupt.h), but a name server that does not answer, a disk
/// that hangs or a long computation is nothing that it could end. Half a second after the time for
/// tidying up is over, this ends the process with what still runs in it, says what is left and
/// gives the exit code of an interrupt. Local workers die with the process.
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
