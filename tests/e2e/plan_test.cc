// Plans, estimates and calibrations as a user runs them.
#include <filesystem>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "e2e/command.h"
#include "lambdaml/aws/testing/scripted_server.h"

namespace lambdaml::e2e {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::HasSubstr;

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t out = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1))
    ++out;
  return out;
}

class PlanCommand : public CliTest {
 protected:
  void SetUp() override {
    CliTest::SetUp();
    const Result made =
        lambdaml({"data", "synth", "higgs", "--rows", "400", "-o", "my rows.libsvm"});
    ASSERT_EQ(made.exit_code, 0) << made.err;
  }

  /// A plan of few ways, in plan.yaml.
  Result plan(std::vector<std::string> more = {}) const {
    std::vector<std::string> arguments{"plan",      "--data",         "my rows.libsvm",
                                       "--optim",   "grad_avg",       "--epochs",
                                       "2",         "--batch-size",   "50",
                                       "--channel", "s3-express",     "--seconds-per-row",
                                       "1e-5",      "--most-workers", "2"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return lambdaml(arguments);
  }

  /// A plan that another version might have written.
  fs::path entry(const std::string& servers_usd = "") const {
    return write(
        "by-hand.yaml",
        "plan:\n- best: true\n  channel: redis-t4g.small\n"
        "  seconds: {p10: 1, p50: 2, p90: 3}\n  usd: {p10: 0.001, p50: 0.002, p90: 0.003}\n" +
            servers_usd + "  options: {workers: 2, memory_mb: 1769, aggregators: 1}\n");
  }
};

TEST_F(PlanCommand, AnEntryIsReadyForTrain) {
  const Result planned = plan({"--json", "-o", "a plan.yaml"});
  ASSERT_EQ(planned.exit_code, 0) << planned.err;
  const json found = planned.json();
  EXPECT_EQ(found.at("best"), 0);
  EXPECT_TRUE(found.at("candidates").at(0).contains("servers_usd"));
  const std::string text = read(folder() / "a plan.yaml");
  EXPECT_THAT(text, HasSubstr("lambdaml train --plan 'a plan.yaml:1'"));
  // What was typed is in it, but not the store of the profile.
  EXPECT_THAT(text, HasSubstr("my rows.libsvm"));
  EXPECT_THAT(text, HasSubstr("grad_avg"));
  EXPECT_EQ(count(text, "channel:"), count(text, "best:"));
  const json summary = train({"--plan", "a plan.yaml", "--output", "run"});
  EXPECT_EQ(summary.at("optim"), "grad_avg");
  EXPECT_EQ(summary.at("epochs"), 2);
  EXPECT_EQ(summary.at("workers"), found.at("candidates").at(0).at("workers"));
  EXPECT_GT(summary.at("estimate").at("seconds").get<double>(), 0);
}

TEST_F(PlanCommand, WhatIsTypedToTrainComesFirst) {
  ASSERT_EQ(plan().exit_code, 0);
  const json summary = train({"--plan", "plan.yaml:1", "--epochs", "1", "--output", "run"});
  EXPECT_EQ(summary.at("epochs"), 1);
}

TEST_F(PlanCommand, ChannelsAreRepeatedWithoutPasswords) {
  ASSERT_EQ(plan({"--channel", "redis://user:secret@host"}).exit_code, 0);
  EXPECT_EQ(read(folder() / "plan.yaml").find("secret"), std::string::npos);
  ASSERT_EQ(plan({"--channel", "redis://host:6379"}).exit_code, 0);
  EXPECT_THAT(read(folder() / "plan.yaml"), HasSubstr("channel: redis://host:6379"));
}

TEST_F(PlanCommand, AGoalComparesOptimizersAndBatchesAndEachLineReachesIt) {
  const Result planned = lambdaml(
      {"plan", "--data", "my rows.libsvm", "--until", "train_loss<=0.67", "--epochs", "40",
       "--optims", "grad_avg,model_avg,lbfgs", "--batch-sizes", "20,80", "--seconds-per-row",
       "1e-4", "--most-workers", "4", "--pilot-seconds", "60", "--json"});
  ASSERT_EQ(planned.exit_code, 0) << planned.err;
  const json found = planned.json();
  EXPECT_EQ(found.at("pilot").at("goal"), "train_loss<=0.67");
  EXPECT_EQ(found.at("pilot").at("repetitions"), 3);
  std::set<std::string> ways;
  std::size_t simulated = 0;
  for (const json& one : found.at("candidates")) {
    ways.insert(one.at("way").dump());
    EXPECT_EQ(one.at("way").at("optim"), one.at("optim"));
    EXPECT_GE(one.at("epochs").at("median"), 1);
    if (!one.at("simulated").get<bool>() || ++simulated > 3) continue;
    // The real job takes the epochs of the simulated one.
    const std::string run = fmt::format("run{}", simulated);
    const json summary =
        train({"--data", "my rows.libsvm", "--until", "train_loss<=0.67", "--epochs", "40",
               "--optim", one.at("optim").get<std::string>(), "--batch-size",
               std::to_string(one.at("batch_size").get<int>()), "--workers",
               std::to_string(one.at("workers").get<int>()), "--output", run});
    EXPECT_EQ(summary.at("ended_by"), "until") << one;
    EXPECT_EQ(summary.at("epochs"), one.at("epochs").at("median")) << one;
  }
  EXPECT_GE(ways.size(), 3U);
  EXPECT_GE(simulated, 1U);
  const std::string text = read(folder() / "plan.yaml");
  const std::size_t lines = count(text, "train: ");
  EXPECT_EQ(count(text, "  optim: "), 2 * lines) << text;  // of the line, and for train
  for (std::size_t line = 1; line <= lines; ++line) {
    const json summary = train(
        {"--plan", fmt::format("plan.yaml:{}", line), "--output", fmt::format("line{}", line)});
    EXPECT_EQ(summary.at("ended_by"), "until") << text;
  }
}

TEST_F(PlanCommand, WhatIsKnownOfAWayIsTrainedSo) {
  const Result planned = plan({"--way", "batch_size=25,epochs=3,lr=0.2", "--json"});
  ASSERT_EQ(planned.exit_code, 0) << planned.err;
  EXPECT_TRUE(planned.json().at("pilot").is_null());
  const json summary = train({"--plan", "plan.yaml", "--output", "run"});
  EXPECT_EQ(summary.at("epochs"), 3);
  EXPECT_THAT(read(folder() / "plan.yaml"), HasSubstr("lr: 0.2"));
  const Result fixed = plan({"--batch-sizes", "25,100"});
  ASSERT_EQ(fixed.exit_code, 0) << fixed.err;
  EXPECT_THAT(fixed.out, HasSubstr("epochs are as many for all batch sizes"));
}

TEST_F(PlanCommand, WaysThatCannotBeComparedAreRefusedInOneLine) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases{
      {{"--until", "valid_loss<=0.001"}, "no way to train reached valid_loss<=0.001"},
      {{"--until", "valid_loss<=0.6", "--pilot-rows", "40"}, "40 rows are too few"},
      {{"--until", "valid_loss<=0.6", "--pilot-seconds", "1e-6"}, "--pilot-seconds"},
      {{"--until", "valid_loss<=0.6", "--optims", "adamm"}, "did you mean 'admm'"},
      {{"--until", "valid_loss<=0.6", "--batch-sizes", "10,x"}, "batch_size"},
      {{"--until", "valid_los<=0.6"}, "valid_loss"},
      {{"--optims", "lbfgs"}, "give --until"},
      {{"--until", "valid_loss<=0.6", "--rows", "400", "--optims", "lbfgs"}, "--way"},
      {{"--way", "batch_size=25"}, "epochs=N"}};
  for (const auto& [more, part] : cases) {
    const Result refused = plan(more);
    EXPECT_EQ(refused.exit_code, 2) << part;
    EXPECT_THAT(refused.err, HasSubstr(part));
    EXPECT_EQ(count(refused.err, "\n"), 1U) << refused.err;
  }
}

