#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

#include "lambdaml/base/files.h"

namespace lambdaml::faas::sandbox {

struct ProcessSettings {
  std::filesystem::path executable;
  std::vector<std::string> environment;  ///< NAME=value; nothing else is inherited
  std::filesystem::path folder = {};     ///< the working folder; empty: this process's
  /// The soft limit on private memory (RLIMIT_DATA): malloc fails beyond it. Not applied under
  /// sanitizers, whose shadow memory is far larger.
  int memory_mb = 0;
  int descriptors = 0;  ///< the soft limit on open files
};

/// A child process that leads its own session, so that Ctrl-C at the terminal reaches only the
/// parent. Its only descriptors are stdin (/dev/null), stdout and stderr (one pipe). The kernel
/// kills it when the thread that created it ends, so that thread must outlive it. Used by one
/// thread.
///
/// For functions, which serve events for a long time, are watched by an event loop, and get limits
/// and an environment of their own; base/programs/command.h runs a command to its end for its
/// output.
class Process {
 public:
  /// Returns when the executable has replaced the child's image. Throws the error of errno, e.g.
  /// not_found; resource_exhausted if no process or descriptor is left.
  explicit Process(const ProcessSettings& settings);
  /// Kills the process and reaps it.
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t id() const { return id_; }
  /// The read end of the output pipe; non-blocking.
  FileDescriptor take_output() { return std::move(output_); }
  /// A descriptor that becomes readable when the process has ended. None if the kernel lacks
  /// pidfd_open (before Linux 5.3): then poll try_reap().
  FileDescriptor take_end() { return std::move(end_); }

  /// SIGKILL to the process and its children.
  void kill();
  /// SIGSTOP or SIGCONT to the process and its children.
  void freeze(bool frozen);
  static constexpr int kStatusUnknown = -1;
  /// The status from waitpid once the process has ended; its children are killed then.
  /// kStatusUnknown if this program ignores SIGCHLD or another part of it took the status.
  std::optional<int> try_reap();

 private:
  pid_t id_ = -1;
  std::optional<int> status_;
  FileDescriptor output_;
  FileDescriptor end_;
};

/// "killed by signal 9 (SIGKILL)", "exited with code 3" or "ended in an unknown way".
std::string describe_status(int status);

/// Bytes of private memory in RAM (RssAnon); 0 if the process has ended.
std::size_t private_memory(pid_t process);

/// Ensures that `wanted` more descriptors can be opened, by raising this process's soft limit up to
/// the hard one if necessary. Returns the previous soft limit. Throws resource_exhausted.
int reserve_descriptors(std::size_t wanted);

}  // namespace lambdaml::faas::sandbox
