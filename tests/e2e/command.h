#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sys/types.h>

#include "lambdaml/base/own_folder.h"
#include "lambdaml/base/testing/testing.h"

namespace lambdaml::e2e {

/// What a finished command left.
struct Result {
  int exit_code = -1;  ///< 128 + signal when a signal ended it
  std::string out;
  std::string err;
  std::uint64_t most_bytes = 0;  ///< of memory at once, of the command or of one of its processes

  /// The last line of stdout as JSON.
  nlohmann::json json() const;
};

/// A command that runs in a folder of its own.
class Command {
 public:
  Command(const std::filesystem::path& folder, const std::vector<std::string>& arguments,
          const std::vector<std::string>& environment = {});
  /// What it prints is kept in another folder than that in which it runs.
  Command(const std::filesystem::path& folder, const std::filesystem::path& outputs,
          const std::vector<std::string>& arguments, const std::vector<std::string>& environment);
  Command(const Command&) = delete;
  ~Command();

  pid_t pid() const { return pid_; }
  /// What it has printed to stdout so far.
  std::string out_so_far() const;
  std::string err_so_far() const;
  void signal(int number) const;
  /// The process ids of its worker processes.
  std::vector<pid_t> workers() const;
  /// Whether it has not ended; it still has to be waited for.
  bool runs() const;
  Result wait();

 private:
  pid_t pid_ = -1;
  std::filesystem::path out_;
  std::filesystem::path err_;
};

/// Waits until the run's metrics have `lines` lines; false when the command ended before.
bool wait_for_epochs(const Command& command, const std::filesystem::path& metrics,
                     std::size_t lines);

/// Gives each test an empty folder, removed afterwards, in which commands run.
class CliTest : public testing::Test {
 protected:
  /// Runs `lambdaml ARGUMENTS…` to its end.
  Result lambdaml(const std::vector<std::string>& arguments,
                  const std::vector<std::string>& environment = {}) const;
  /// Runs a training with --json -q, expects success and returns the summary.
  nlohmann::json train(std::vector<std::string> arguments) const;

  const std::filesystem::path& folder() const { return scratch_.path(); }
  std::filesystem::path write(const std::string& name, const std::string& text) const;
  static std::string read(const std::filesystem::path& path);

 private:
  const Scratch scratch_{"lambdaml-e2e-"};
};

/// The path of a real data set, from LAMBDAML_TEST_DATA or ../shared/data. A user's clone has none:
/// then the test is skipped and says so; where CI is set it fails.
std::string real_data(const std::string& name);

/// Whether real_data() would find its files; a test begins with REQUIRE_REAL_DATA().
bool have_real_data();
#define REQUIRE_REAL_DATA()                        \
  REQUIRE_OR_SKIP(lambdaml::e2e::have_real_data(), \
                  "no real data here; LAMBDAML_TEST_DATA names their folder")

}  // namespace lambdaml::e2e
