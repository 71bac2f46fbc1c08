#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "e2e/command.h"

namespace lambdaml::e2e {

/// A Lambda service of this machine with a package to deploy to it.
class Lambda : public CliTest {
 protected:
  /// `emulate` is started with these besides.
  explicit Lambda(std::vector<std::string> settings = {},
                  std::vector<std::string> keys = {"AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE",
                                                   "AWS_SECRET_ACCESS_KEY=secret"});

  void SetUp() override;
  void TearDown() override;

  Result with_keys(std::vector<std::string> arguments) const { return lambdaml(arguments, keys_); }
  nlohmann::json deploy(const std::string& name, std::vector<std::string> more = {}) const;
  /// What the service and its functions have logged so far.
  std::string emulator_log() const { return emulator_->err_so_far(); }
  /// `lambdaml ARGUMENTS…` with the service's address and keys, in the background.
  std::unique_ptr<Command> start(const std::vector<std::string>& arguments,
                                 const std::vector<std::string>& environment = {}) const;
  /// The service's address.
  const std::string& endpoint() const { return endpoint_; }
  void signal_emulator(int number) const { emulator_->signal(number); }
  void kill_emulator() { emulator_.reset(); }
  /// The process ids of the functions that run or wait for an event.
  std::vector<pid_t> functions() const { return emulator_->workers(); }
  /// In shared memory where there is some: thousands of rounds wait for no disk.
  virtual std::string channel() const { return "file://" + (memory_ / "channel").string(); }
  /// Trains in functions of that name, two unless `more` says so; the summary.
  nlohmann::json train_there(const std::string& function, std::vector<std::string> more) const;
  /// Trains the same job by the platform `local` and in functions of that name, and compares the
  /// models; the summary of the latter.
  nlohmann::json expect_the_local_model(const std::string& function,
                                        const std::vector<std::string>& job) const;

  /// Trains the job in `local`, with ever more epochs until it takes longer than that on this
  /// machine, and returns how many those were.
  int epochs_longer_than(double seconds, const std::vector<std::string>& job) const;
  /// Trains the job in `local` and returns its summary.
  nlohmann::json train_locally(int epochs, std::vector<std::string> job) const;

  /// Trains a job that takes longer than so many seconds, and so more than one function of each
  /// worker, and compares the model with the local one.
  void expect_the_local_model_of_several(const std::string& function, double seconds) const;

  /// Has a trigger as a function train a job that is longer than it may live, and compares the
  /// model with the local one. `event` says where the job meets, and that its results go to
  /// `kept`.
  void expect_to_outlive_its_trigger(nlohmann::json event, const std::filesystem::path& kept) const;

 private:
  std::filesystem::path memory_;
  std::vector<std::string> settings_;
  std::vector<std::string> keys_;  ///< in the environment of every command
  std::string endpoint_;
  std::optional<Command> emulator_;
};

}  // namespace lambdaml::e2e
