// Passwords in every option of a job on a real server: none is in any file, value or output.
#include <filesystem>

#include <fmt/core.h>
#include <gmock/gmock.h>

#include "e2e/command.h"
#include "integration/stores.h"
#include "integration/talk.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::e2e {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

const std::string kPassword = "tell%6eobody";  ///< as it stands in URIs
const std::vector<std::string> kSecrets = {"tellnobody", "tell%6eobody"};

class Passwords_over_redis : public CliTest {
 protected:
  void SetUp() override {
    CliTest::SetUp();
    REQUIRE_STORE("redis");
    port_ = servers::get("redis").port;
    servers::talk(port_, "FLUSHALL\r\nCONFIG SET requirepass tellnobody\r\n");
    write("data.libsvm", "");
    ASSERT_EQ(
        lambdaml({"data", "synth", "higgs", "--rows", "1000", "-o", uri("data.libsvm")}).exit_code,
        0);
    write("net.pt", "no network");
    ASSERT_EQ(lambdaml({"storage", "put", uri(""), "net.pt", "net.pt"}).exit_code, 0);
    fs::remove(folder() / "data.libsvm");
    fs::remove(folder() / "net.pt");
  }
  void TearDown() override {
    if (port_ != 0)
      servers::talk(port_, "AUTH tellnobody\r\nFLUSHALL\r\nCONFIG SET requirepass \"\"\r\n");
    CliTest::TearDown();
  }

  std::string uri(const std::string& path) const {
    return fmt::format("redis://default:{}@127.0.0.1:{}/0/{}", kPassword, port_, path);
  }
  /// Every option that takes any text, and what it holds.
  std::vector<std::string> options() const {
    return {"--data",       uri("data.libsvm"),
            "--test-data",  uri("data.libsvm"),
            "--channel",    uri("channel"),
            "--checkpoint", uri("kept"),
            "--workers",    "2",
            "--log-level",  "debug"};
  }
  /// The same for options that this job does not use: typed, they would be refused.
  std::vector<std::string> environment() const {
    return {"LAMBDAML_SCRIPT=" + uri("net.pt"), "LAMBDAML_FUNCTION=" + uri("f")};
  }
  Result run(std::vector<std::string> arguments, const std::vector<std::string>& environment = {},
             int exit_code = 0) {
    const Result result = lambdaml(arguments, environment);
    EXPECT_EQ(result.exit_code, exit_code) << result.err;
    said_ += result.out + result.err;
    return result;
  }
  /// In the files below the test's folder, in the server's values, in what was printed.
  void expect_no_password(std::size_t values) const {
    for (const std::string& secret : kSecrets) {
      EXPECT_THAT(said_, Not(HasSubstr(secret)));
      std::size_t files = 0;
      for (const auto& entry : fs::recursive_directory_iterator(folder())) {
        if (!entry.is_regular_file()) continue;
        ++files;
        EXPECT_EQ(read(entry.path()).find(secret), std::string::npos) << entry.path();
      }
      EXPECT_GT(files, 3U);
      const auto store = storage::open(fmt::format("redis://:tellnobody@127.0.0.1:{}/0", port_));
      const std::vector<storage::Entry> entries = store->list("");
      EXPECT_GE(entries.size(), values);
      for (const storage::Entry& entry : entries) {
        const std::optional<Buffer> value = store->load(entry.key);
        EXPECT_TRUE(value && value->text().find(secret) == std::string_view::npos) << entry.key;
      }
    }
  }

  int port_ = 0;
  std::string said_;
};

TEST_F(Passwords_over_redis, StayOutOfAllThatAJobWrites) {
  std::vector<std::string> train{"train", "-v",       "--epochs", "4",     "--stop-after",
                                 "2",     "--output", "run",      "--keep"};
  const std::vector<std::string> all = options();
  train.insert(train.end(), all.begin(), all.end());
  run(train, environment());
  expect_no_password(15);  // data, model, checkpoints, and the channel, which was kept
  const std::string yaml = read(folder() / "run/job.yaml");
  EXPECT_THAT(yaml, HasSubstr(fmt::format("redis://default@127.0.0.1:{}/0/net.pt", port_)));

  run({"status", "run"}, {}, 2);
  const std::vector<std::string> word = {"REDISCLI_AUTH=tellnobody"};
  run({"status", "run", "--json"}, word);
  run({"ls", ".", "--json"}, word);
  run({"logs", "run"}, word);
  run({"resume", "run", "-v"}, {}, 2);
  run({"resume", "run", "-v", "--json"}, word);
  run({"options", "--json"}, word);
  expect_no_password(5);
}

TEST_F(Passwords_over_redis, StayOutOfAllThatASearchWrites) {
  // A space has values of options too.
  const std::string channels = fmt::format("[\"{}\", \"{}\"]", uri("one"), uri("two"));
  write("job.yaml", "epochs: 1\ntune:\n  trials: 4\n  space:\n    channel: {choice: " + channels +
                        "}\n    lr: {uniform: [0.1, 1]}\n");
  std::vector<std::string> tune{"tune", "job.yaml", "-v", "--output", "search"};
  const std::vector<std::string> all = options();
  tune.insert(tune.end(), all.begin(), all.end());
  run(tune, environment());
  write("job.yaml", "");
  expect_no_password(2);
  EXPECT_THAT(read(folder() / "search/trials.csv"), HasSubstr("redis://default@127.0.0.1"));
  run({"tune", "--resume", "search", "--json"}, {"REDISCLI_AUTH=tellnobody"});
  run({"train", "search/best.yaml", "-q", "--output", "best"}, {"REDISCLI_AUTH=tellnobody"});
  expect_no_password(2);
}

}  // namespace
}  // namespace lambdaml::e2e
