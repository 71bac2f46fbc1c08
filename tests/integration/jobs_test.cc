// Whole jobs over each service: the model is the same bytes wherever workers meet, jobs leave
// nothing behind and do not see each other, and a server that goes away and comes back ends no job.
#include <filesystem>
#include <thread>

#include <gmock/gmock.h>

#include "e2e/command.h"
#include "integration/servers.h"
#include "integration/stores.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::e2e {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

/// Whether a worker has saved its state in the folder.
bool has_checkpoint(const fs::path& folder) {
  std::error_code none;
  for (const auto& entry : fs::recursive_directory_iterator(folder, none))
    if (entry.path().extension() == ".safetensors") return true;
  return false;
}

class Jobs : public CliTest, public testing::WithParamInterface<std::string> {
 protected:
  void SetUp() override {
    REQUIRE_SERVER(GetParam());
    REQUIRE_REAL_DATA();
    CliTest::SetUp();
  }
  void TearDown() override {
    if (!folder().empty()) CliTest::TearDown();
  }
  /// A place of this test's own on the server.
  std::string place() const {
    return servers::get(GetParam()).uri + "/" + folder().filename().string();
  }
  std::string model_bytes(std::vector<std::string> arguments) const {
    return read(train(std::move(arguments)).at("model_path").get<std::string>());
  }
  std::vector<std::string> keys_left() const {
    std::vector<std::string> keys;
    for (const storage::Entry& entry : storage::open(place())->list("")) keys.push_back(entry.key);
    return keys;
  }
};

INSTANTIATE_TEST_SUITE_P(, Jobs, testing::ValuesIn(servers::schemes_and_cluster()),
                         [](const auto& info) { return info.param; });

TEST_P(Jobs, GiveTheBytesThatFileAndMemoryGive) {
  for (const std::string model : {"lr", "svm", "kmeans"}) {
    const auto job = [&](const std::string& channel, const std::string& pattern) {
      return model_bytes({"--data", real_data("higgs.train.libsvm"), "--model", model, "--workers",
                          "4", "--epochs", "2", "--batch-size", "600", "--channel", channel,
                          "--sync-mode", pattern});
    };
    const std::string expected = job("file", "reduce");
    EXPECT_EQ(job("memory", "reduce_scatter"), expected);
    for (const std::string pattern : {"reduce", "reduce_scatter"})
      EXPECT_EQ(job(place(), pattern), expected) << model << ", " << pattern;
  }
  EXPECT_THAT(keys_left(), IsEmpty());
}

TEST_P(Jobs, TrainEveryOptimizerOnSparseDataAndWithoutWaiting) {
  for (const std::string optim : {"grad_avg", "model_avg", "admm"}) {
    for (const std::string pattern : {"reduce", "async"}) {
      const nlohmann::json summary = train({"--data",        real_data("agaricus.train.libsvm"),
                                            "--test-data",   real_data("agaricus.test.libsvm"),
                                            "--workers",     "2",
                                            "--epochs",      "10",
                                            "--admm-epochs", "5",
                                            "--rho",         "0.01",
                                            "--lr",          "2",
                                            "--batch-size",  "400",
                                            "--channel",     place(),
                                            "--optim",       optim,
                                            "--sync-mode",   pattern});
      EXPECT_GE(summary.at("test_accuracy"), 0.97) << optim << ", " << pattern;
    }
  }
  EXPECT_THAT(keys_left(), IsEmpty());
}

TEST_P(Jobs, CountAndPriceTheirRequests) {
  const nlohmann::json summary =
      train({"--data", real_data("higgs.train.libsvm"), "--workers", "4", "--epochs", "2",
             "--batch-size", "600", "--channel", place()});
  const nlohmann::json requests = summary.at("requests");
  // 3 rounds of batches and one of evaluation an epoch: P PUTs each, and the shards, started and
  // result keys, the model.
  EXPECT_GE(requests.at("put"), 4 * 8);
  EXPECT_GE(requests.at("get"), (GetParam() == "ps" ? 4 : 6) * 8);
  const bool billed = GetParam() == "s3" || GetParam() == "dynamodb";
  EXPECT_EQ(summary.at("cost").at("requests_usd") > 0, billed) << summary;
  EXPECT_GT(summary.at("cost").at("functions_usd"), 0);
  EXPECT_NEAR(summary.at("cost_usd").get<double>(),
              summary.at("cost").at("requests_usd").get<double>() +
                  summary.at("cost").at("functions_usd").get<double>(),
              1e-12);
}

