#pragma once

#include <cstddef>
#include <string>
#include <string_view>

/// Running another program to its end for what it prints.
namespace lambdaml {

/// What a shell command printed to its standard output, and how it ended.
struct CommandResult {
  enum class End {
    exited,     ///< `number` is its exit code
    killed,     ///< by the signal `number`
    timed_out,  ///< it did not end in time, so it was killed
    cut_off,    ///< it printed more than was wanted, so it was killed
  };
  End end = End::exited;
  int number = 0;
  std::string output;
  std::string reason;  ///< the last line of its standard error, printable, at most 300 characters

  bool succeeded() const { return end == End::exited && number == 0; }
};

/// Runs a shell command with an empty standard input. After `timeout_s` seconds, or more than
/// `most_bytes` bytes of output, the command and its children are killed. Throws resource_exhausted
/// and the like, naming `what`, if it cannot be started, and cancelled if the process is
/// interrupted meanwhile. Thread-safe.
CommandResult run_command(const std::string& command, double timeout_s, std::size_t most_bytes,
                          const std::string& what);

/// `text` as one word of a shell command, in quotes. Not for texts with a null byte.
std::string quoted_for_shell(std::string_view text);

}  // namespace lambdaml