TEST_F(PlanCommand, ALimitThatNothingMeetsNamesTheNearest) {
  const Result planned = plan({"--deadline", "0.01"});
  EXPECT_EQ(planned.exit_code, 2);
  EXPECT_THAT(planned.err, HasSubstr("nothing meets the limits; the nearest takes"));
}

TEST_F(PlanCommand, RowsAndFeaturesStandForDataThatCannotBeRead) {
  const std::vector<std::string> job{
      "--data", "s3://not/here", "--optim",    "grad_avg",  "--batch-size",
      "50",     "--epochs",      "2",          "--workers", "2",
      "--rows", "400",           "--features", "7",         "--seconds-per-row",
      "1e-5"};
  const auto run = [&](const char* command, std::vector<std::string> more) {
    more.insert(more.begin(), job.begin(), job.end());
    more.insert(more.begin(), command);
    return lambdaml(more);
  };
  const Result simulated = run("simulate", {"--seeds", "1", "--json"});
  ASSERT_EQ(simulated.exit_code, 0) << simulated.err;
  EXPECT_GE(simulated.json().at("rounds").get<int>(), 8);  // two epochs of four steps
  const Result planned = run("plan", {"--channel", "s3-express", "--most-workers", "2", "--json"});
  ASSERT_EQ(planned.exit_code, 0) << planned.err;
  EXPECT_EQ(run("simulate", {"--model", "mobilenet"}).exit_code, 2);
}

