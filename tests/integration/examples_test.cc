// Every job file of examples/, run against real servers.
#include <chrono>
#include <csignal>
#include <filesystem>
#include <thread>

#include <gmock/gmock.h>

#include "e2e/command.h"
#include "integration/servers.h"
#include "lambdaml/base/deadline.h"
#include "lambdaml/base/files.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::e2e {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

struct Example {
  std::string channel;  ///< the scheme of its channel, and of the test's server
  std::string file;
};

void PrintTo(const Example& example, std::ostream* out) { *out << example.file; }

class Examples : public CliTest, public testing::WithParamInterface<Example> {};

std::vector<Example> all_examples() {
  std::vector<Example> out;
  for (const auto& entry : fs::directory_iterator(fs::path(LAMBDAML_SOURCE_DIR) / "examples")) {
    if (entry.path().extension() != ".yaml") continue;
    const std::string text = std::string(read_file(entry.path())->text());
    // tests/deep runs them
    if (text.find("\nmodel: mobilenet") != std::string::npos ||
        text.find("\nmodel: resnet") != std::string::npos)
      continue;
    if (text.find("\ntune:") != std::string::npos) continue;  // Searches, below
    const std::size_t begin = text.find("\nchannel: ") + 10;
    out.push_back(
        {text.substr(begin, text.find("://", begin) - begin), entry.path().filename().string()});
  }
  return out;
}

TEST_P(Examples, TrainWithDataInS3) {
  const Example& example = GetParam();
  REQUIRE_REAL_DATA();
  REQUIRE_SERVER(example.channel);
  REQUIRE_SERVER("s3");
  const std::string data = servers::get("s3").uri + "/" + folder().filename().string();
  const Result split = lambdaml({"data", "split", real_data("higgs.train.libsvm"), "--workers",
                                 "10", "--to", data + "/higgs", "-q"});
  ASSERT_EQ(split.exit_code, 0) << split.err;
  const std::string path = (fs::path(LAMBDAML_SOURCE_DIR) / "examples" / example.file).string();
  std::vector<std::string> arguments = {
      "train",     path,
      "--json",    "-q",
      "--data",    data + "/higgs",
      "--channel", servers::get(example.channel).uri + "/" + folder().filename().string()};
  // Batches that fit the sample, 7,000 rows instead of 11 million.
  arguments.insert(arguments.end(), {"--batch-size", "20", "--lr", "0.1"});
  if (read(path).find("\ncheckpoint: ") != std::string::npos)
    arguments.insert(arguments.end(), {"--checkpoint", data + "/checkpoints"});
  const Result result = lambdaml(arguments);
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const nlohmann::json summary = result.json();
  EXPECT_EQ(summary.at("workers"), 10);
  EXPECT_EQ(summary.at("rows"), 7000);
  if (summary.at("model") == "kmeans") {
    EXPECT_GT(summary.at("inertia"), 0);
  } else {
    // Better than always naming the larger class, 53 %.
    EXPECT_GT(summary.at("valid_accuracy"), 0.56) << summary;
  }
  EXPECT_EQ(lambdaml({"storage", "clear", data}).exit_code, 0);
}

INSTANTIATE_TEST_SUITE_P(, Examples, testing::ValuesIn(all_examples()), [](const auto& info) {
  std::string name = info.param.file.substr(0, info.param.file.find('.'));
  return info.param.channel + "_" + name;
});

class Searches : public CliTest {};

TEST_F(Searches, KeepTheirRecordsInS3AndFindAModel_over_memcached) {
  REQUIRE_REAL_DATA();
  REQUIRE_SERVER("memcached");
  REQUIRE_SERVER("s3");
  const std::string place = servers::get("s3").uri + "/" + folder().filename().string();
  const Result split = lambdaml({"data", "split", real_data("higgs.train.libsvm"), "--workers",
                                 "10", "--to", place + "/higgs", "-q"});
  ASSERT_EQ(split.exit_code, 0) << split.err;
  const std::string example =
      (fs::path(LAMBDAML_SOURCE_DIR) / "examples/elasticache_tune_linear.yaml").string();
  const Result result = lambdaml(
      {"tune", example, "--json", "-q", "--output", "search", "--records", place + "/searches",
       "--set", "data=" + place + "/higgs", "--set", "batch_size=20", "--set",
       "channel=" + servers::get("memcached").uri + "/" + folder().filename().string()});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const nlohmann::json summary = result.json();
  EXPECT_EQ(summary.at("trials").size(), 16U);
  for (const nlohmann::json& trial : summary.at("trials")) EXPECT_NE(trial.at("state"), "failed");
  EXPECT_LT(summary.at("valid_loss"), 0.66);  // 0.6931 says nothing
  EXPECT_TRUE(fs::exists(folder() / "search/best.yaml"));
  const Result listed = lambdaml({"storage", "ls", place + "/searches", "--json"});
  EXPECT_THAT(listed.out, HasSubstr("summary.json"));
  EXPECT_EQ(lambdaml({"storage", "clear", place}).exit_code, 0);
}

TEST_F(Searches, GoOnFromTheirRecordsAlone_over_dynamodb) {
  REQUIRE_REAL_DATA();
  REQUIRE_SERVER("dynamodb");
  const std::string place = servers::get("dynamodb").uri + "/" + folder().filename().string();
  const std::string job =
      write("job.yaml", "data: " + real_data("higgs.train.libsvm") +
                            "\nworkers: 2\nepochs: 8\nbatch_size: 700\nchannel: " + place +
                            "/channel\ntune:\n  trials: 4\n  concurrency: 2\n" +
                            "  strategy: asha\n  space: {lr: {log_uniform: [1.0e-3, 1]}}\n")
          .string();
  const auto arguments = [&](const std::string& name) {
    return std::vector<std::string>{"tune",     job,  "--json",    "-q",
                                    "--output", name, "--records", place + "/" + name};
  };
  const Result whole = lambdaml(arguments("whole"));
  ASSERT_EQ(whole.exit_code, 0) << whole.err;
  Command command(folder(), arguments("cut"));
  const std::shared_ptr<storage::Storage> store = storage::open(place + "/cut");
  // Until the first leg has ended; others are under way then.
  std::string ended;
  std::string records;
  const Deadline patience = Deadline::in(60);
  while (ended.find("done") == std::string::npos && !patience.passed()) {
    for (const storage::Entry& entry : store->list(""))
      if (entry.key.ends_with("legs/000000.json")) {
        records = place + "/cut/" + entry.key.substr(0, entry.key.size() - 16);
        ended = std::string(store->load(entry.key)->text());
      }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  command.signal(SIGKILL);
  ASSERT_EQ(command.wait().exit_code, 128 + SIGKILL) << "it ended before it could be killed";
  ASSERT_THAT(ended, HasSubstr("done"));
  const Result resumed = lambdaml({"tune", "--resume", records, "--json", "-q"});
  ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_EQ(storage::open(records)->load("legs/000000.json")->text(), ended) << "it was run again";
  for (const char* name : {"best_trial", "valid_loss", "options", "trials_done"})
    EXPECT_EQ(resumed.json().at(name), whole.json().at(name)) << name;
  EXPECT_EQ(lambdaml({"storage", "clear", place}).exit_code, 0);
}

}  // namespace
}  // namespace lambdaml::e2e
