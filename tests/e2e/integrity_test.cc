// Data, checkpoints and models that are not what was written: the documented exit code, and a line
// that names the file. Nobody trains on them.
#include <filesystem>
#include <fstream>
#include <sstream>

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <signal.h>

#include "e2e/command.h"

namespace lambdaml::e2e {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class Integrity : public CliTest {
 protected:
  void SetUp() override {
    CliTest::SetUp();
    ASSERT_EQ(lambdaml({"data", "synth", "higgs", "--rows", "600", "--out", "a.libsvm"}).exit_code,
              0);
    ASSERT_EQ(
        lambdaml({"data", "synth", "higgs", "--rows", "600", "--seed", "2", "--out", "b.libsvm"})
            .exit_code,
        0);
  }
  void split(const std::string& file, const std::string& to, const std::string& as = "shard") {
    ASSERT_EQ(lambdaml({"data", "split", file, "--workers", "2", "--to", to, "--as", as}).exit_code,
              0);
  }
  void flip(const fs::path& name, std::size_t bit) const {
    std::string bytes = read(folder() / name);
    bit %= bytes.size() * 8;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
    write(name.string(), bytes);
  }
  void replace(const fs::path& name, const std::string& from, const std::string& to) const {
    std::string bytes = read(folder() / name);
    const std::size_t at = bytes.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    write(name.string(), bytes.replace(at, from.size(), to));
  }
  void copy(const fs::path& from, const fs::path& to) const {
    fs::copy_file(folder() / from, folder() / to, fs::copy_options::overwrite_existing);
  }
  /// The file of a worker's checkpoints in a run's folder.
  fs::path checkpoint(const std::string& run, const std::string& name) const {
    for (const auto& job : fs::directory_iterator(folder() / run / "checkpoint"))
      return fs::path(run) / "checkpoint" / job.path().filename() / name;
    return {};
  }
  Result train_on(const std::string& data, std::vector<std::string> more = {}) const {
    std::vector<std::string> all{"train", "--data", data,  "--workers", "2",        "--epochs",
                                 "6",     "--lr",   "0.1", "-q",        "--output", "run"};
    all.insert(all.end(), more.begin(), more.end());
    return lambdaml(all);
  }
  void expect_refused(const Result& result, const std::string& name) const {
    EXPECT_EQ(result.exit_code, 2) << result.err;
    EXPECT_THAT(result.err, HasSubstr(name));
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  }
  /// By everything that reads data.
  void expect_data_refused(const std::string& name) const {
    expect_refused(train_on("set"), name);
    EXPECT_FALSE(fs::exists(folder() / "run"));
    expect_refused(train_on("a.libsvm", {"--test-data", "set"}), name);
    expect_refused(lambdaml({"data", "info", "set"}), name);
    expect_refused(lambdaml({"predict", "--model", "m.safetensors", "--data", "set"}), name);
  }
};

TEST_F(Integrity, ADamagedOrExchangedPartIsRefusedByName) {
  ASSERT_EQ(train_on("a.libsvm").exit_code, 0);
  copy("run/model.safetensors", "m.safetensors");
  fs::remove_all(folder() / "run");
  split("a.libsvm", "set");
  split("b.libsvm", "other");
  const std::string first = read(folder() / "set/0_2"), second = read(folder() / "set/1_2"),
                    manifest = read(folder() / "set/manifest.json");
  for (const std::size_t bit : {3U, 400U, 20000U, static_cast<unsigned>(second.size()) * 8 - 1}) {
    flip("set/1_2", bit);
    expect_data_refused("set/1_2");
    write("set/1_2", second);
  }
  copy("set/1_2", "set/0_2");
  expect_data_refused("set/0_2");
  copy("other/0_2", "set/0_2");
  expect_data_refused("set/0_2");
  write("set/0_2", first);
  replace("set/manifest.json", "\"features\": 28", "\"features\": 29");
  expect_data_refused("set/manifest.json");
  copy("other/manifest.json", "set/manifest.json");
  expect_data_refused("set/");
  write("set/manifest.json", manifest);
  // Text parts are known by the manifest alone; the trigger reads them.
  fs::remove_all(folder() / "set");
  split("a.libsvm", "set", "libsvm");
  replace("set/1_2", ":0", ":1");
  expect_data_refused("set/1_2");
}

TEST_F(Integrity, TextThatChangesWhileAJobRunsChangesNothing) {
  split("a.libsvm", "set", "libsvm");
  fs::remove(folder() / "set/manifest.json");
  ASSERT_EQ(train_on("set", {"--epochs", "400", "--output", "whole"}).exit_code, 0);
  std::vector<std::string> arguments{"train",    "--data", "set",  "--workers", "2",        "-q",
                                     "--epochs", "400",    "--lr", "0.1",       "--output", "run"};
  Command command(folder(), arguments);
  ASSERT_TRUE(wait_for_epochs(command, folder() / "run" / "metrics.jsonl", 1));
  // A worker that is tried again reads its part again: what the trigger has read.
  replace("set/1_2", ":0", ":1");
  for (const pid_t worker : command.workers()) ::kill(worker, SIGKILL);
  const Result result = command.wait();
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(read(folder() / "run/model.safetensors"), read(folder() / "whole/model.safetensors"));
}

TEST_F(Integrity, TextThatChangesBeforeAJobGoesOnIsRefusedByName) {
  split("a.libsvm", "set", "libsvm");
  fs::remove(folder() / "set/manifest.json");
  const std::vector<std::string> test{"--test-data", "b.libsvm"};
  ASSERT_EQ(train_on("set", {"--output", "whole", "--test-data", "b.libsvm"}).exit_code, 0);
  ASSERT_EQ(train_on("set", {"--stop-after", "2", "--test-data", "b.libsvm"}).exit_code, 0);
  for (const char* name : {"set/1_2", "b.libsvm"}) {
    const std::string before = read(folder() / name);
    replace(name, ":0", ":1");
    expect_refused(lambdaml({"resume", "run", "-q"}), name);
    write(name, before + "\n# a comment, but other bytes\n");
    expect_refused(lambdaml({"resume", "run", "-q"}), name);
    write(name, before);
  }
  // Also where the record of the files is lost: by the rows.
  const fs::path record = checkpoint("run", "data.json");
  const std::string kept = read(folder() / record);
  for (const char* name : {"set/1_2", "b.libsvm"}) {
    const std::string before = read(folder() / name);
    fs::remove(folder() / record);
    replace(name, ":0", ":1");
    const Result result = lambdaml({"resume", "run", "-q"});
    EXPECT_EQ(result.exit_code, 2) << result.err;
    EXPECT_THAT(result.err, HasSubstr("a run with other options or data"));
    write(name, before);
  }
  write(record.string(), kept);
  const Result resumed = lambdaml({"resume", "run", "-q"});
  ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_EQ(read(folder() / "run/model.safetensors"), read(folder() / "whole/model.safetensors"));
}

/// States that have commit records, and smaller ones, which have none.
class CheckpointsOfJobs : public Integrity, public testing::WithParamInterface<std::string> {
 protected:
  void SetUp() override {
    Integrity::SetUp();
    std::string wide;
    for (int row = 0; row < 300; ++row)
      wide +=
          fmt::format("{} {}:0.5 {}:1 20000:{}\n", row % 2, row + 1, 1000 + row % 7, 1 + row % 3);
    write("wide.libsvm", wide);
  }
};

INSTANTIATE_TEST_SUITE_P(, CheckpointsOfJobs, testing::Values("a", "wide"),
                         [](const auto& info) { return info.param; });

TEST_P(CheckpointsOfJobs, OfTwoTheWholeOneIsUsedAndThatIsSaid) {
  const std::string data = GetParam() + ".libsvm";
  ASSERT_EQ(train_on(data, {"--output", "whole"}).exit_code, 0);
  EXPECT_EQ(fs::exists(folder() / checkpoint("whole", "1_2.1.commit")), GetParam() == "wide");
  const std::string expected = read(folder() / "whole/model.safetensors");
  const auto expect_same = [&](const std::string& name) {
    const Result resumed = lambdaml({"resume", "run", "-q"});
    ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
    EXPECT_THAT(resumed.err, AllOf(HasSubstr(name), HasSubstr("other checkpoint is used")));
    EXPECT_EQ(read(folder() / "run/model.safetensors"), expected) << name;
    fs::remove_all(folder() / "run");
  };
  const auto begin = [&] { ASSERT_EQ(train_on(data, {"--stop-after", "4"}).exit_code, 0); };
  // Slot 0 has epoch 3, slot 1 epoch 4.
  for (const std::string field : {"epoch", "round"}) {
    begin();
    std::string last;
    std::istringstream lines(read(folder() / "run/metrics.jsonl"));
    for (std::string line; std::getline(lines, line);) last = line;
    const int now = field == "epoch" ? 4 : nlohmann::json::parse(last)["rounds"].get<int>();
    const auto from = fmt::format("\"{}\":\"{}\"", field, now);
    const auto to = fmt::format("\"{}\":\"{}\"", field, now - 2);
    for (const char* name : {"0_2.1.safetensors", "1_2.1.safetensors"})
      replace(checkpoint("run", name), from, to);
    expect_same("0_2.1.safetensors");
  }
  begin();
  flip(checkpoint("run", "1_2.1.safetensors"), 12345);
  expect_same("1_2.1.safetensors");
  begin();
  copy(checkpoint("run", "1_2.1.safetensors"), checkpoint("run", "0_2.1.safetensors"));
  expect_same("0_2.1.safetensors");
  begin();
  for (const char* name : {"0_2.0.safetensors", "0_2.1.safetensors"})
    flip(checkpoint("run", name), 12345);
  expect_refused(lambdaml({"resume", "run", "-q"}), "0_2.1.safetensors");
}

TEST_P(CheckpointsOfJobs, ThoseOfThreadsToo) {
  const std::string data = GetParam() + ".libsvm";
  ASSERT_EQ(train_on(data, {"--output", "whole"}).exit_code, 0);
  ASSERT_EQ(train_on(data, {"--stop-after", "4", "--channel", "memory"}).exit_code, 0);
  flip(checkpoint("run", "1_2.1.safetensors"), 12345);
  const Result resumed = lambdaml({"resume", "run", "-q", "--json"});
  ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_THAT(resumed.err, HasSubstr("1_2.1.safetensors"));
  EXPECT_EQ(std::count(resumed.err.begin(), resumed.err.end(), '\n'), 1) << resumed.err;
  EXPECT_EQ(read(folder() / "run/model.safetensors"), read(folder() / "whole/model.safetensors"));
  std::size_t epoch = 0;
  std::istringstream lines(read(folder() / "run/metrics.jsonl"));
  for (std::string line; std::getline(lines, line);)
    EXPECT_EQ(nlohmann::json::parse(line)["epoch"], ++epoch);
  EXPECT_EQ(epoch, 6U);
}

TEST_P(CheckpointsOfJobs, ADamagedRecordIsPassedOver) {
  if (GetParam() != "wide") return;
  ASSERT_EQ(train_on("wide.libsvm", {"--output", "whole"}).exit_code, 0);
  for (const char* name : {"0_2.1.commit", "1_2.0.commit"}) {
    ASSERT_EQ(train_on("wide.libsvm", {"--stop-after", "4"}).exit_code, 0);
    flip(checkpoint("run", name), 999);
    const Result resumed = lambdaml({"resume", "run", "-q"});
    ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
    EXPECT_THAT(resumed.err, HasSubstr(name));
    EXPECT_EQ(std::count(resumed.err.begin(), resumed.err.end(), '\n'), 1) << resumed.err;
    EXPECT_EQ(read(folder() / "run/model.safetensors"), read(folder() / "whole/model.safetensors"));
    fs::remove_all(folder() / "run");
  }
}

TEST_F(Integrity, AJobWithoutAWholeCheckpointSaysWhatIsLeftToDo) {
  ASSERT_EQ(train_on("a.libsvm", {"--stop-after", "2"}).exit_code, 0);
  for (const char* state : {"1_2.0.safetensors", "1_2.1.safetensors"})
    flip(checkpoint("run", state), 5000);
  const Result resumed = lambdaml({"resume", "run", "-q"});
  expect_refused(resumed, "/1_2.");
  EXPECT_THAT(resumed.err, HasSubstr("worker 1 has no other checkpoint"));
  EXPECT_THAT(resumed.err, HasSubstr("train again"));
}

TEST_F(Integrity, MetricsThatAreNoneAreNamedByTheirKey) {
  ASSERT_EQ(lambdaml({"data", "synth", "higgs", "--rows", "100000", "--out", "c.libsvm"}).exit_code,
            0);
  const fs::path channel = folder() / "channel";
  fs::create_directory(channel);
  fs::permissions(channel, fs::perms::owner_all);
  Command command(folder(), {"train", "--data", "c.libsvm", "--workers", "2", "--epochs", "2", "-q",
                             "--channel", "file://" + channel.string(), "--output", "run"});
  fs::path job;
  while (job.empty() && command.runs())
    for (const auto& entry : fs::directory_iterator(channel)) job = entry.path();
  // Those of an epoch that no worker will write.
  fs::create_directories(job / "metrics");
  std::ofstream(job / "metrics" / "3") << "{\"epoch\":\"three\"}";
  expect_refused(command.wait(), "metrics/3");
}

TEST_F(Integrity, ARunGoesOnOnlyWithTheJobThatItBeganWith) {
  ASSERT_EQ(train_on("a.libsvm", {"--stop-after", "2"}).exit_code, 0);
  const std::string job = read(folder() / "run/job.yaml"), run = read(folder() / "run/run.json");
  replace("run/job.yaml", "epochs: 6", "epochs: 7");
  expect_refused(lambdaml({"resume", "run", "-q"}), "job.yaml");
  write("run/job.yaml", job);
  flip("run/run.json", 99);
  expect_refused(lambdaml({"resume", "run", "-q"}), "run.json");
  write("run/run.json", run);
  EXPECT_EQ(lambdaml({"resume", "run", "-q"}).exit_code, 0);
}

TEST_F(Integrity, ADamagedModelIsRefused) {
  ASSERT_EQ(train_on("a.libsvm").exit_code, 0);
  copy("run/model.safetensors", "m.safetensors");
  const auto predict = [&] {
    return lambdaml({"predict", "--model", "m.safetensors", "--data", "a.libsvm", "-q"});
  };
  const Result whole = predict();
  EXPECT_EQ(whole.exit_code, 0) << whole.err;
  EXPECT_EQ(whole.err, "");
  const std::string model = read(folder() / "m.safetensors");
  for (const std::size_t bit : {2U, 300U, 5000U, static_cast<unsigned>(model.size()) * 8 - 30}) {
    flip("m.safetensors", bit);
    expect_refused(predict(), "m.safetensors");
    write("m.safetensors", model);
  }
  replace("m.safetensors", "\"labels\":\"[0,1]\"", "\"labels\":\"[0,7]\"");
  expect_refused(predict(), "m.safetensors");
}

}  // namespace
}  // namespace lambdaml::e2e
