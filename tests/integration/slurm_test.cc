// Jobs whose workers are tasks of a real Slurm on this machine.
#include "integration/slurm.h"

#include <chrono>
#include <filesystem>
#include <thread>

#include <gmock/gmock.h>
#include <signal.h>

#include "e2e/command.h"
#include "lambdaml/base/deadline.h"

namespace lambdaml::e2e {
namespace {

namespace fs = std::filesystem;
using servers::Slurm;
using testing::HasSubstr;
using testing::Not;

class SlurmJobs : public CliTest {
 protected:
  void SetUp() override {
    const std::string missing = Slurm::missing();
    REQUIRE_OR_SKIP(missing.empty(), "there is no " + missing + " (package slurm-wlm)");
    REQUIRE_REAL_DATA();
    CliTest::SetUp();
    slurm_ = std::make_unique<Slurm>(folder() / "slurm");
  }
  void TearDown() override {
    slurm_.reset();
    if (!folder().empty()) CliTest::TearDown();
  }

  std::vector<std::string> job(const std::string& output, const std::string& epochs) const {
    return {"train",
            "--json",
            "--data",
            real_data("higgs.train.libsvm"),
            "--workers",
            "8",
            "--batch-size",
            "100",
            "--epochs",
            epochs,
            "--checkpoint-every",
            "1",
            "--output",
            output};
  }
  std::vector<std::string> slurm_job(const std::string& output, const std::string& epochs) const {
    std::vector<std::string> arguments = job(output, epochs);
    arguments.insert(arguments.end(), {"--platform", "slurm", "--channel",
                                       "file://" + (folder() / "channel").string()});
    return arguments;
  }
  std::string tasks() const { return slurm_->run("squeue --noheader --array --format=%K"); }

  template <class Condition>
  static bool eventually(Condition condition) {
    const Deadline deadline = Deadline::in(120);
    while (!condition()) {
      if (deadline.passed()) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    return true;
  }

  std::unique_ptr<Slurm> slurm_;
};

TEST_F(SlurmJobs, TasksThatAreKilledAndRequeuedChangeNoByteOfTheModel) {
  ASSERT_EQ(lambdaml(job("here", "200")).exit_code, 0);

  Command command(folder(), slurm_job("there", "200"), {slurm_->environment()});
  ASSERT_TRUE(wait_for_epochs(command, folder() / "there" / "metrics.jsonl", 2))
      << command.wait().err;
  const std::string id = slurm_->run("squeue --noheader --array --format=%F | head -1");
  const std::string number = id.substr(0, id.find('\n'));
  const pid_t third = slurm_->process_of(3);
  ASSERT_GT(third, 0);
  ASSERT_EQ(::kill(third, SIGKILL), 0);
  slurm_->run("scontrol requeue " + number + "_5");
  // Otherwise it begins two minutes later.
  const std::string task = number + "_5";
  ASSERT_TRUE(eventually([&] {
    const std::string state = slurm_->run("squeue --noheader --format=%T --jobs=" + task);
    if (state == "PENDING\n")  // which it may not be any more
      slurm_->run("scontrol update jobid=" + task + " starttime=now 2>&1 || true");
    return state != "PENDING\n" && state != "COMPLETING\n" &&
           slurm_->run("scontrol show job " + task).find("Restarts=1") != std::string::npos;
  }));
  const Result result = command.wait();
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("worker 3: its task ended without a result: Slurm says"));
  EXPECT_EQ(read(folder() / "there" / "model.safetensors"),
            read(folder() / "here" / "model.safetensors"));
  EXPECT_EQ(tasks(), "");
  for (int rank = 0; rank < 8; ++rank)
    EXPECT_FALSE(read(folder() / "there" / "log" / fmt::format("worker-{}.log", rank)).empty());
  for (const auto& entry : fs::recursive_directory_iterator(folder() / "there"))
    EXPECT_THAT(entry.path().filename().string(), Not(HasSubstr("events-")));
}

TEST_F(SlurmJobs, AnInterruptCancelsTheTasks) {
  // Slurm takes %a in the name of a log for the task's rank.
  Command command(folder(), slurm_job("cut 5%a", "100000"), {slurm_->environment()});
  ASSERT_TRUE(wait_for_epochs(command, folder() / "cut 5%a" / "metrics.jsonl", 1))
      << command.wait().err;
  command.signal(SIGINT);
  EXPECT_EQ(command.wait().exit_code, 130);
  EXPECT_FALSE(read(folder() / "cut 5%a" / "log" / "worker-0.log").empty());
  EXPECT_TRUE(eventually([&] { return tasks().empty(); })) << tasks();
}

TEST_F(SlurmJobs, WhatSlurmRefusesIsOneLine) {
  std::vector<std::string> arguments = slurm_job("none", "1");
  arguments.insert(arguments.end(), {"--slurm-partition", "absent"});
  const Result refused = lambdaml(arguments, {slurm_->environment()});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, HasSubstr("Slurm refused: sbatch: error: Batch job submission failed: "
                                     "Invalid partition name specified"));
  EXPECT_EQ(refused.err.find("scancel"), std::string::npos) << refused.err;
  EXPECT_FALSE(fs::exists(folder() / "none"));
  EXPECT_TRUE(!fs::exists(folder() / "channel") || fs::is_empty(folder() / "channel"));

  const Result examined = lambdaml({"doctor", "--platform", "slurm"}, {slurm_->environment()});
  EXPECT_THAT(examined.out, HasSubstr("Slurm partition all* up, 1 nodes, 16 processors"));
  const Result absent = lambdaml({"doctor", "--platform", "slurm", "--slurm-partition", "absent"},
                                 {slurm_->environment()});
  EXPECT_THAT(absent.out, HasSubstr("Slurm has no partition 'absent'"));
  EXPECT_THAT(lambdaml(slurm_job("none", "1"), {"PATH=" + folder().string()}).err,
              HasSubstr("there is no sbatch"));
}

}  // namespace
}  // namespace lambdaml::e2e
