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

/// A child process that leads a session of its own, so that Ctrl-C at the terminal reaches the
/// parent alone, has no descriptor but stdin (/dev/null), stdout and stderr (one pipe), and is
/// killed by the kernel when the thread that made it ends: it must be made by a thread that
/// outlives it.
class Process {
 public:
  /// Throws what errno says, e.g. not_found; resource_exhausted when no process or descriptor is
  /// left. Returns when the executable has replaced the child's image.
  explicit Process(const ProcessSettings& settings);
  /// Kills and reaps.
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t id() const { return id_; }
  /// The pipe's end to read what the process prints; does not block.
  FileDescriptor take_output() { return std::move(output_); }
  /// A descriptor that becomes readable when the process has ended. None on a kernel without
  /// pidfd_open (before Linux 5.3): then try_reap() must be polled.
  FileDescriptor take_end() { return std::move(end_); }

  /// SIGKILL to the process and its children.
  void kill();
  /// SIGSTOP or SIGCONT to them.
  void freeze(bool frozen);
  static constexpr int kStatusUnknown = -1;
  /// The status that waitpid gave, once the process has ended; its children are killed then.
  /// kStatusUnknown when this program has SIGCHLD ignored or somebody else took the status.
  std::optional<int> try_reap();

 private:
  pid_t id_ = -1;
  std::optional<int> status_;
  FileDescriptor output_;
  FileDescriptor end_;
};

/// "killed by signal 9 (SIGKILL)", "exited with code 3" or "ended in an unknown way".
std::string describe_status(int status);

/// Bytes of private memory that lie in RAM (RssAnon); 0 when the process is gone.
std::size_t private_memory(pid_t process);

/// Makes room for `wanted` descriptors more than are open now, by raising this process's soft limit
/// up to the hard one if need be. The soft limit as it was. Throws resource_exhausted.
int reserve_descriptors(std::size_t wanted);

}  // namespace lambdaml::faas::sandbox
