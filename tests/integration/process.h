#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

#include "lambdaml/base/deadline.h"

/// Programs that a test runs beside itself.
namespace lambdaml::servers {

/// The path of a program of this name in PATH, /usr/sbin or /sbin; empty where there is none.
std::filesystem::path find_program(const std::string& name);

/// A port of 127.0.0.1 for a server of this process's tests, that nobody listens on. No other test
/// has it before this process ends, and no client: it is none of those that the kernel gives to
/// clients, so that a server can be started on it again.
int free_port();

/// A program that runs until this object ends, or this process does, however it ends: the kernel
/// kills it (SIGKILL) with the thread that started it, so start it from the main thread. Not
/// thread-safe.
class Process {
 public:
  /// Starts `command` (a path and its arguments) in `folder`; its output is added to `folder/log`.
  /// Throws internal when no process can be made; a program that cannot be run ends with 127.
  Process(std::vector<std::string> command, std::filesystem::path folder, const std::string& log);
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  ~Process() { kill(); }

  const std::string& name() const { return name_; }
  pid_t pid() const { return pid_; }
  /// Sends a signal; nothing when it has ended. Returns from SIGSTOP when all its threads stand
  /// still.
  void signal(int number);
  /// SIGKILL, and waits for the end. No error when it has ended already.
  void kill();
  /// Whether it has not ended.
  bool runs();
  /// Waits for its end and returns its exit code, 128 + signal when a signal ended it. Throws
  /// deadline_exceeded with the last lines of its log.
  int wait(Deadline deadline);
  /// The last lines of its log, for a message.
  std::string last_lines() const;

 private:
  std::string name_;
  std::filesystem::path log_;
  pid_t pid_ = -1;
  int status_ = 0;
};

/// Runs a program to its end; throws internal with its last lines when it fails, or
/// deadline_exceeded.
void run(const std::vector<std::string>& command, const std::filesystem::path& folder,
         const std::string& log, Deadline deadline);

/// Waits until `server` answers `request` on `port` with a text that begins with `answer`. Throws
/// unavailable with the last lines of its log when it ends or has not answered by the deadline.
void await_answer(Process& server, int port, std::string_view request, std::string_view answer,
                  Deadline deadline);

}  // namespace lambdaml::servers
