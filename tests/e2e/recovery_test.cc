// Jobs that are cut, killed or stopped.
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <set>
#include <sstream>
#include <thread>

#include <gmock/gmock.h>
#include <signal.h>

#include "e2e/command.h"
#include "lambdaml/base/deadline.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::e2e {
namespace {

namespace fs = std::filesystem;

struct Job {
  std::string name;
  std::vector<std::string> arguments;
};

void PrintTo(const Job& job, std::ostream* out) { *out << job.name; }

/// Long enough to be caught in the middle.
std::vector<std::string> job_arguments(const Job& job) {
  std::vector<std::string> all{
      "--data", real_data("higgs.train.libsvm"), "--workers", "3", "--batch-size", "100"};
  all.insert(all.end(), job.arguments.begin(), job.arguments.end());
  return all;
}

/// Whether anything of the job lies in shared memory.
bool in_shared_memory(const std::string& job_id) {
  std::error_code gone;
  for (const auto& entry : fs::directory_iterator("/dev/shm"))
    if (fs::exists(entry.path() / job_id, gone)) return true;
  return false;
}

class Recovery : public CliTest {
 protected:
  /// Every test has a channel of its own, so that it can be looked at.
  std::string channel() const { return "file://" + (folder() / "channel").string(); }
  bool channel_is_empty() const {
    std::error_code error;
    const fs::path path = folder() / "channel";
    return !fs::exists(path, error) || fs::is_empty(path, error);
  }
};

class EveryKind : public Recovery, public testing::WithParamInterface<Job> {};

TEST_P(EveryKind, ResumesToTheBitwiseSameModel) {
  REQUIRE_REAL_DATA();
  std::vector<std::string> whole{"train", "--json", "-q", "--output", "whole"};
  std::vector<std::string> cut{"train", "-q", "--output", "cut", "--channel", channel()};
  for (const std::string& argument : job_arguments(GetParam())) {
    whole.push_back(argument);
    cut.push_back(argument);
  }
  const Result expected = lambdaml(whole);
  ASSERT_EQ(expected.exit_code, 0) << expected.err;

  Command command(folder(), cut);
  ASSERT_TRUE(wait_for_epochs(command, folder() / "cut" / "metrics.jsonl", 2));
  command.signal(SIGKILL);
  ASSERT_EQ(command.wait().exit_code, 128 + SIGKILL) << "the job ended before it could be killed";

  const Result resumed = lambdaml({"resume", "cut", "--json", "-q"});
  ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_EQ(read(folder() / "cut" / "model.safetensors"),
            read(folder() / "whole" / "model.safetensors"));
  EXPECT_EQ(resumed.json()["epochs"], expected.json()["epochs"]);
  EXPECT_EQ(resumed.json()["job_id"].get<std::string>().empty(), false);
  EXPECT_TRUE(channel_is_empty());
  // One line per epoch, none twice.
  std::size_t epoch = 0;
  std::istringstream lines(read(folder() / "cut" / "metrics.jsonl"));
  for (std::string line; std::getline(lines, line);)
    EXPECT_EQ(nlohmann::json::parse(line)["epoch"], ++epoch);
  EXPECT_EQ(epoch, resumed.json()["epochs"]);
}

INSTANTIATE_TEST_SUITE_P(
    , EveryKind,
    testing::Values(
        Job{"lr_grad_avg", {"--epochs", "400", "--momentum", "0.9"}},
        Job{"lr_reduce_scatter", {"--epochs", "300", "--sync-mode", "reduce_scatter"}},
        Job{"svm_model_avg",
            {"--model", "svm", "--optim", "model_avg", "--epochs", "1500", "--lr", "0.01"}},
        Job{"lr_admm",
            {"--optim", "admm", "--admm-epochs", "600", "--epochs", "2", "--admm-tolerance-abs",
             "0", "--admm-tolerance-rel", "0"}},
        Job{"kmeans",
            {"--model", "kmeans", "--epochs", "3000", "--clusters", "300", "--threshold", "0"}}),
    [](const auto& info) { return info.param.name; });

TEST_F(Recovery, AKilledWorkerIsReplacedAndTheModelIsTheSame) {
  REQUIRE_REAL_DATA();
  const std::vector<std::string> job = job_arguments({"", {"--epochs", "300"}});
  std::vector<std::string> arguments{"train", "--json", "-q", "--output", "whole"};
  arguments.insert(arguments.end(), job.begin(), job.end());
  ASSERT_EQ(lambdaml(arguments).exit_code, 0);

  arguments = {"train", "--json", "--output", "killed", "--channel", channel()};
  arguments.insert(arguments.end(), job.begin(), job.end());
  Command command(folder(), arguments);
  ASSERT_TRUE(wait_for_epochs(command, folder() / "killed" / "metrics.jsonl", 3));
  const std::vector<pid_t> workers = command.workers();
  ASSERT_EQ(workers.size(), 3U);
  ::kill(workers[0], SIGKILL);
  ASSERT_TRUE(wait_for_epochs(command, folder() / "killed" / "metrics.jsonl", 40));
  const std::vector<pid_t> later = command.workers();
  ASSERT_EQ(later.size(), 3U);
  ::kill(later[2], SIGABRT);
  const Result result = command.wait();
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.err.find("SIGKILL"), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("SIGABRT"), std::string::npos) << result.err;
  EXPECT_EQ(read(folder() / "killed" / "model.safetensors"),
            read(folder() / "whole" / "model.safetensors"));
}

