// Functions packaged, deployed to a Lambda service of this machine, and trained on.
#include "e2e/lambda.h"

#include <chrono>
#include <thread>

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <unistd.h>

#include "lambdaml/base/deadline.h"
#include "lambdaml/base/uri.h"

namespace lambdaml::e2e {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

/// Jobs in functions that nobody but they themselves can end.
class StoppedLambda : public Lambda {
 protected:
  /// Starts a job that would take for ever, and returns once it is under way.
  std::unique_ptr<Command> start_long_job(const std::vector<std::string>& environment = {}) const {
    deploy("lambdaml-worker", {"--timeout-s", "600"});
    auto job = start({"train", "--platform", "aws", "--function", "lambdaml-worker", "--channel",
                      channel(), "--data", real_data("higgs.train.libsvm"), "--workers", "2",
                      "--batch-size", "10", "--epochs", "100000", "--output", "run", "-q"},
                     environment);
    EXPECT_TRUE(wait_for_epochs(*job, folder() / "run/metrics.jsonl", 1));
    return job;
  }
  /// The keys that the job has in the channel.
  std::vector<std::string> left_in_channel() const {
    std::vector<std::string> out;
    const fs::path root = channel().substr(std::string("file://").size());
    for (const auto& entry : fs::recursive_directory_iterator(root))
      if (entry.is_regular_file() &&
          entry.path().string().find("/checkpoints/") == std::string::npos)
        out.push_back(entry.path().string());
    return out;
  }
  template <class Condition>
  static bool comes_true(const Condition& condition) {
    for (int i = 0; i < 1000; ++i) {
      if (condition()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    return false;
  }
  /// Whether that many workers have logged that they were stopped.
  bool have_stopped(std::size_t workers) const {
    const std::string log = emulator_log(), words = "its job was stopped";
    std::size_t seen = 0;
    for (std::size_t at = log.find(words); at != std::string::npos; at = log.find(words, at + 1))
      ++seen;
    return seen >= workers;
  }
};

TEST_F(Lambda, DeployedFunctionsTrainTheModelOfLocalOnes) {
  deploy("lambdaml-worker", {"--timeout-s", "60"});
  const nlohmann::json summary = expect_the_local_model(
      "lambdaml-worker", {"--data", real_data("agaricus.train.libsvm"), "--epochs", "3"});
  EXPECT_EQ(summary["invocations"], 2);
  // The workers' logs are where any machine can see them.
  EXPECT_NE(with_keys({"logs", "there", "--worker", "1"}).out.find("loaded"), std::string::npos);
  EXPECT_EQ(with_keys({"status", "there", "--json"}).json()["state"], "done");
}

TEST_F(Lambda, AJobLongerThanItsFunctionsGoesOnInFreshOnes) {
  deploy("short", {"--timeout-s", "2"});
  expect_the_local_model_of_several("short", 3);
}

TEST_F(Lambda, AJobThatTheMemoryOfItsFunctionsCannotHoldIsRefused) {
  deploy("lambdaml-worker", {"--memory-mb", "128"});
  const std::string wide = write("wide.libsvm", "1 1:1\n0 20000000:1\n1 2:1\n0 3:1\n").string();
  const Result refused =
      with_keys({"train", "--platform", "aws", "--function", "lambdaml-worker", "--data", wide,
                 "--channel", channel(), "--workers", "2", "--sync-mode", "async", "--memory-mb",
                 "3008", "--output", "run", "-q"});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_NE(refused.err.find("a function may use 128 MB"), std::string::npos) << refused.err;
  EXPECT_NE(refused.err.find("--memory-mb of lambdaml deploy"), std::string::npos) << refused.err;
  EXPECT_FALSE(fs::exists(folder() / "run"));
}

TEST_F(Lambda, TheTriggerRunsAJobAndAnswersWhatIsWrong) {
  deploy("lambdaml-worker", {"--timeout-s", "60"});
  deploy("lambdaml-trigger", {"--handler", "trigger", "--timeout-s", "60"});
  const std::string job = nlohmann::json{{"data", real_data("agaricus.train.libsvm")},
                                         {"workers", 2},
                                         {"epochs", 2},
                                         {"channel", channel()},
                                         {"checkpoint", "file://" + (folder() / "kept").string()}}
                              .dump();
  const Result done = with_keys({"invoke", "lambdaml-trigger", "--payload", job});
  ASSERT_EQ(done.exit_code, 0) << done.err;
  const std::string job_id = done.json()["job_id"];
  EXPECT_GT(fs::file_size(folder() / "kept" / job_id / "model.safetensors"), 100U);
  const Result wrong =
      with_keys({"invoke", "lambdaml-trigger", "--payload", R"({"data":"x","wokers":2})"});
  EXPECT_EQ(wrong.exit_code, 1);
  EXPECT_NE(wrong.err.find("did you mean 'workers'"), std::string::npos) << wrong.err;
}

TEST_F(Lambda, AJobLongerThanItsTriggerGoesOnInAFreshOne) {
  const fs::path kept = folder() / "kept";
  expect_to_outlive_its_trigger({{"channel", channel()}, {"checkpoint", "file://" + kept.string()}},
                                kept);
}

TEST_F(Lambda, AJobWithinItsTriggerGoesOnInAFreshOneToo) {
  const fs::path kept = folder() / "kept";
  expect_to_outlive_its_trigger({{"platform", "threads"},
                                 {"channel", "memory://alone"},
                                 {"output", "file://" + kept.string()}},
                                kept);
}

TEST_F(StoppedLambda, AWorkerThatWaitsForASilentOneStopsAndLeavesNothing) {
  const std::unique_ptr<Command> job = start_long_job();
  const std::vector<pid_t> workers = functions();
  ASSERT_EQ(workers.size(), 2U);
  ASSERT_EQ(::kill(workers[0], SIGSTOP), 0);
  // Its patience for the silent one is 300 s.
  EXPECT_EQ(with_keys({"stop", "run"}).exit_code, 0);
  EXPECT_EQ(job->wait().exit_code, 130);
  EXPECT_TRUE(comes_true([&] { return have_stopped(1); }));
  // The silent one finds what was left for it, and takes it away; what it was about to write when
  // it fell silent is there, at the most.
  const std::vector<std::string> left = left_in_channel();
  ASSERT_EQ(left.size(), 1U);
  ASSERT_EQ(::kill(workers[0], SIGCONT), 0);
  EXPECT_TRUE(comes_true([&] { return !fs::exists(left[0]); }));
  EXPECT_TRUE(comes_true([&] { return have_stopped(2); }));
  EXPECT_LE(left_in_channel().size(), 1U);
}

TEST_F(StoppedLambda, WorkersGoBeforeTheChannelIsCleared) {
  const std::unique_ptr<Command> job = start_long_job();
  job->signal(SIGINT);
  EXPECT_EQ(job->wait().exit_code, 130);
  EXPECT_TRUE(comes_true([&] { return have_stopped(2); }));
  EXPECT_TRUE(comes_true([&] { return left_in_channel().empty(); }));
}

/// A service that goes away with the functions that it runs; it is given 4 s instead of 20.
const std::vector<std::string> kShortOutage = {"LAMBDAML_OUTAGE_S=4"};

TEST_F(StoppedLambda, AWorkerThatFindsItsCheckpointDamagedTakesAllToTheOther) {
  deploy("lambdaml-worker", {"--timeout-s", "60"});
  std::string wide;  // so that states have commit records
  for (int row = 0; row < 300; ++row)
    wide += fmt::format("{} {}:0.5 {}:1 20000:1\n", row % 2, row + 1, 1000 + row % 7);
  write("wide.libsvm", wide);
  const std::string checkpoints = "file://" + (folder() / "kept").string();
  const std::vector<std::string> job{"--data", "wide.libsvm", "--epochs", "6"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), job.begin(), job.end());
    return more;
  };
  train(with({"--output", "whole", "--workers", "2"}));
  const nlohmann::json begun =
      train_there("lambdaml-worker",
                  with({"--output", "run", "--stop-after", "4", "--checkpoint", checkpoints}));
  const std::string state = "kept/" + begun["job_id"].get<std::string>() + "/1_2.1.safetensors";
  std::string bytes = read(folder() / state);
  bytes[bytes.size() / 2] ^= 1;
  write(state, bytes);
  const Result resumed = with_keys({"resume", "run", "-q", "--json"});
  ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_NE(resumed.err.find("1_2.1.safetensors"), std::string::npos) << resumed.err;
  EXPECT_TRUE(read(folder() / "run/model.safetensors") ==
              read(folder() / "whole/model.safetensors"));
  EXPECT_FALSE(fs::exists(Uri::parse(channel()).path)) << "something is left in the channel";
}

TEST_F(StoppedLambda, AServiceThatIsKilledEndsTheJobAndIsNamed) {
  const std::unique_ptr<Command> job = start_long_job(kShortOutage);
  kill_emulator();
  const Stopwatch clock;
  const Result result = job->wait();
  EXPECT_LT(clock.seconds(), 20);
  EXPECT_EQ(result.exit_code, 1) << result.err;
  EXPECT_NE(result.err.find(endpoint()), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("lambdaml resume"), std::string::npos) << result.err;
}

TEST_F(StoppedLambda, AServiceThatIsFrozenEndsTheJobAndIsNamed) {
  const std::unique_ptr<Command> job = start_long_job(kShortOutage);
  signal_emulator(SIGSTOP);
  for (const pid_t pid : functions()) ::kill(pid, SIGSTOP);
  const Stopwatch clock;
  const Result result = job->wait();
  EXPECT_LT(clock.seconds(), 20);
  EXPECT_EQ(result.exit_code, 1) << result.err;
  EXPECT_NE(result.err.find(endpoint()), std::string::npos) << result.err;
  signal_emulator(SIGCONT);
  for (const pid_t pid : functions()) ::kill(pid, SIGCONT);
  EXPECT_TRUE(comes_true([&] { return have_stopped(2); }));
}

TEST_F(StoppedLambda, AFrozenServiceIsNotAskedForLong) {
  deploy("lambdaml-worker");
  signal_emulator(SIGSTOP);
  const Stopwatch clock;
  const Result result =
      start({"train", "--platform", "aws", "--function", "lambdaml-worker", "--channel", channel(),
             "--data", real_data("higgs.train.libsvm"), "--workers", "2", "--output", "run", "-q"},
            kShortOutage)
          ->wait();
  EXPECT_LT(clock.seconds(), 20);
  EXPECT_EQ(result.exit_code, 1) << result.err;
  EXPECT_NE(result.err.find(endpoint()), std::string::npos) << result.err;
  signal_emulator(SIGCONT);
}

TEST_F(StoppedLambda, AnInterruptDoesNotWaitForAFrozenService) {
  const std::unique_ptr<Command> job = start_long_job();
  signal_emulator(SIGSTOP);
  for (const pid_t pid : functions()) ::kill(pid, SIGSTOP);
  const Stopwatch clock;
  job->signal(SIGINT);
  const Result result = job->wait();
  EXPECT_LT(clock.seconds(), 6);
  EXPECT_EQ(result.exit_code, 130) << result.err;
  EXPECT_NE(result.err.find("2 of the job's functions may still run"), std::string::npos)
      << result.err;
  signal_emulator(SIGCONT);
  for (const pid_t pid : functions()) ::kill(pid, SIGCONT);
  EXPECT_TRUE(comes_true([&] { return have_stopped(2); }));
}

TEST_F(StoppedLambda, WorkersStopWhoseTriggerWasKilled) {
  const std::unique_ptr<Command> job = start_long_job();
  job->signal(SIGKILL);
  job->wait();
  EXPECT_EQ(with_keys({"stop", "run"}).exit_code, 0);
  EXPECT_TRUE(comes_true([&] { return have_stopped(2); }));
}

TEST_F(Lambda, AJobWhoseTriggerWasKilledIsToldAndResumed) {
  REQUIRE_REAL_DATA();
  deploy("lambdaml-worker", {"--timeout-s", "600"});
  const std::string checkpoints = "file://" + (folder() / "kept").string();
  const std::vector<std::string> job{"--data",       real_data("higgs.train.libsvm"),
                                     "--workers",    "2",
                                     "--batch-size", "100",
                                     "--epochs",     "60"};
  std::vector<std::string> local = job;
  local.insert(local.end(), {"--output", "local"});
  train(local);
  std::vector<std::string> arguments{"train",           "--platform", "aws",     "--function",
                                     "lambdaml-worker", "--channel",  channel(), "--checkpoint",
                                     checkpoints,       "--output",   "run",     "-q"};
  arguments.insert(arguments.end(), job.begin(), job.end());
  const auto trigger = start(arguments);
  ASSERT_TRUE(wait_for_epochs(*trigger, folder() / "run/metrics.jsonl", 1));
  trigger->signal(SIGKILL);
  ASSERT_EQ(trigger->wait().exit_code, 128 + SIGKILL) << "the job ended before it could be killed";

  const auto status = [&](const std::string& run) {
    const Result result = with_keys({"status", run, "--json"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.json();
  };
  // Its workers go on, and in the end nobody takes what they report.
  nlohmann::json now = status("run");
  EXPECT_EQ(now["state"], "interrupted");
  const Deadline end = Deadline::in(120);
  while (now["finished"] != 2 && !end.passed()) now = status("run");
  EXPECT_EQ(now["finished"], 2);
  EXPECT_NE(now["advice"].get<std::string>().find("lambdaml resume run"), std::string::npos) << now;
  const nlohmann::json by_uri = status(checkpoints + "/" + now["job_id"].get<std::string>());
  EXPECT_EQ(by_uri["state"], "interrupted");
  EXPECT_NE(by_uri["advice"].get<std::string>().find("lambdaml resume RUN"), std::string::npos);
  EXPECT_NE(with_keys({"status", "run"}).out.find("lambdaml resume "), std::string::npos);

  EXPECT_EQ(with_keys({"resume", "run", "-q"}).exit_code, 0);
  EXPECT_EQ(read(folder() / "run/model.safetensors"), read(folder() / "local/model.safetensors"));
  EXPECT_EQ(status("run")["state"], "done");
}

TEST_F(Lambda, DestroyingEverythingIsConfirmed) {
  deploy("one");
  deploy("two");
  const Result refused = with_keys({"destroy", "--all"});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_NE(refused.err.find("--yes"), std::string::npos) << refused.err;
  EXPECT_EQ(with_keys({"destroy", "--all", "--dry-run", "--json"}).json()["deleted"].size(), 2U);
  EXPECT_EQ(with_keys({"destroy", "--all", "--yes", "--json"}).json()["deleted"].size(), 2U);
  EXPECT_EQ(with_keys({"destroy", "--all", "--yes", "--json"}).json()["deleted"].size(), 0U);
}

TEST_F(Lambda, AnAsynchronousCallNamesItsJob) {
  deploy("lambdaml-worker", {"--timeout-s", "60"});
  deploy("lambdaml-trigger", {"--handler", "trigger", "--timeout-s", "60"});
  const fs::path kept = folder() / "kept";
  const std::string job = nlohmann::json{{"data", real_data("agaricus.train.libsvm")},
                                         {"workers", 2},
                                         {"epochs", 2},
                                         {"channel", channel()},
                                         {"checkpoint", "file://" + kept.string()}}
                              .dump();
  const nlohmann::json taken =
      with_keys({"invoke", "lambdaml-trigger", "--async", "--payload", job, "--json"}).json();
  const std::string job_id = taken["job_id"];
  const Deadline end = Deadline::in(60);
  while (!fs::exists(kept / job_id / "model.safetensors") && !end.passed())
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_TRUE(fs::exists(kept / job_id / "model.safetensors")) << job_id;
  EXPECT_NE(
      with_keys({"invoke", "lambdaml-trigger", "--async", "--payload", job}).out.find(", job job-"),
      std::string::npos);
  // Another program's event begins no job.
  EXPECT_FALSE(with_keys({"invoke", "lambdaml-worker", "--async", "--payload", "{}", "--json"})
                   .json()
                   .contains("job_id"));
}

TEST_F(Lambda, ASecondDeployChangesNothingAndOnlyOursAreDestroyed) {
  deploy("lambdaml-worker");
  const Result again = with_keys(
      {"deploy", "--zip", LAMBDAML_TEST_ZIP, "--function", "lambdaml-worker", "--dry-run"});
  EXPECT_NE(again.out.find("unchanged"), std::string::npos) << again.out;
  EXPECT_EQ(with_keys({"destroy", "lambdaml-worker"}).exit_code, 0);
  EXPECT_EQ(with_keys({"destroy", "lambdaml-worker"}).exit_code, 0);
  const Result train = with_keys({"train", "--platform", "aws", "--function", "lambdaml-worker",
                                  "--data", real_data("agaricus.train.libsvm"), "--channel",
                                  channel(), "--output", "out", "-q"});
  EXPECT_EQ(train.exit_code, 2);
  EXPECT_NE(train.err.find("lambdaml-worker"), std::string::npos) << train.err;
}

TEST_F(Lambda, FunctionsMeasureTheirStoreForAProfile) {
  deploy("lambdaml-worker");
  const auto calibrate = [&](std::vector<std::string> more) {
    std::vector<std::string> arguments{
        "calibrate", "--platform", "aws",       "--function", "lambdaml-worker",
        "--channel", channel(),    "--seconds", "0.3",        "--workers",
        "3",         "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return with_keys(arguments);
  };
  const Result whole = calibrate({});
  ASSERT_EQ(whole.exit_code, 0) << whole.err;
  EXPECT_GE(whole.json()["measured"], 4 * 200);
  EXPECT_GT(whole.json()["cost_usd"], 0);
  const std::string profile = read(folder() / "profile.yaml");
  EXPECT_THAT(profile,
              AllOf(HasSubstr(" from 3 functions of "), HasSubstr("architecture: x86_64")));
  // One that was started for its event says how long that takes, and the store is the channel's.
  EXPECT_THAT(profile.substr(profile.find("cold_start")), HasSubstr("source: lambdaml calibrate"));
  EXPECT_LT(profile.find("  efs:"), profile.find("  s3-standard:"));
  const Result simulated = lambdaml({"simulate", "--rows", "1000", "--features", "10", "--profile",
                                     "profile.yaml", "--channel", "efs", "--json"});
  EXPECT_EQ(simulated.exit_code, 0) << simulated.err;
  EXPECT_EQ(lambdaml({"storage", "ls", channel()}).out, "") << "nothing of it stays";

  // Of one function with the usual memory, 2.3 s are less, of three they are more.
  const Result part = calibrate({"--budget", "1e-4", "--out", "part.yaml"});
  EXPECT_EQ(part.exit_code, 2);
  EXPECT_THAT(part.err, AllOf(HasSubstr("what was measured is kept in part.yaml: budget 0.0001: $"),
                              HasSubstr("3 functions at once would cost about")));
  EXPECT_THAT(read(folder() / "part.yaml"), HasSubstr("from one function of "));
  const Result none = calibrate({"--budget", "1e-6", "--out", "none.yaml"});
  EXPECT_EQ(none.exit_code, 2);
  EXPECT_THAT(none.err, HasSubstr("one function alone costs about $"));
  EXPECT_FALSE(fs::exists(folder() / "none.yaml"));
  EXPECT_THAT(lambdaml({"calibrate", "--channel", channel(), "--budget", "1"}).err,
              HasSubstr("name their --platform"));
  EXPECT_THAT(lambdaml({"calibrate", "--channel", channel(), "--platform", "threads"}).err,
              HasSubstr("which is measured without --platform"));
}

TEST_F(Lambda, ThePackageRunsWithNothingButItself) {
  REQUIRE_OR_SKIP(::geteuid() == 0, "only root may change its root");
  // Made as a user makes it; 11 MB is what a worker without deep models, with what unpacks data,
  // may take.
  EXPECT_LT(fs::file_size(LAMBDAML_TEST_ZIP), 11'000'000U);
  const std::string root = (folder() / "root").string();
  const std::string unpack = std::string("/usr/bin/python3 -m zipfile -e ") + LAMBDAML_TEST_ZIP +
                             " " + root + " && chmod -R u+rwX " + root + " && chmod 755 " + root +
                             "/bootstrap " + root + "/bin/lambdaml-worker " + root + "/lib/loader";
  ASSERT_EQ(std::system(unpack.c_str()), 0);
  // Functions read compressed data.
  for (const char* name : {"libbz2.so.1.0", "liblzma.so.5", "libzstd.so.1"})
    EXPECT_TRUE(fs::exists(fs::path(root) / "lib" / name)) << name;
  // Nobody listens there: the worker says so, which it can only do when it runs.
  const std::string run =
      "env -i LAMBDA_TASK_ROOT=/ AWS_LAMBDA_RUNTIME_API=127.0.0.1:9 /usr/sbin/chroot " + root +
      " /bootstrap > " + root + "/said 2>&1";
  EXPECT_NE(std::system(run.c_str()), 0);
  const std::string said = read(fs::path(root) / "said");
  EXPECT_NE(said.find("127.0.0.1:9"), std::string::npos) << said;
  EXPECT_NE(said.find("\"level\":\"error\""), std::string::npos) << said;
}

}  // namespace
}  // namespace lambdaml::e2e