/// Gets beside those that bring something are polls, and puts beside those of the rounds tell that
/// workers are alive.
TEST_P(Jobs, HaveTheRequestsThatASimulationPredicts) {
  const std::map<std::string, std::string> entries = {
      {"ps", "pushes: true, durable: false, adds: true"},
      {"redis", "pushes: true, durable: false"},
      {"s3", "polling_is_expensive: true, remove_keys: 1000"},
      {"dynamodb",
       "polling_is_expensive: true, put_keys: 25, put_batch_bytes: 2000000, get_keys: 25,\n"
       "          get_batch_bytes: 1000000, remove_keys: 25, max_value_bytes: 409000"}};
  if (!entries.contains(GetParam())) GTEST_SKIP() << "its requests keep lists, too";
  write("here.yaml",
        fmt::format("name: here\ndate: 2026-11-30\nstores:\n"
                    "  store: {{scheme: {}, put: {{always: 1}}, get: {{always: 1}},\n"
                    "          parallel: 100, {}}}\n"
                    "functions: {{least_mb: 1, most_mb: 100000, mb_per_processor: 1024,\n"
                    "  invoke: {{always: 1}}, cold_start: {{always: 40}}, longest_s: 900,\n"
                    "  gb_second: 0, request: 0}}\n",
                    GetParam(), entries.at(GetParam())));
  // Parts of 3 MB pass through the channel.
  const Result made =
      lambdaml({"data", "synth", "higgs", "--rows", "100000", "-o", "large.libsvm"});
  ASSERT_EQ(made.exit_code, 0) << made.err;
  const bool polls = GetParam() == "s3" || GetParam() == "dynamodb";
  for (const auto& [optim, data] : {std::pair("grad_avg", real_data("higgs.train.libsvm")),
                                    {"lbfgs", real_data("higgs.train.libsvm")},
                                    {"model_avg", std::string("large.libsvm")}}) {
    const std::vector<std::string> job{"--data",   data, "--workers",    "4",  "--optim", optim,
                                       "--epochs", "4",  "--batch-size", "600"};
    std::vector<std::string> real = job, simulated = job;
    for (const std::string& more :
         {std::string("--channel"), place(), std::string("--checkpoint"), place() + "/checkpoints"})
      real.push_back(more);
    const nlohmann::json summary = train(real);
    simulated.insert(simulated.begin(), "simulate");
    for (const char* more : {"--channel", "store", "--profile", "here.yaml", "--seconds-per-row",
                             "1e-7", "--seeds", "1", "--json"})
      simulated.emplace_back(more);
    const Result ran = lambdaml(simulated);
    ASSERT_EQ(ran.exit_code, 0) << ran.err;
    const nlohmann::json predicted = ran.json();
    const auto& requests = predicted.at("requests_of");
    EXPECT_EQ(summary.at("rounds"), predicted.at("rounds"));
    EXPECT_EQ(summary.at("requests").at("delete"), requests.at("delete")) << optim;
    EXPECT_EQ(summary.at("requests").at("list"), requests.at("list")) << optim;
    const double puts = summary.at("requests").at("put").get<double>();
    EXPECT_GE(puts, requests.at("put").get<double>()) << optim;
    EXPECT_LE(puts, requests.at("put").get<double>() + 8) << optim;
    if (!polls) {
      EXPECT_GE(summary.at("requests").at("get").get<double>(),
                requests.at("get").get<double>() - 8)
          << optim;
    }
    for (const char* bytes : {"bytes_sent", "bytes_received"})
      EXPECT_NEAR(summary.at(bytes).get<double>() / predicted.at(bytes).get<double>(), 1, 0.02)
          << optim << ", " << bytes;
  }
}

