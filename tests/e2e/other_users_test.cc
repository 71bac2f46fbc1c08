// Other users of the machine: they cannot read what a command leaves, and what they put in the way
// in a folder like /tmp is not used.
#include <algorithm>
#include <filesystem>
#include <fstream>

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <sys/stat.h>

#include "e2e/command.h"
#include "e2e/lambda.h"
#include "lambdaml/base/deadline.h"

namespace lambdaml::e2e {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

/// Expects that nobody but its owner may do anything with what lies there; how much that is.
std::size_t expect_private(const fs::path& path) {
  std::size_t entries = 0;
  const auto look = [&](const fs::path& at) {
    struct stat info {};
    ASSERT_EQ(::lstat(at.c_str(), &info), 0) << at;
    if (!S_ISLNK(info.st_mode)) {
      EXPECT_EQ(info.st_mode & 0077U, 0U) << at;
    }
    ++entries;
  };
  look(path);
  for (const auto& entry : fs::recursive_directory_iterator(path)) look(entry.path());
  return entries;
}

class Private : public CliTest {
 protected:
  void SetUp() override {
    CliTest::SetUp();
    before_ = ::umask(0022);
    expect_ok({"data", "synth", "higgs", "--rows", "2000", "-o", "data.libsvm"});
  }
  void TearDown() override {
    ::umask(before_);
    CliTest::TearDown();
  }
  Result expect_ok(const std::vector<std::string>& arguments) const {
    Result result = lambdaml(arguments);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result;
  }
  std::string uri(const char* name) const { return "file://" + (folder() / name).string(); }
  mode_t mode_of(const char* name) const {
    struct stat info {};
    return ::stat((folder() / name).c_str(), &info) == 0 ? info.st_mode & 0777U : 0;
  }