TEST_F(Recovery, AWorkerThatDiesAgainAndAgainEndsTheJobWithFour) {
  REQUIRE_REAL_DATA();
  std::vector<std::string> arguments{"train",     "--json",  "--output", "lost",
                                     "--channel", channel(), "--epochs", "100000"};
  for (const std::string& argument : job_arguments({"", {}})) arguments.push_back(argument);
  Command command(folder(), arguments);
  ASSERT_TRUE(wait_for_epochs(command, folder() / "lost" / "metrics.jsonl", 1));
  // The worker that is killed is always the one that came last: the replacement of the first.
  const std::vector<pid_t> first = command.workers();
  ASSERT_EQ(first.size(), 3U);
  std::set<pid_t> others(first.begin() + 1, first.end());
  ::kill(first[0], SIGKILL);
  int killed = 1;
  for (int i = 0; i < 4000 && killed < 3; ++i) {
    for (const pid_t pid : command.workers())
      if (!others.contains(pid) && pid != first[0]) {
        ::kill(pid, SIGKILL);
        others.insert(pid);
        ++killed;
      }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  ASSERT_EQ(killed, 3);
  const Result result = command.wait();
  EXPECT_EQ(result.exit_code, 4) << result.err;
  EXPECT_NE(result.err.find("was lost after 3 attempts"), std::string::npos) << result.err;
  EXPECT_TRUE(channel_is_empty());
}

TEST_F(Recovery, AWorkerThatLeavesForATryThatIsNotThereEndsTheJob) {
  ASSERT_EQ(lambdaml({"data", "synth", "higgs", "--rows", "600", "--out", "a.libsvm"}).exit_code,
            0);
  Command command(folder(), {"train", "-q", "--data", "a.libsvm", "--workers", "2", "--lr", "0.1",
                             "--epochs", "1000000", "--output", "run", "--channel", channel()});
  ASSERT_TRUE(wait_for_epochs(command, folder() / "run" / "metrics.jsonl", 1));
  const std::string job = nlohmann::json::parse(read(folder() / "run" / "run.json"))["job_id"];
  storage::open(channel())->save(job + "/tenure/1", as_bytes("0123456789abcdef"));
  const Stopwatch clock;
  const Result result = command.wait();
  // The other worker's patience is 300 s.
  EXPECT_LT(clock.seconds(), 60);
  EXPECT_EQ(result.exit_code, 1) << result.err;
  EXPECT_THAT(result.err, testing::HasSubstr("another attempt of it is running; there is none"));
  EXPECT_THAT(result.err, testing::HasSubstr("lambdaml resume"));
  EXPECT_TRUE(channel_is_empty());
}

TEST_F(Recovery, AnInterruptLeavesNothingButWhatCanBeResumed) {
  REQUIRE_REAL_DATA();
  std::vector<std::string> arguments{"train", "--output", "stopped", "--epochs", "100000"};
  for (const std::string& argument : job_arguments({"", {}})) arguments.push_back(argument);
  Command command(folder(), arguments);
  ASSERT_TRUE(wait_for_epochs(command, folder() / "stopped" / "metrics.jsonl", 2));
  const std::vector<pid_t> workers = command.workers();
  ASSERT_EQ(workers.size(), 3U);
  const std::string job_id =
      nlohmann::json::parse(read(folder() / "stopped" / "run.json"))["job_id"];
  EXPECT_TRUE(in_shared_memory(job_id));
  command.signal(SIGINT);
  const Result result = command.wait();
  EXPECT_EQ(result.exit_code, 130) << result.err;
  EXPECT_NE(result.err.find("lambdaml resume"), std::string::npos) << result.err;
  EXPECT_FALSE(in_shared_memory(job_id));
  for (const pid_t pid : workers) EXPECT_NE(::kill(pid, 0), 0) << "worker " << pid << " lives on";
  EXPECT_TRUE(fs::exists(folder() / "stopped" / "checkpoint"));
  EXPECT_FALSE(fs::exists(folder() / "stopped" / "model.safetensors"));
}

TEST_F(Recovery, ADeadlineEndsTheJobWithThree) {
  REQUIRE_REAL_DATA();
  std::vector<std::string> arguments{"train",   "--json",     "-q",      "--output",
                                     "late",    "--channel",  channel(), "--epochs",
                                     "1000000", "--deadline", "0.5"};
  for (const std::string& argument : job_arguments({"", {}})) arguments.push_back(argument);
  const Result result = lambdaml(arguments);
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_NE(result.err.find("lambdaml resume"), std::string::npos) << result.err;
  EXPECT_TRUE(channel_is_empty());
}

TEST_F(Recovery, ADamagedCheckpointIsNotTrainedOn) {
  REQUIRE_REAL_DATA();
  std::vector<std::string> arguments{"train", "-q", "--output", "run", "--epochs", "100000"};
  for (const std::string& argument : job_arguments({"", {}})) arguments.push_back(argument);
  {
    Command command(folder(), arguments);
    ASSERT_TRUE(wait_for_epochs(command, folder() / "run" / "metrics.jsonl", 3));
    command.signal(SIGKILL);
    command.wait();
  }
  for (const auto& entry : fs::recursive_directory_iterator(folder() / "run" / "checkpoint")) {
    if (!entry.is_regular_file()) continue;
    std::string bytes = read(entry.path());
    bytes[bytes.size() - 5] ^= 1;
    write(fs::relative(entry.path(), folder()).string(), bytes);
  }
  const Result result = lambdaml({"resume", "run", "--json", "-q"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_NE(result.err.find("checksum"), std::string::npos) << result.err;
}

TEST_F(Recovery, ARunGoesOnInAnotherChannelWithOtherLimits) {
  REQUIRE_REAL_DATA();
  const std::vector<std::string> job = {
      "--data", real_data("higgs.train.libsvm"), "--workers", "3", "--epochs", "6", "--momentum",
      "0.9"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), job.begin(), job.end());
    return more;
  };
  train(with({"--output", "whole"}));
  train(with({"--output", "run", "--stop-after", "2"}));
  const Result resumed = lambdaml(
      {"resume", "run", "--channel", "memory", "--memory-mb", "3008", "--deadline", "100", "-q"});
  EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_EQ(read(folder() / "run" / "model.safetensors"),
            read(folder() / "whole" / "model.safetensors"));
  // What decides the numbers stays as it was.
  EXPECT_EQ(lambdaml({"resume", "run", "--lr", "1"}).exit_code, 2);
}

TEST_F(Recovery, AFinishedRunIsLeftAlone) {
  REQUIRE_REAL_DATA();
  const nlohmann::json summary =
      train({"--data", real_data("agaricus.train.libsvm"), "--output", "run", "--epochs", "1"});
  const std::string model = read(folder() / "run" / "model.safetensors");
  const Result result = lambdaml({"resume", "run", "--json", "-q"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.json(), summary);
  EXPECT_EQ(read(folder() / "run" / "model.safetensors"), model);
}

TEST_F(Recovery, JobsWithThreadsCanBeStoppedToo) {
  REQUIRE_REAL_DATA();
  std::vector<std::string> arguments{"train",   "--output",  "run",   "--epochs",
                                     "1000000", "--channel", "memory"};
  for (const std::string& argument : job_arguments({"", {}})) arguments.push_back(argument);
  {
    Command command(folder(), arguments);
    ASSERT_TRUE(wait_for_epochs(command, folder() / "run" / "metrics.jsonl", 2));
    command.signal(SIGINT);
    EXPECT_EQ(command.wait().exit_code, 130);
  }
  arguments.insert(arguments.end(), {"--output", "late", "--deadline", "0.3", "-q"});
  EXPECT_EQ(lambdaml(arguments).exit_code, 3);
}

TEST_F(Recovery, AnEarlyEndStaysTheEndAfterAResume) {
  REQUIRE_REAL_DATA();
  // Killed after its last checkpoint but before its report: the marker of the summary is missing.
  std::vector<std::string> arguments{"train",   "--json",          "-q", "--output", "run",
                                     "--until", "train_loss<=0.68"};
  for (const std::string& argument : job_arguments({"", {"--epochs", "500"}}))
    arguments.push_back(argument);
  const Result whole = lambdaml(arguments);
  ASSERT_EQ(whole.exit_code, 0) << whole.err;
  ASSERT_EQ(whole.json()["ended_by"], "until");
  const std::string model = read(folder() / "run" / "model.safetensors");
  fs::remove(folder() / "run" / "summary.json");
  fs::remove(folder() / "run" / "model.safetensors");
  const Result resumed = lambdaml({"resume", "run", "--json", "-q"});
  ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_EQ(resumed.json()["ended_by"], "until");
  EXPECT_EQ(resumed.json()["epochs"], whole.json()["epochs"]);
  EXPECT_EQ(read(folder() / "run" / "model.safetensors"), model);
}

TEST_F(Recovery, AWorkerKilledInAResumedRunGoesBackToItsStart) {
  REQUIRE_REAL_DATA();
  const std::vector<std::string> job =
      job_arguments({"", {"--epochs", "400", "--checkpoint-every", "3"}});
  std::vector<std::string> arguments{"train", "-q", "--output", "whole"};
  arguments.insert(arguments.end(), job.begin(), job.end());
  ASSERT_EQ(lambdaml(arguments).exit_code, 0);
  arguments = {"train", "-q",           "--output",
               "cut",   "--checkpoint", "file://" + (folder() / "saved").string()};
  arguments.insert(arguments.end(), job.begin(), job.end());
  {
    Command command(folder(), arguments);
    ASSERT_TRUE(wait_for_epochs(command, folder() / "cut" / "metrics.jsonl", 10));
    command.signal(SIGKILL);
    command.wait();
  }
  Command command(folder(), {"resume", "cut", "-q"});
  for (int i = 0; i < 2000 && command.workers().size() < 3; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  for (const pid_t pid : command.workers()) ::kill(pid, SIGKILL);
  const Result result = command.wait();
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(read(folder() / "cut" / "model.safetensors"),
            read(folder() / "whole" / "model.safetensors"));
}

TEST_F(Recovery, AsynchronousRunsCanBeResumed) {
  REQUIRE_REAL_DATA();
  std::vector<std::string> arguments{"train", "-q", "--output", "run", "--sync-mode", "async"};
  for (const std::string& argument : job_arguments({"", {"--epochs", "400"}}))
    arguments.push_back(argument);
  {
    Command command(folder(), arguments);
    ASSERT_TRUE(wait_for_epochs(command, folder() / "run" / "metrics.jsonl", 5));
    command.signal(SIGKILL);
    command.wait();
  }
  const Result result = lambdaml({"resume", "run", "--json", "-q"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.json()["epochs"], 400);
  EXPECT_LE(result.json()["train_loss"], 0.66);
}

TEST_F(Recovery, DivergenceIsSaidOnceAndEndsWithOne) {
  REQUIRE_REAL_DATA();
  const Result result =
      lambdaml({"train", "--data", real_data("higgs.train.libsvm"), "--lr", "1e39", "--epochs",
                "50", "-q", "--output", "run", "--batch-size", "50"});
  EXPECT_EQ(result.exit_code, 1) << result.err;
  EXPECT_NE(result.err.find("diverged in epoch"), std::string::npos) << result.err;
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
}

}  // namespace
}  // namespace lambdaml::e2e