TEST_P(Jobs, TwoAtOnceInOnePlaceDoNotMeet) {
  const auto arguments = [&](const std::string& seed) {
    return std::vector<std::string>{
        "train",     "--json",   "-q",     "--data",       real_data("higgs.train.libsvm"),
        "--workers", "3",        "--seed", seed,           "--channel",
        place(),     "--epochs", "2",      "--batch-size", "500"};
  };
  Command first(folder(), arguments("1"));
  Command second(folder(), arguments("2"));
  const Result one = first.wait();
  const Result two = second.wait();
  ASSERT_EQ(one.exit_code, 0) << one.err;
  ASSERT_EQ(two.exit_code, 0) << two.err;
  for (const auto& [result, seed] : {std::pair(&one, "1"), std::pair(&two, "2")}) {
    const std::string alone =
        model_bytes({"--data", real_data("higgs.train.libsvm"), "--workers", "3", "--seed", seed,
                     "--epochs", "2", "--batch-size", "500"});
    EXPECT_EQ(read(result->json().at("model_path").get<std::string>()), alone) << seed;
  }
  EXPECT_THAT(keys_left(), IsEmpty());
}

TEST_P(Jobs, ReadDataAndKeepCheckpointsInTheStore) {
  const std::string text = real_data("higgs.train.libsvm");
  const Result split =
      lambdaml({"data", "split", text, "--workers", "3", "--to", place() + "/parts", "-q"});
  ASSERT_EQ(split.exit_code, 0) << split.err;
  const Result put = lambdaml({"storage", "put", place(), "higgs.libsvm", text});
  ASSERT_EQ(put.exit_code, 0) << put.err;
  const auto job = [&](const std::string& data) {
    return model_bytes({"--data", data, "--workers", "3", "--epochs", "2", "--checkpoint",
                        place() + "/checkpoints", "--channel", place() + "/channel"});
  };
  const std::string expected = model_bytes({"--data", text, "--workers", "3", "--epochs", "2"});
  EXPECT_EQ(job(place() + "/parts"), expected);
  EXPECT_EQ(job(place() + "/higgs.libsvm"), expected);
  const Result info = lambdaml({"data", "info", place() + "/parts", "--json"});
  ASSERT_EQ(info.exit_code, 0) << info.err;
  EXPECT_EQ(info.json().at("rows"), 7000);

  const Result got = lambdaml({"storage", "get", place(), "higgs.libsvm", "-o", "back.libsvm"});
  ASSERT_EQ(got.exit_code, 0) << got.err;
  EXPECT_EQ(read(folder() / "back.libsvm"), read(text));
  const Result listed = lambdaml({"storage", "ls", place(), "--json"});
  ASSERT_EQ(listed.exit_code, 0) << listed.err;
  EXPECT_THAT(listed.out, HasSubstr("parts/0_3"));
  EXPECT_THAT(listed.out, HasSubstr("higgs.libsvm"));
  EXPECT_THAT(listed.out, HasSubstr("checkpoints/"));
  ASSERT_EQ(lambdaml({"storage", "clear", place()}).exit_code, 0);
  EXPECT_THAT(keys_left(), IsEmpty());
}

TEST_P(Jobs, AKilledWorkerComesBackAndTheModelIsTheSame) {
  const std::vector<std::string> job = {"--data",       real_data("higgs.train.libsvm"),
                                        "--workers",    "3",
                                        "--epochs",     "12",
                                        "--batch-size", "200",
                                        "--output"};
  std::vector<std::string> undisturbed = job;
  undisturbed.push_back("whole");
  const std::string expected = model_bytes(undisturbed);
  std::vector<std::string> arguments = {"train", "--json", "-q", "--channel", place()};
  arguments.insert(arguments.end(), job.begin(), job.end());
  arguments.push_back("cut");
  Command command(folder(), arguments);
  const fs::path checkpoints = folder() / "cut" / "checkpoint";
  const Deadline patience = Deadline::in(60);
  while (!has_checkpoint(checkpoints) && !patience.passed()) std::this_thread::yield();
  const std::vector<pid_t> workers = command.workers();
  if (!workers.empty()) ::kill(workers.back(), SIGKILL);
  const Result result = command.wait();
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(read(result.json().at("model_path").get<std::string>()), expected);
}

/// Servers that lose their values when they start again, and one that keeps them. (dynalite loses
/// its table, too, which no service does.)
class Restarts : public Jobs {};
INSTANTIATE_TEST_SUITE_P(, Restarts, testing::Values("s3", "memcached", "redis", "ps"),
                         [](const auto& info) { return info.param; });