 private:
  mode_t before_ = 0;
};

TEST_F(Private, AreRunsLogsCheckpointsAndChannels) {
  expect_ok({"train", "--data", "data.libsvm", "--workers", "2", "--epochs", "4", "--stop-after",
             "2", "--output", "runs/one", "--channel", uri("channel"), "--keep", "--checkpoint",
             uri("kept"), "-q"});
  expect_ok({"resume", "runs/one", "-q"});
  EXPECT_GE(expect_private(folder() / "runs"), 8U);
  EXPECT_GE(expect_private(folder() / "kept"), 5U);
  EXPECT_GE(expect_private(folder() / "channel"), 5U);
  expect_ok({"train", "--data", "data.libsvm", "--workers", "2", "--epochs", "1", "-q"});
  EXPECT_GE(expect_private(folder() / "runs"), 16U);
}

TEST_F(Private, AreSearchesAndCutData) {
  write("job.yaml",
        "data: data.libsvm\nworkers: 2\nepochs: 2\ntune:\n  trials: 2\n  space:\n    lr: "
        "{uniform: [0.1, 1]}\n");
  expect_ok({"tune", "job.yaml", "--output", "searches/one", "-q"});
  EXPECT_GE(expect_private(folder() / "searches"), 20U);
  expect_ok({"data", "split", "data.libsvm", "--workers", "2", "--to", "parts"});
  EXPECT_EQ(expect_private(folder() / "parts"), 4U);
}

TEST_F(Private, AreAParameterServersFiles) {
  Command server(folder(), {"ps", "--port", "0", "--dir", "state", "--interval", "0.05"});
  const Deadline patience = Deadline::in(60);
  std::string out;
  while (out.find('\n') == std::string::npos && !patience.passed()) out = server.out_so_far();
  const std::string before = "listening on ";
  ASSERT_TRUE(out.starts_with(before)) << out;
  const std::string channel =
      "ps://" + out.substr(before.size(), out.find('\n') - before.size()) + "/place";
  expect_ok({"train", "--data", "data.libsvm", "--workers", "2", "--epochs", "1", "--channel",
             channel, "--keep", "-q"});
  server.signal(SIGTERM);
  EXPECT_EQ(server.wait().exit_code, 0);
  EXPECT_GE(expect_private(folder() / "state"), 6U);
}

TEST_F(Private, AreNotTheFilesThatTheUserAskedFor) {
  EXPECT_EQ(mode_of("data.libsvm"), 0644U);
  expect_ok({"train", "--data", "data.libsvm", "--workers", "1", "--epochs", "1", "--output", "run",
             "-q"});
  expect_ok({"predict", "--model", "run/model.safetensors", "--data", "data.libsvm", "--out",
             "new/labels"});
  EXPECT_EQ(mode_of("new"), 0755U);
  EXPECT_EQ(mode_of("new/labels"), 0644U);
  expect_ok({"data", "split", "data.libsvm", "--workers", "2", "--to", uri("parts") + "?shared=1"});
  EXPECT_EQ(mode_of("parts"), 0755U);
  EXPECT_EQ(mode_of("parts/manifest.json"), 0644U);
}

TEST_F(Private, AreNotMadeOfRunsOfEarlierVersionsWhichStillGoOn) {
  expect_ok({"train", "--data", "data.libsvm", "--workers", "2", "--epochs", "4", "--stop-after",
             "2", "--output", "run", "-q"});
  for (const auto& entry : fs::recursive_directory_iterator(folder() / "run"))
    fs::permissions(entry.path(), fs::perms(entry.is_directory() ? 0755 : 0644));
  fs::permissions(folder() / "run", fs::perms(0755));
  EXPECT_EQ(expect_ok({"resume", "run", "-q", "--json"}).json()["epochs"], 4);
  EXPECT_EQ(mode_of("run"), 0755U);
  EXPECT_EQ(mode_of("run/summary.json"), 0600U);
}

/// Where the emulator puts code and scratch, while it runs.
class PrivateLambda : public Lambda {
 protected:
  PrivateLambda()
      : Lambda({"--log-folder", "logs"},
               {"AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY=secret",
                "TMPDIR=" + temporary().string()}) {}
  ~PrivateLambda() override { fs::remove_all(temporary()); }
  static const fs::path& temporary() {
    static const fs::path folder = [] {
      std::string pattern = (fs::temp_directory_path() / "lambdaml-e2e-tmp-XXXXXX").string();
      return fs::path(::mkdtemp(pattern.data()));
    }();
    fs::create_directories(folder);
    return folder;
  }
};

TEST_F(PrivateLambda, AreCodeAndLogsOfTheEmulator) {
  deploy("lambdaml-worker");
  train_there("lambdaml-worker", {"--data", real_data("agaricus.train.libsvm"), "--epochs", "1"});
  EXPECT_GE(expect_private(folder() / "logs"), 2U);
  std::size_t entries = 0;
  for (const auto& entry : fs::directory_iterator(temporary()))
    entries += expect_private(entry.path());
  EXPECT_GE(entries, 10U);
}

/// Alice works where Mallory has planted things before; what a folder of the machine is to both.
class OtherUsers : public CliTest {
 protected:
  void SetUp() override {
    CliTest::SetUp();
    REQUIRE_ROOT();
    ASSERT_EQ(::chmod(folder().c_str(), 0755), 0);
    make(home(), kAlice, 0700);
    make(tmp(), 0, 01777);
    const Result made =
        as(kAlice, home(), {"data", "synth", "higgs", "--rows", "500", "-o", data()});
    ASSERT_EQ(made.exit_code, 0) << made.err;
  }

  fs::path home() const { return folder() / "home"; }
  fs::path tmp() const { return folder() / "tmp"; }
  std::string data() const { return (home() / "data.libsvm").string(); }
  static void make(const fs::path& path, uid_t owner, mode_t mode) {
    fs::create_directory(path);
    ASSERT_EQ(::chown(path.c_str(), owner, owner), 0);
    ASSERT_EQ(::chmod(path.c_str(), mode), 0);
  }
  fs::path planted(const char* name, mode_t mode = 0777) const {
    make(tmp() / name, kMallory, mode);
    return tmp() / name;
  }
  static void link(const fs::path& path, const fs::path& target, uid_t owner) {
    fs::create_symlink(target, path);
    ASSERT_EQ(::lchown(path.c_str(), owner, owner), 0);
  }

