// Jobs seen from outside: status, logs, stop, ls.
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <thread>

#include <gmock/gmock.h>

#include "e2e/command.h"
#include "lambdaml/base/deadline.h"

namespace lambdaml::e2e {
namespace {

namespace fs = std::filesystem;

class Watching : public CliTest {
 protected:
  nlohmann::json status(const std::string& run) const {
    const Result result = lambdaml({"status", run, "--json"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.json();
  }
  /// Waits for `state`, or any other than running when the job ends before.
  nlohmann::json wait_for(const std::string& run, const std::string& key) const {
    for (int i = 0; i < 1000; ++i) {
      const Result result = lambdaml({"status", run, "--json"});
      if (result.exit_code == 0 && result.json().contains(key)) return result.json();
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    return {};
  }
};

TEST_F(Watching, ADoneJobTellsItsSummaryAndLogsByFolderAndByUri) {
  REQUIRE_REAL_DATA();
  const std::string checkpoints = "file://" + (folder() / "checkpoints").string();
  const nlohmann::json summary =
      train({"--data", real_data("agaricus.train.libsvm"), "--workers", "2", "--epochs", "2",
             "--checkpoint", checkpoints, "--output", "run"});
  const std::string by_uri = checkpoints + "/" + summary["job_id"].get<std::string>();
  const std::string by_path = "checkpoints/" + summary["job_id"].get<std::string>();
  for (const std::string& run : {std::string("run"), by_uri, by_path}) {
    const nlohmann::json now = status(run);
    EXPECT_EQ(now["state"], "done");
    EXPECT_EQ(now["summary"], summary);
  }
  const Result logs = lambdaml({"logs", "run", "--worker", "1"});
  EXPECT_NE(logs.out.find("loaded"), std::string::npos);
  EXPECT_EQ(logs.out.find("worker-0"), std::string::npos);
  EXPECT_EQ(lambdaml({"logs", "run", "--worker", "2"}).exit_code, 2);
  const nlohmann::json as_json = lambdaml({"logs", "run", "--worker", "1", "--json"}).json();
  ASSERT_EQ(as_json["logs"].size(), 1U);
  EXPECT_EQ(as_json["logs"][0]["worker"], 1);
  EXPECT_NE(as_json["logs"][0]["lines"][0].get<std::string>().find("loaded"), std::string::npos);
  const Result all = lambdaml({"ls", ".", "--json"});
  EXPECT_EQ(all.json()["runs"].size(), 1U);
  EXPECT_EQ(all.json()["runs"][0]["state"], "done");
  EXPECT_EQ(lambdaml({"ls", checkpoints, "--json"}).json()["runs"][0]["run"], by_uri);
  EXPECT_EQ(lambdaml({"ls", "checkpoints", "--json"}).json()["runs"][0]["run"], by_path);
  EXPECT_EQ(lambdaml({"stop", "run"}).exit_code, 2);
}

TEST_F(Watching, ARunningJobIsStoppedAndResumed) {
  REQUIRE_REAL_DATA();
  Command job(folder(), {"train", "--data", real_data("higgs.train.libsvm"), "--workers", "2",
                         "--batch-size", "10", "--epochs", "100000", "--output", "run", "-q"});
  const nlohmann::json running = wait_for("run", "round");
  ASSERT_FALSE(running.empty());
  EXPECT_EQ(running["state"], "running");
  EXPECT_EQ(running["started"], 2);
  const Result stopped = lambdaml({"stop", "run"});
  EXPECT_EQ(stopped.exit_code, 0) << stopped.err;
  const Result result = job.wait();
  EXPECT_EQ(result.exit_code, 130);
  EXPECT_NE(result.err.find("lambdaml resume"), std::string::npos) << result.err;
  EXPECT_EQ(status("run")["state"], "stopped");
}

TEST_F(Watching, AJobWhoseKeysAreClearedByOthersEndsAtOnceAndNamesThem) {
  REQUIRE_REAL_DATA();
  const std::string channel = "file://" + (folder() / "channel").string();
  Command job(folder(),
              {"train", "--data", real_data("higgs.train.libsvm"), "--workers", "2", "--batch-size",
               "10", "--epochs", "100000", "--output", "run", "-q", "--channel", channel});
  ASSERT_TRUE(wait_for_epochs(job, folder() / "run" / "metrics.jsonl", 2));
  const std::string id = nlohmann::json::parse(read(folder() / "run" / "run.json"))["job_id"];
  EXPECT_EQ(lambdaml({"storage", "clear", channel, id + "/", "-q"}).exit_code, 0);
  const Stopwatch clock;
  const Result result = job.wait();
  // Its workers' patience with each other is 300 s.
  EXPECT_LT(clock.seconds(), 20);
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.err.find("has no 'job' any more"), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("lambdaml resume"), std::string::npos) << result.err;
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
}

TEST_F(Watching, ADamagedSearchIsNamed) {
  fs::create_directory(folder() / "search");
  write("search/search.json", "{\"records");
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"status", "search"}, {"stop", "search"}, {"logs", "search"}}) {
    const Result result = lambdaml(arguments);
    EXPECT_EQ(result.exit_code, 2) << arguments[0];
    EXPECT_EQ(result.err, "lambdaml: search search: its search.json is damaged\n");
  }
  for (const char* place : {".", "search"})
    EXPECT_THAT(
        lambdaml({"ls", place}).out,
        testing::MatchesRegex("unknown +[./]*search: search [./]*search: its search.json is "
                              "damaged\n"));
}

TEST_F(Watching, AKilledJobIsInterrupted) {
  REQUIRE_REAL_DATA();
  Command job(folder(), {"train", "--data", real_data("higgs.train.libsvm"), "--workers", "2",
                         "--batch-size", "10", "--epochs", "100000", "--output", "run", "-q"});
  ASSERT_FALSE(wait_for("run", "round").empty());
  job.signal(SIGKILL);
  job.wait();
  const nlohmann::json killed = status("run");
  EXPECT_EQ(killed["state"], "interrupted");
  EXPECT_GT(killed["elapsed_s"], 0);
  const nlohmann::json listed = lambdaml({"ls", ".", "--json"}).json()["runs"][0];
  EXPECT_EQ(listed["begun_ms"], killed["begun_ms"]);
  EXPECT_EQ(listed["elapsed_s"], killed["elapsed_s"]);
  EXPECT_GE(listed["cost_so_far_usd"], 0);
  EXPECT_THAT(lambdaml({"ls", "."}).out,
              testing::ContainsRegex("interrupted .* workers  20[-0-9]+ [0-9]+:[0-9]+ .* ~[$]"));
  EXPECT_THAT(lambdaml({"status", "run"}).out, testing::HasSubstr("seen      last sign of life"));
  // Known by its checkpoints, too.
  const std::string id = status("run")["job_id"];
  EXPECT_EQ(status("run/checkpoint/" + id)["state"], "interrupted");
  EXPECT_EQ(status("file://" + (folder() / "run/checkpoint" / id).string())["state"],
            "interrupted");
  const Result stop = lambdaml({"stop", "run"});
  EXPECT_EQ(stop.exit_code, 2);
  EXPECT_NE(stop.err.find("resume"), std::string::npos) << stop.err;
}

TEST_F(Watching, WhatIsNoRunSaysSo) {
  std::filesystem::create_directory(folder() / "run");
  write("run/run.json", "{}");
  for (const std::string& run : {std::string("nowhere"), std::string("run"),
                                 "file://" + folder().string() + "/no-such-job"}) {
    const Result result = lambdaml({"status", run});
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_NE(result.err.find("run "), std::string::npos);
  }
}

TEST_F(Watching, ARecordThatSomebodyElseWroteIsNotBelieved) {
  std::filesystem::create_directories(folder() / "kept/job");
  const std::string run = "file://" + (folder() / "kept/job").string();
  for (const char* record :
       {R"({"workers":"many"})", R"({"workers":4000000000})", R"([1])", R"({"channel":7})"}) {
    write("kept/job/job.json", record);
    for (const char* command : {"status", "logs", "stop"}) {
      const Result result = lambdaml({command, run});
      EXPECT_EQ(result.exit_code, 2) << record;
      EXPECT_NE(result.err.find("job.json"), std::string::npos) << result.err;
    }
  }
  write("kept/job/job.json", R"({"workers":2,"model":[],"epochs":"x"})");
  write("kept/job/summary.json", R"({"ended_by":3,"epochs":{}})");
  const Result result = lambdaml({"status", run});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.out.find("done"), std::string::npos) << result.out;
}

}  // namespace
}  // namespace lambdaml::e2e