TEST_P(Restarts, EndNoJob) {
  // Long enough that the server goes while the job runs, whatever a round takes on it.
  const std::string epochs = GetParam() == "s3" ? "12" : "200";
  const std::vector<std::string> job = {"--data",       real_data("higgs.train.libsvm"),
                                        "--workers",    "3",
                                        "--epochs",     epochs,
                                        "--batch-size", "100",
                                        "--output"};
  std::vector<std::string> undisturbed = job;
  undisturbed.push_back("whole");
  const std::string expected = model_bytes(undisturbed);
  std::vector<std::string> arguments = {"train", "--json",       "-q", "--channel",
                                        place(), "--patience-s", "30"};
  arguments.insert(arguments.end(), job.begin(), job.end());
  arguments.push_back("cut");
  Command command(folder(), arguments);
  const Deadline patience = Deadline::in(60);
  while (!has_checkpoint(folder() / "cut" / "checkpoint") && !patience.passed())
    std::this_thread::yield();
  const servers::Server& server = servers::get(GetParam());
  server.stop();
  std::this_thread::sleep_for(std::chrono::seconds(1));
  server.start();
  const Result result = command.wait();
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(read(result.json().at("model_path").get<std::string>()), expected);
}

class PredictedRequests : public CliTest {};

// Its client keeps lists of keys in it: requests that the simulated store makes by the same code.
TEST_F(PredictedRequests, AreThoseOfAJob_over_memcached) {
  REQUIRE_SERVER("memcached");
  write("profile.yaml", R"(
name: test
date: 2026-11-30
stores:
  memcached: {scheme: memcached, put: {median: 0.05, sigma: 0.2}, get: {median: 0.05, sigma: 0.2},
              parallel: 32, put_parallel: 1, put_mb_per_s: {1: 1000}, get_mb_per_s: {1: 2000},
              keeps_index: true, durable: false, max_value_bytes: 1047863}
  folder: {scheme: file, put: {always: 0.05}, get: {always: 0.05}}
checkpoints: folder
functions: {least_mb: 1, most_mb: 1048576, mb_per_processor: 1024, invoke: {always: 1},
            cold_start: {p0: 10, p100: 40}, longest_s: 900, gb_second: 0, request: 0}
)");
  ASSERT_EQ(lambdaml({"data", "synth", "higgs", "--rows", "2000", "-o", "small"}).exit_code, 0);
  ASSERT_EQ(
      lambdaml({"data", "synth", "rcv1", "--rows", "64", "--features", "400000", "-o", "wide"})
          .exit_code,
      0);
  using Words = std::vector<std::string>;
  for (const Words& job : {Words{"--data", "small", "--model", "lr", "--epochs", "5"},
                           Words{"--data", "small", "--model", "kmeans", "--clusters", "3"},
                           // Values that are cut in pieces, each in a folder of its own.
                           Words{"--data", "wide", "--model", "sparse_lr", "--epochs", "3"}}) {
    Words both = job;
    for (const char* word : {"--workers", "3", "--batch-size", "20", "--optim",
                             job[3] == "kmeans" ? "em" : "grad_avg"})
      both.emplace_back(word);
    Words real = both;
    real.insert(real.end(),
                {"--channel", servers::get("memcached").uri + "/" + folder().filename().string()});
    const nlohmann::json made = train(real).at("requests");
    both.insert(both.begin(), "simulate");
    both.insert(both.end(), {"--profile", "profile.yaml", "--channel", "memcached", "--seeds", "1",
                             "--seconds-per-row", "1e-5", "--json"});
    const Result simulated = lambdaml(both);
    ASSERT_EQ(simulated.exit_code, 0) << simulated.err;
    const nlohmann::json predicted = simulated.json().at("requests_of");
    EXPECT_EQ(predicted.at("list"), made.at("list")) << made;
    EXPECT_EQ(predicted.at("delete"), made.at("delete")) << made;
    // Workers that meet at a new folder each try to add its list; slow saves are noted again.
    const double puts = made.at("put").get<double>();
    EXPECT_NEAR(predicted.at("put").get<double>(), puts, 0.1 * puts + 20) << made;
  }
}

}  // namespace
}  // namespace lambdaml::e2e