  static Result as(uid_t user, const fs::path& where, const std::vector<std::string>& arguments) {
    const nlohmann::json said = nlohmann::json::parse(as_user(user, [&] {
      std::string outputs = (fs::temp_directory_path() / "lambdaml-e2e-XXXXXX").string();
      if (::mkdtemp(outputs.data()) == nullptr) throw std::runtime_error("[\"no folder\"]");
      const Result result = Command(where, outputs, arguments, {}).wait();
      fs::remove_all(outputs);
      throw std::runtime_error(nlohmann::json{result.exit_code, result.out, result.err}.dump());
    }));
    return {said.at(0), said.at(1), said.at(2)};
  }
  Result alice(const std::vector<std::string>& arguments) const {
    return as(kAlice, home(), arguments);
  }
  Result alice_trains(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(),
                     {"train", "--data", data(), "--workers", "2", "--epochs", "1", "-q"});
    return alice(arguments);
  }
  static void expect_refused(const Result& result, const fs::path& culprit) {
    EXPECT_EQ(result.exit_code, 2) << result.out << result.err;
    EXPECT_THAT(result.err, AllOf(HasSubstr(culprit.string()), HasSubstr("another user")));
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  }
};

TEST_F(OtherUsers, APlantedFolderIsNotUsed) {
  const fs::path evil = planted("evil");
  const std::string uri = "file://" + evil.string();
  write("job.yaml", "data: " + data() +
                        "\nepochs: 1\ntune:\n  trials: 1\n  space:\n    lr: {uniform: [0.1, 1]}\n");
  const std::string job = (folder() / "job.yaml").string();
  const std::vector<std::vector<std::string>> commands = {
      {"train", "--data", data(), "--channel", uri, "-q"},
      {"train", "--data", data(), "--channel", uri + "/below", "-q"},
      {"train", "--data", data(), "--channel", uri + "?shared=1", "-q"},
      {"train", "--data", data(), "--checkpoint", uri, "-q"},
      {"train", "--data", data(), "--output", evil / "run", "-q"},
      {"bench", "comm", "--channel", uri, "--rounds", "1"},
      {"tune", job, "--channel", uri, "-q"},
      {"tune", job, "--records", uri, "-q"},
      {"tune", job, "--output", evil / "search", "-q"},
      {"data", "split", data(), "--workers", "2", "--to", uri},
      {"storage", "put", uri, "key", data()},
      {"storage", "clear", uri},
      {"ps", "--port", "0", "--dir", evil},
      {"emulate", "--port", "0", "--log-folder", evil},
  };
  for (const std::vector<std::string>& command : commands) {
    SCOPED_TRACE(command[0] + " " + command.back());
    expect_refused(alice(command), evil);
  }
  EXPECT_TRUE(fs::is_empty(evil));
  EXPECT_FALSE(fs::exists(home() / "runs"));
  const Result good = alice_trains({"--channel", "file://" + (tmp() / "own").string()});
  EXPECT_EQ(good.exit_code, 0) << good.err;
  EXPECT_EQ(alice_trains({"--output", tmp() / "runs/one"}).exit_code, 0);
}