TEST_F(PlanCommand, AnEstimateAboveTheBudgetIsRefused) {
  const Result refused = lambdaml({"train", "--data", "my rows.libsvm", "--plan", entry().string(),
                                   "--budget", "0.0001", "--output", "run"});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, HasSubstr("above its budget"));
  EXPECT_FALSE(fs::exists(folder() / "run"));
}

TEST_F(PlanCommand, ServersAreNoPartOfTheComparison) {
  // Without servers nothing was to be paid, so that only the time is compared.
  const Result done = lambdaml({"train", "--data", "my rows.libsvm", "--plan",
                                entry("  servers_usd: 0.002\n").string(), "--output", "run"});
  ASSERT_EQ(done.exit_code, 0) << done.err;
  EXPECT_EQ(done.out.find("more expensive"), std::string::npos) << done.out;
  EXPECT_EQ(done.out.find("cheaper"), std::string::npos) << done.out;
  EXPECT_THAT(done.out, HasSubstr("(and $0.002 for servers)"));
  EXPECT_THAT(done.err, HasSubstr("estimate"));
}

TEST_F(PlanCommand, DeviationsHaveATextWhateverThereIsToCompare) {
  write("nothing.yaml",
        "plan:\n- best: true\n  channel: file\n  seconds: {p10: 0, p50: 0, p90: 0}\n"
        "  usd: {p10: 0, p50: 0, p90: 0}\n  options: {workers: 2}\n");
  const Result done =
      lambdaml({"train", "--data", "my rows.libsvm", "--plan", "nothing.yaml", "--output", "run"});
  ASSERT_EQ(done.exit_code, 0) << done.err;
  EXPECT_THAT(done.out, HasSubstr("were expected"));
  EXPECT_EQ(done.out.find("estimate   than"), std::string::npos) << done.out;
}

TEST_F(PlanCommand, AProfileEstimatesAJobBeforeItStarts) {
  const std::vector<std::string> job{"train",
                                     "--data",
                                     "my rows.libsvm",
                                     "--optim",
                                     "grad_avg",
                                     "--epochs",
                                     "2",
                                     "--workers",
                                     "2",
                                     "--channel",
                                     "file://" + (folder() / "channel").string()};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), job.begin(), job.end());
    return lambdaml(more);
  };
  write("mine.yaml",
        "name: mine\ndate: 2026-11-30\nstores:\n  disk:\n    scheme: file\n"
        "    put: {always: 1}\n    get: {always: 1}\n    prices: {put: 0.01}\n"
        "functions:\n  least_mb: 1\n  most_mb: 100000\n  mb_per_processor: 1024\n"
        "  invoke: {always: 1}\n  cold_start: {always: 10}\n  longest_s: 900\n"
        "  gb_second: 0\n  request: 0\n");
  const Result done = with({"--estimate", "mine.yaml", "--output", "run"});
  ASSERT_EQ(done.exit_code, 0) << done.err;
  EXPECT_THAT(done.err, HasSubstr("over disk, by profile mine"));
  EXPECT_THAT(done.out, HasSubstr("than the expected"));
  const Result refused =
      with({"--estimate", "mine.yaml", "--budget", "0.01", "--output", "refused"});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, HasSubstr("above its budget"));
  EXPECT_FALSE(fs::exists(folder() / "refused"));
  // Where nothing costs anything, nothing is estimated.
  const Result silent = with({"--output", "silent"});
  EXPECT_EQ(silent.exit_code, 0) << silent.err;
  EXPECT_EQ(silent.err.find("estimate"), std::string::npos) << silent.err;
  const Result unknown = with({"--estimate", "nothing.yaml", "--output", "unknown"});
  EXPECT_EQ(unknown.exit_code, 2);
  EXPECT_THAT(unknown.err, HasSubstr("nothing.yaml"));
}