TEST_F(OtherUsers, DefaultFoldersAreNotUsedWherePlanted) {
  const fs::path runs = planted("runs");
  expect_refused(as(kAlice, tmp(), {"train", "--data", data(), "-q"}), runs);
  EXPECT_TRUE(fs::is_empty(runs));
  // In shared memory a folder per user.
  const auto user = static_cast<uid_t>(300'000 + ::getpid());
  ASSERT_EQ(::chown(home().c_str(), user, user), 0);
  struct stat info {};
  const bool shared = ::stat("/dev/shm", &info) == 0 && (info.st_mode & S_IWOTH) != 0;
  const fs::path memory = fs::path(shared ? "/dev/shm" : "/tmp") / fmt::format("lambdaml-{}", user);
  make(memory, kMallory, 0777);
  const Result result = as(user, home(), {"train", "--data", data(), "-q"});
  expect_refused(result, memory);
  EXPECT_TRUE(fs::is_empty(memory));
  fs::remove_all(memory);
}

TEST_F(OtherUsers, PlantedLinksAreNotFollowed) {
  std::ofstream(home() / ".profile") << "mine";
  link(tmp() / "labels", home() / ".profile", kMallory);
  link(tmp() / "channel", home(), kMallory);
  expect_refused(alice({"data", "synth", "higgs", "--rows", "5", "-o", tmp() / "labels"}),
                 tmp() / "labels");
  expect_refused(alice_trains({"--channel", "file://" + (tmp() / "channel").string()}),
                 tmp() / "channel");
  EXPECT_EQ(lambdaml({"data", "synth", "higgs", "--rows", "5", "-o", tmp() / "labels"}).exit_code,
            2)
      << "root neither";
  EXPECT_EQ(read(home() / ".profile"), "mine");
  link(tmp() / "own", home() / "labels", kAlice);
  EXPECT_EQ(alice({"data", "synth", "higgs", "--rows", "5", "-o", tmp() / "own"}).exit_code, 0);
  EXPECT_TRUE(fs::exists(home() / "labels"));
}

TEST_F(OtherUsers, APlantedRunIsNotGoneOnWith) {
  ASSERT_EQ(as(kMallory, tmp(),
               {"data", "synth", "higgs", "--rows", "500", "-o", (tmp() / "theirs").string()})
                .exit_code,
            0);
  ASSERT_EQ(as(kMallory, tmp(),
               {"train", "--data", (tmp() / "theirs").string(), "--workers", "1", "--epochs", "2",
                "--stop-after", "1", "--output", "run", "-q"})
                .exit_code,
            0);
  for (const auto& entry : fs::recursive_directory_iterator(tmp() / "run"))
    fs::permissions(entry.path(), fs::perms(0777));
  fs::permissions(tmp() / "run", fs::perms(0777));
  expect_refused(alice({"resume", tmp() / "run"}), tmp() / "run");
  EXPECT_EQ(alice({"status", tmp() / "run"}).exit_code, 0) << "to look at it is no harm";
  expect_refused(alice({"tune", "--resume", tmp() / "run"}), tmp() / "run");
}

TEST_F(OtherUsers, AGroupsFolderIsForThoseWhoSayThatTheyShareIt) {
  make(tmp() / "team", kAlice, 0770);
  const std::string uri = "file://" + (tmp() / "team").string();
  const Result refused = alice_trains({"--channel", uri});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, AllOf(HasSubstr("chmod g-w"), HasSubstr(uri + "?shared=1")));
  EXPECT_EQ(alice_trains({"--channel", uri + "?shared=1"}).exit_code, 0);
}

TEST_F(OtherUsers, RootMayUseWhatItWants) {
  const fs::path evil = planted("evil");
  EXPECT_EQ(lambdaml({"train", "--data", data(), "--workers", "2", "--epochs", "1", "-q",
                      "--channel", "file://" + evil.string()})
                .exit_code,
            0);
}

class RunsId : public CliTest {};

TEST_F(RunsId, ThatNamesSomethingElseIsRefusedBeforeAnythingIsCleared) {
  ASSERT_EQ(lambdaml({"data", "synth", "higgs", "--rows", "500", "-o", "data.libsvm"}).exit_code,
            0);
  const std::string channel = "file://" + (folder() / "channel").string();
  ASSERT_EQ(lambdaml({"train", "--data", "data.libsvm", "--workers", "1", "--epochs", "2",
                      "--stop-after", "1", "--output", "run", "-q", "--channel", channel})
                .exit_code,
            0);
  write("value", "keep");
  for (const std::string key : {"searches/one/search.json", "other"})
    ASSERT_EQ(lambdaml({"storage", "put", channel, key, "value"}).exit_code, 0);
  for (const std::string id : {"searches", "searches/one", "..", "", ".", "/"}) {
    write("run/run.json", nlohmann::json{{"job_id", id}}.dump());
    const Result result = lambdaml({"resume", "run", "-q"});
    EXPECT_EQ(result.exit_code, 2) << id;
    EXPECT_THAT(result.err, HasSubstr("run.json")) << id;
  }
  EXPECT_EQ(read(folder() / "channel/searches/one/search.json"), "keep");
  EXPECT_EQ(read(folder() / "channel/other"), "keep");
}

}  // namespace
}  // namespace lambdaml::e2e