TEST_F(PlanCommand, FunctionsHaveThePricesOfTheirArchitecture) {
  std::string architecture = "arm64";
  aws::ScriptedServer lambda([&](const aws::ScriptedRequest& request) -> aws::ScriptedAnswer {
    if (architecture.empty() || !request.target.ends_with("/configuration"))
      return {
          .status = 403, .headers = {{"x-amzn-errortype", "AccessDeniedException"}}, .body = "{}"};
    return {.body = R"({"FunctionName":"workers","MemorySize":1769,"Architectures":[")" +
                    architecture + R"("]})"};
  });
  const auto profile_of = [&](const char* command, std::vector<std::string> more = {}) {
    std::vector<std::string> arguments{
        command,     "--data",     "my rows.libsvm",    "--epochs", "2",
        "--channel", "s3-express", "--seconds-per-row", "1e-5",     "--platform",
        "aws",       "--function", "workers",           "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Result done =
        lambdaml(arguments, {"AWS_ENDPOINT_URL_LAMBDA=" + lambda.url(), "AWS_ACCESS_KEY_ID=id",
                             "AWS_SECRET_ACCESS_KEY=secret", "AWS_REGION=us-east-1"});
    EXPECT_EQ(done.exit_code, 0) << done.err;
    EXPECT_EQ(done.err.find("no effect"), std::string::npos) << done.err;
    return done.exit_code == 0 ? done.json().at("profile").get<std::string>() : "";
  };
  const std::vector<std::string> few{"--most-workers", "2"};
  EXPECT_EQ(profile_of("simulate", {"--seeds", "1"}), "aws-arm64");
  EXPECT_EQ(profile_of("plan", few), "aws-arm64");
  EXPECT_EQ(profile_of("simulate", {"--seeds", "1", "--profile", "aws-x86"}), "aws-x86");
  for (const char* other : {"x86_64", ""}) {
    architecture = other;
    EXPECT_EQ(profile_of("simulate", {"--seeds", "1"}), "aws-x86") << other;
    EXPECT_EQ(profile_of("plan", few), "aws-x86") << other;
  }
}

TEST_F(PlanCommand, WhatIsNoPlanIsRefused) {
  write("job.yaml", "data: rows\n");
  write("list.yaml", "plan: []\n");
  write("half.yaml", "plan:\n- best: true\n  channel: s3\n");
  write("unmet.yaml", "plan:\n- best: false\n  channel: s3\n");
  write("broken.yaml", "plan: [\n");
  for (const char* file : {"missing.yaml", "job.yaml", "list.yaml", "half.yaml", "unmet.yaml",
                           "broken.yaml", "half.yaml:2"}) {
    const Result refused =
        lambdaml({"train", "--data", "my rows.libsvm", "--plan", file, "--output", "run"});
    EXPECT_EQ(refused.exit_code, 2) << file << ": " << refused.err;
    EXPECT_THAT(refused.err, HasSubstr(std::string(file).substr(0, 4))) << file;
  }
}

TEST_F(PlanCommand, ACalibrationIsAProfile) {
  const Result measured = lambdaml({"calibrate", "--channel", "file://" + (folder() / "s").string(),
                                    "--seconds", "0.2", "--out", "mine.yaml", "--json"});
  ASSERT_EQ(measured.exit_code, 0) << measured.err;
  EXPECT_TRUE(measured.json().at("ended_by").is_null());
  // A longer one runs jobs, too.
  const Result longer = lambdaml({"calibrate", "--channel", "file://" + (folder() / "s").string(),
                                  "--seconds", "2", "--out", "longer.yaml", "--json"});
  ASSERT_EQ(longer.exit_code, 0) << longer.err;
  EXPECT_TRUE(longer.json().at("ended_by").is_null()) << longer.out;
  EXPECT_THAT(read(folder() / "longer.yaml"), HasSubstr("command_s: "));
  const Result simulated =
      lambdaml({"simulate", "--data", "my rows.libsvm", "--workers", "2", "--epochs", "1",
                "--profile", "mine.yaml", "--seconds-per-row", "1e-6", "--seeds", "1", "--json"});
  ASSERT_EQ(simulated.exit_code, 0) << simulated.err;
  EXPECT_GT(simulated.json().at("seconds").at("p50").get<double>(), 0);
}

TEST_F(PlanCommand, ACalibrationOfNothingSaysSo) {
  const Result refused =
      lambdaml({"calibrate", "--channel", "redis://127.0.0.1:1", "--seconds", "0.2"});
  EXPECT_NE(refused.exit_code, 0);
  EXPECT_THAT(refused.err, HasSubstr("127.0.0.1:1"));
  EXPECT_FALSE(fs::exists(folder() / "profile.yaml"));
}

}  // namespace
}  // namespace lambdaml::e2e
