// Searches as a user runs them, on real data.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <set>
#include <thread>

#include <gmock/gmock.h>
#include <signal.h>

#include "e2e/lambda.h"
#include "lambdaml/base/deadline.h"

namespace lambdaml::e2e {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class Tune : public CliTest {
 protected:
  /// A job file that searches the learning rate of a small job on the HIGGS sample.
  fs::path job(const std::string& settings, const std::string& options = "", int epochs = 9) const {
    return write("job.yaml", "data: " + real_data("higgs.train.libsvm") + "\nworkers: 2\nepochs: " +
                                 std::to_string(epochs) + "\nbatch_size: 200\n" + options +
                                 "tune:\n  space:\n    lr: {log_uniform: [1e-4, 10]}\n" + settings);
  }

  json tune(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), "tune");
    arguments.insert(arguments.end(), {"--json", "-q"});
    const Result result = lambdaml(arguments);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.exit_code == 0 ? result.json() : json::object();
  }

  static json without_costs(json summary) {
    for (json& trial : summary["trials"])
      for (const char* name : {"cost_usd", "killed_usd", "wall_s"}) trial.erase(name);
    return summary["trials"];
  }
};

TEST_F(Tune, ATrialOfFoldsHasTheMeanOfItsJobs) {
  REQUIRE_REAL_DATA();
  const std::string data = real_data("agaricus.train.libsvm");
  write("job.yaml", "data: " + data +
                        "\nworkers: 2\nlr: 0.1\nbatch_size: 200\ntune:\n  strategy: grid\n"
                        "  concurrency: 2\n  space:\n    epochs: {choice: [1, 3]}\n");
  const json found = tune({"job.yaml", "--folds", "3", "--output", "out"});
  ASSERT_EQ(found["trials"].size(), 2U);
  double sum = 0;
  for (const char* fold : {"0", "1", "2"})
    sum += train({"--data", data, "--workers", "2", "--lr", "0.1", "--batch-size", "200",
                  "--epochs", "3", "--folds", "3", "--fold", fold})["valid_loss"]
               .get<double>();
  EXPECT_NEAR(found["valid_loss"].get<double>(), sum / 3, 1e-12);
  EXPECT_EQ(found["options"]["epochs"], 3);
  const json& values = found["trials"][found["best_trial"].get<std::size_t>()]["fold_values"];
  ASSERT_EQ(values.size(), 3U);
  EXPECT_NEAR(values[0].get<double>() + values[1].get<double>() + values[2].get<double>(), sum,
              1e-12);
  EXPECT_TRUE(fs::exists(found["model_path"].get<std::string>()));
  EXPECT_EQ(read(folder() / "out" / "best.yaml").find("fold: 2"), std::string::npos);
  const Result one = lambdaml({"tune", "job.yaml", "--folds", "1", "--output", "one"});
  EXPECT_EQ(one.exit_code, 2);
  EXPECT_FALSE(fs::exists(folder() / "one"));
}

TEST_F(Tune, FindsWhatAGridFindsAndAshaForHalfTheEpochs) {
  REQUIRE_REAL_DATA();
  const std::string path = job("  trials: 16\n  concurrency: 4\n").string();
  const json grid =
      tune({path, "--strategy", "grid", "--points", "40", "--trials", "0", "--output", "grid"});
  ASSERT_EQ(grid["trials"].size(), 40U);
  const json random = tune({path, "--output", "random"});
  ASSERT_EQ(random["trials"].size(), 16U);
  EXPECT_LE(random["valid_loss"].get<double>(), grid["valid_loss"].get<double>() + 0.006);
  const json asha = tune({path, "--strategy", "asha", "--output", "asha"});
  ASSERT_EQ(asha["trials"].size(), 16U);
  EXPECT_LE(asha["valid_loss"].get<double>(), grid["valid_loss"].get<double>() + 0.006);
  EXPECT_EQ(random["search_epochs"], 16 * 9);
  EXPECT_LE(asha["search_epochs"].get<int>() * 2, random["search_epochs"].get<int>());

  // Same seed, same trials, same best.
  const json again = tune({path, "--strategy", "asha", "--output", "again"});
  EXPECT_EQ(without_costs(again), without_costs(asha));
  EXPECT_EQ(again["best_trial"], asha["best_trial"]);

  // The best trial's job and model.
  const json best = train({"random/best.yaml", "--output", "best"});
  EXPECT_NEAR(best["valid_loss"].get<double>(), random["valid_loss"].get<double>(), 1e-6);
  EXPECT_EQ(best["workers"], 2);
  EXPECT_TRUE(fs::exists(folder() / "random/model.safetensors"));
  const std::string csv = read(folder() / "random/trials.csv");
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 17);
  EXPECT_TRUE(csv.starts_with("trial,state,lr,epochs,train_loss")) << csv;
  // Nothing is left that only running trials need.
  EXPECT_FALSE(fs::exists(folder() / "random/records/data"));
  EXPECT_FALSE(fs::exists(folder() / "random/records/trials"));
}

TEST_F(Tune, WorkersOfFinishedTrialsServeTheNextOnes) {
  REQUIRE_REAL_DATA();
  const std::string path = job("  trials: 12\n  concurrency: 2\n").string();
  Command command(folder(), {"tune", path, "--output", "out", "-q", "--json"});
  std::set<pid_t> processes;
  for (int i = 0; i < 5000 && !fs::exists(folder() / "out/summary.json"); ++i) {
    for (const pid_t pid : command.workers()) processes.insert(pid);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_EQ(command.wait().exit_code, 0);
  // Two trials of two workers at a time; the other ten start no process.
  EXPECT_GE(processes.size(), 2U);
  EXPECT_LE(processes.size(), 4U);
}

TEST_F(Tune, ATrialThatLosesItsWorkersIsARowWithItsReason) {
  REQUIRE_REAL_DATA();
  const std::string path =
      job("  trials: 2\n  concurrency: 1\n  strategy: random\n", "", 400).string();
  Command command(folder(), {"tune", path, "--output", "out", "-q", "--json"});
  // The event of one worker is tried three times.
  std::set<pid_t> killed;
  const Deadline patience = Deadline::in(60);
  pid_t newest = 0;
  while (killed.size() < 3 && !patience.passed()) {
    const std::vector<pid_t> workers = command.workers();
    if (workers.size() == 2 && workers.back() > newest) {
      newest = workers.back();
      ::kill(newest, SIGKILL);
      killed.insert(newest);
    }
    std::this_thread::yield();
  }
  ASSERT_EQ(killed.size(), 3U);
  const Result result = command.wait();
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const json summary = result.json();
  ASSERT_EQ(summary["trials"].size(), 2U);
  const json& lost = summary["trials"][0];
  EXPECT_EQ(lost["state"], "failed");
  EXPECT_NE(lost.value("reason", "").find("signal 9"), std::string::npos) << lost;
  EXPECT_EQ(summary["trials"][1]["state"], "done");
  EXPECT_EQ(summary["best_trial"], 1);
}

TEST_F(Tune, ATrialThatGoesOnIsTheSameAsOneNeverStopped) {
  REQUIRE_REAL_DATA();
  const std::string path = job("  trials: 3\n", "lr_schedule: cosine\nmomentum: 0.5\n").string();
  const json whole = tune({path, "--output", "whole"});
  const json asha = tune({path, "--strategy", "asha", "--output", "asha"});
  int compared = 0;
  for (const json& trial : asha["trials"])
    if (trial["epochs"] == 9) {
      const json& same = whole["trials"][trial["trial"].get<std::size_t>()];
      EXPECT_EQ(trial["options"], same["options"]);
      EXPECT_EQ(trial["train_loss"], same["train_loss"]);
      EXPECT_EQ(trial["valid_loss"], same["valid_loss"]);
      ++compared;
    }
  EXPECT_GE(compared, 1);
}

TEST_F(Tune, ATrialThatFailsIsARowAndTheSearchGoesOn) {
  REQUIRE_REAL_DATA();
  const std::string path =
      write("job.yaml", "data: " + real_data("higgs.train.libsvm") +
                            "\nepochs: 2\nbatch_size: 100\ntune:\n  strategy: grid\n  space:\n"
                            "    lr: {choice: [0.1, 1e38]}\n    workers: {choice: [1, 2]}\n"
                            "    optim: {choice: [grad_avg, em]}\n")
          .string();
  const json summary = tune({path, "--output", "out"});
  std::map<std::string, int> states;
  for (const json& trial : summary["trials"]) {
    ++states[trial["state"]];
    const json& options = trial["options"];
    const bool sound = options["lr"] < 1 && options["optim"] == "grad_avg";
    EXPECT_EQ(trial["state"] == "done", sound) << trial;
    EXPECT_EQ(trial.value("reason", "").empty(), sound) << trial;
  }
  EXPECT_EQ(states["done"], 2);
  EXPECT_EQ(states["failed"], 6);
}

TEST_F(Tune, GoesOnAfterAKillAndRepeatsNothing) {
  REQUIRE_REAL_DATA();
  const std::string path =
      job("  trials: 8\n  concurrency: 2\n  strategy: asha\n", "model: svm\n", 60).string();
  const json whole = tune({path, "--output", "whole"});
  {
    Command command(folder(), {"tune", path, "--output", "cut", "-q"});
    for (int i = 0; i < 3000 && !fs::exists(folder() / "cut/records/legs/000006.json"); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    const Result second = lambdaml({"tune", "--resume", "cut", "-q"});
    EXPECT_EQ(second.exit_code, 1) << "it is locked";
    command.signal(SIGKILL);
    command.wait();
  }
  ASSERT_FALSE(fs::exists(folder() / "cut/summary.json")) << "ended before it was killed";
  // Its lock says at once that nobody runs it.
  const Result stop = lambdaml({"stop", "cut", "--wait-s", "600"});
  EXPECT_EQ(stop.exit_code, 2);
  EXPECT_THAT(stop.err, testing::HasSubstr("it is not running, its tuner was killed; continue"));
  const json left = lambdaml({"ls", ".", "--json"}).json()["searches"][0];
  EXPECT_EQ(left["state"], "interrupted");
  EXPECT_GT(left["begun_ms"], whole["begun_ms"]);
  EXPECT_GT(left["elapsed_s"], 0);
  fs::rename(folder() / "cut", folder() / "moved");
  const Result second = lambdaml({"tune", "--resume", "moved", "--json", "-q"});
  ASSERT_EQ(second.exit_code, 0) << second.err;
  const json resumed = second.json();
  EXPECT_EQ(without_costs(resumed), without_costs(whole));
  // What was killed has cost something too.
  double sum = 0, killed = 0;
  for (const json& trial : resumed["trials"]) {
    sum += trial["cost_usd"].get<double>();
    killed += trial.value("killed_usd", 0.0);
  }
  EXPECT_GT(killed, 0);
  EXPECT_DOUBLE_EQ(resumed["search_killed_usd"], killed);
  EXPECT_DOUBLE_EQ(resumed["search_cost_usd"], sum);
  EXPECT_THAT(second.err, testing::HasSubstr("an earlier tuner was killed, or lost, with "));
  // Of a search that is over there is nothing to do.
  EXPECT_EQ(tune({"--resume", "moved"})["trials"], resumed["trials"]);
}

TEST_F(Tune, WithFoldsGoesOnAfterAKillToo) {
  REQUIRE_REAL_DATA();
  const std::string path =
      job("  trials: 2\n  concurrency: 2\n  strategy: random\n  folds: 2\n", "", 120).string();
  const json whole = tune({path, "--output", "whole"});
  {
    Command command(folder(), {"tune", path, "--output", "cut", "-q"});
    for (int i = 0; i < 3000 && !fs::exists(folder() / "cut/trials/0000-120-1"); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    command.signal(SIGKILL);
    command.wait();
  }
  ASSERT_FALSE(fs::exists(folder() / "cut/summary.json")) << "ended before it was killed";
  EXPECT_EQ(without_costs(tune({"--resume", "cut"})), without_costs(whole));
}

TEST_F(Tune, IsStoppedAndGoesOnWithTheSameTrials) {
  REQUIRE_REAL_DATA();
  const std::string path =
      job("  trials: 8\n  concurrency: 2\n  strategy: asha\n", "model: svm\n", 150).string();
  const json whole = tune({path, "--output", "whole"});
  const fs::path order = folder() / "cut/records/tuner/order";
  const fs::path claim = folder() / "cut/records/tuner/claim";
  std::string ended_claim;
  const auto is_stopped = [&] { return fs::exists(order) && read(order) == "stop"; };
  const auto is_at_work = [&] {
    return !is_stopped() && fs::exists(claim) && read(claim) != ended_claim;
  };
  const auto wait_until = [](const std::function<bool()>& holds) {
    for (int i = 0; i < 6000 && !holds(); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
  };
  const auto stop_after = [&](const std::string& segment, std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "tune");
    arguments.emplace_back("-q");
    Command command(folder(), arguments);
    const fs::path begun = folder() / ("cut/records/legs/" + segment + ".json");
    wait_until([&] { return fs::exists(begun) && is_at_work(); });
    // It must not end before it is asked to stop.
    command.signal(SIGSTOP);
    Command stop(folder(), {"stop", "cut", "--json", "--wait-s", "120"});
    wait_until([&] { return is_stopped() || !stop.runs(); });
    // A tuner reads its orders every 0.5 s, in which a fast machine would do all trials that are
    // left: after so long a rest it reads them before anything else.
    std::this_thread::sleep_for(std::chrono::milliseconds(600));
    command.signal(SIGCONT);
    const Result stopped = stop.wait();
    EXPECT_EQ(stopped.exit_code, 0) << stopped.err;
    EXPECT_NE(stopped.out.find("\"stopped\""), std::string::npos) << stopped.out;
    const Result result = command.wait();
    EXPECT_EQ(result.exit_code, 130) << result.err;
    EXPECT_NE(result.err.find("the search was stopped"), std::string::npos) << result.err;
    EXPECT_NE(result.err.find("continue with: lambdaml tune --resume "), std::string::npos);
    ASSERT_FALSE(fs::exists(folder() / "cut/summary.json")) << "ended before it was stopped";
    ended_claim = read(claim);
    EXPECT_EQ(lambdaml({"status", "cut", "--json"}).json()["state"], "stopped");
  };
  stop_after("000001", {path, "--output", "cut"});
  const Result again = lambdaml({"stop", "cut"});
  EXPECT_EQ(again.exit_code, 2);
  EXPECT_NE(again.err.find("no tuner works on it"), std::string::npos) << again.err;
  stop_after("000002", {"--resume", "cut"});
  EXPECT_EQ(without_costs(tune({"--resume", "cut"})), without_costs(whole));
}

TEST_F(Tune, LimitsEndItWithWhatWasFound) {
  REQUIRE_REAL_DATA();
  const std::string path = job("  trials: 1000\n  concurrency: 2\n").string();
  const Result budget =
      lambdaml({"tune", path, "--budget", "0.00002", "--output", "out", "--json", "-q"});
  EXPECT_EQ(budget.exit_code, 3) << budget.err;
  EXPECT_NE(budget.err.find("lambdaml tune --resume"), std::string::npos) << budget.err;
  const json cut = budget.json();
  EXPECT_GE(cut["search_cost_usd"], 0.00002);
  EXPECT_LT(cut["trials"].size(), 1000U);
  EXPECT_TRUE(fs::exists(folder() / "out/trials.csv"));
  // Time for some trials more, on a machine of any speed.
  double longest = 0.1;
  for (const json& trial : cut["trials"])
    longest = std::max(longest, trial.at("wall_s").get<double>());
  const Result late = lambdaml({"tune", "--resume", "out", "--budget", "1", "--deadline",
                                std::to_string(3 * longest), "--json", "-q"});
  EXPECT_EQ(late.exit_code, 3) << late.err;
  EXPECT_GT(late.json()["trials"].size(), cut["trials"].size());

  const json goal = tune({path, "--until", "valid_loss<=0.68", "--output", "goal"});
  EXPECT_EQ(goal["ended_by"], "until");
  EXPECT_LE(goal["valid_loss"], 0.68);
}

TEST_F(Tune, TheCheapestWayToAGoalIsFound) {
  REQUIRE_REAL_DATA();
  const std::string text =
      "data: " + real_data("higgs.train.libsvm") +
      "\nworkers: 2\nepochs: 40\nbatch_size: 200\ntune:\n  strategy: grid\n  metric: cost_usd\n" +
      "  space: {lr: {choice: [1.0e-6, 0.5]}, memory_mb: {choice: [10240, 1769]}}\n";
  const Result aimless = lambdaml({"tune", write("aimless.yaml", text).string(), "-q"});
  EXPECT_EQ(aimless.exit_code, 2);
  EXPECT_NE(aimless.err.find("until"), std::string::npos) << aimless.err;

  const std::string path = write("job.yaml", "until: valid_loss<=0.67\n" + text).string();
  const json summary = tune({path, "--output", "out"});
  EXPECT_EQ(summary["metric"], "cost_usd");
  ASSERT_EQ(summary["trials"].size(), 4U);
  // One learning rate never gets there. With the other both get equally far, and a function of
  // 10,240 MB costs 5.8 times as much a second.
  std::vector<json> done;
  for (const json& trial : summary["trials"]) {
    const bool arrives = trial["options"]["lr"] == 0.5;
    EXPECT_EQ(trial["state"], arrives ? "done" : "failed") << trial;
    EXPECT_EQ(trial.value("reason", ""), arrives ? "" : "it did not reach valid_loss<=0.67");
    if (arrives) done.push_back(trial);
  }
  ASSERT_EQ(done.size(), 2U);
  EXPECT_EQ(done[0]["valid_loss"], done[1]["valid_loss"]);
  EXPECT_LE(done[0]["valid_loss"], 0.67);
  EXPECT_LT(done[0]["epochs"], 40);  // it ends where it gets there
  EXPECT_EQ(summary["options"]["memory_mb"], 1769);
  EXPECT_EQ(summary["options"]["lr"], 0.5);
  EXPECT_NE(read(folder() / "out/best.yaml").find("until: \"valid_loss<=0.67\""),
            std::string::npos);
}

TEST_F(Tune, BadInputStartsNothing) {
  const auto expect_refused = [&](const std::string& text, const std::string& why) {
    const Result result =
        lambdaml({"tune", write("bad.yaml", text).string(), "--output", "out", "-q"});
    EXPECT_EQ(result.exit_code, 2) << text;
    EXPECT_NE(result.err.find(why), std::string::npos) << result.err;
    EXPECT_FALSE(fs::exists(folder() / "out")) << text;
  };
  const std::string data =
      "data: " + write("d.libsvm", "1 1:1\n0 1:2\n1 1:3\n0 1:4\n").string() + "\n";
  const std::string lr = "  space: {lr: {uniform: [0.1, 0.2]}}\n";
  expect_refused(data, "the space is empty");
  expect_refused(data + "tune:\n  space: {lrr: {uniform: [1, 2]}}\n", "did you mean 'lr'");
  expect_refused(data + "tune:\n  space: {lr: {uniform: [2, 1]}}\n", "wrong order");
  expect_refused(data + "tune:\n  space: {lr: {log_uniform: [0, 1]}}\n", "no logarithm");
  expect_refused(data + "tune:\n  strategy: grid\n  points: 20000\n" + lr, "--trials");
  expect_refused(data + "tune:\n  budget: 1e-8\n" + lr, "too small for one trial");
  expect_refused("data: nowhere.libsvm\ntune:\n" + lr, "nowhere.libsvm");
  EXPECT_EQ(lambdaml({"tune"}).exit_code, 2);
  EXPECT_EQ(lambdaml({"tune", "--resume", "nothing"}).exit_code, 2);
}

class TunerFunction : public Lambda {
 protected:
  using Lambda::Lambda;

  /// Invokes a tuner of 5 s life with a search of so many trials and these settings.
  Result begin(int trials, const json& more = json::object()) const {
    deploy("lambdaml-worker", {"--timeout-s", "60"});
    deploy("lambdaml-tuner", {"--handler", "tuner", "--timeout-s", "5"});
    json settings{{"strategy", "random"},
                  {"trials", trials},
                  {"concurrency", 2},
                  {"records", "file://" + (folder() / "records").string()},
                  {"space", {{"lr", {{"log_uniform", {1e-3, 1}}}}}}};
    settings.update(more);
    const json event{{"data", real_data("higgs.train.libsvm")},
                     {"workers", 2},
                     {"epochs", 60},
                     {"batch_size", 20},
                     {"channel", channel()},
                     {"tune", settings}};
    return with_keys({"invoke", "lambdaml-tuner", "--payload", event.dump()});
  }

  static void wait_for(const std::function<bool()>& done) {
    for (int i = 0; i < 2000 && !done(); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }

  void expect_every_trial() const {
    const Result begun = begin(6);
    ASSERT_EQ(begun.exit_code, 0) << begun.err;
    const json answer = begun.json();
    ASSERT_EQ(answer.value("state", ""), "running") << "done within one life: " << answer;
    const fs::path place = answer["search"].get<std::string>().substr(7);
    wait_for([&] { return fs::exists(place / "summary.json"); });
    ASSERT_TRUE(fs::exists(place / "summary.json")) << emulator_log();
    const json summary = json::parse(read(place / "summary.json"));
    ASSERT_EQ(summary["trials"].size(), 6U);
    EXPECT_EQ(summary["trials_done"], 6) << summary;
    for (const json& trial : summary["trials"]) EXPECT_EQ(trial["epochs"], 60);
    EXPECT_TRUE(fs::exists(place / "best.yaml"));
    expect_one_at_a_time(place);
  }

  /// Whose turn it was, as the leases say that lie with the records.
  static void expect_one_at_a_time(const fs::path& place) {
    int legs = 0;
    for (const auto& entry : fs::recursive_directory_iterator(place / "tuner")) {
      if (!entry.is_regular_file() || entry.path().parent_path() == place / "tuner") continue;
      EXPECT_EQ(entry.path().filename(), "0") << entry.path() << " was taken more than once";
      // The last one is marked after the summary was written.
      const auto is_finished = [&] {
        return json::parse(read(entry.path()), nullptr, false).value("finished", false);
      };
      wait_for(is_finished);
      EXPECT_TRUE(is_finished()) << entry.path();
      ++legs;
    }
    EXPECT_GE(legs, 2);
  }
};

TEST_F(TunerFunction, GoesOnInFreshInvocationsAndLosesNothing) { expect_every_trial(); }

TEST_F(TunerFunction, ASearchThatItsDeadlineEndedGoesOnWhenItIsAsked) {
  const Result cut = begin(3, {{"deadline", 1}});
  ASSERT_EQ(cut.exit_code, 0) << cut.err;
  ASSERT_EQ(cut.json().value("ended_by", ""), "limit") << cut.out;
  fs::path place;
  for (const auto& entry : fs::directory_iterator(folder() / "records")) place = entry.path();
  ASSERT_FALSE(fs::exists(place / "summary.json"));
  // Twice, and each for as long as it may run if need be.
  for (int i = 0; i < 2; ++i) {
    const Result more = with_keys({"invoke", "lambdaml-tuner", "--payload",
                                   json{{"search", "file://" + place.string()}}.dump()});
    ASSERT_EQ(more.exit_code, 0) << more.err;
  }
  wait_for([&] { return fs::exists(place / "summary.json"); });
  ASSERT_TRUE(fs::exists(place / "summary.json")) << emulator_log();
  EXPECT_EQ(json::parse(read(place / "summary.json"))["trials_done"], 3);
}

/// Whether it is stopped while an invocation works or between two of them.
TEST_F(TunerFunction, AStopHoldsUntilTheSearchIsResumed) {
  const Result begun = begin(6);
  ASSERT_EQ(begun.exit_code, 0) << begun.err;
  const json answer = begun.json();
  ASSERT_EQ(answer.value("state", ""), "running") << "done within one life: " << answer;
  const std::string uri = answer["search"];
  const fs::path place = uri.substr(7);
  const Result stopped = lambdaml({"stop", uri, "--json"});
  ASSERT_EQ(stopped.exit_code, 0) << stopped.err << emulator_log();
  EXPECT_EQ(stopped.json()["state"], "stopped");

  // The invocation that was to continue, which an earlier delivery may have been.
  const fs::path chain = place / "tuner" / place.filename();
  const json late{{"search", uri}, {"chain", place.filename().string()}, {"leg", 1}};
  const Result refused = with_keys({"invoke", "lambdaml-tuner", "--payload", late.dump()});
  ASSERT_EQ(refused.exit_code, 0) << refused.err;
  EXPECT_EQ(refused.json()["state"], "stopped") << refused.out;
  EXPECT_FALSE(fs::exists(chain / "2")) << "it was continued";
  ASSERT_FALSE(fs::exists(place / "summary.json")) << "ended before it was stopped";
  EXPECT_EQ(lambdaml({"stop", uri}).exit_code, 2);

  const Result more =
      with_keys({"invoke", "lambdaml-tuner", "--payload", json{{"search", uri}}.dump()});
  ASSERT_EQ(more.exit_code, 0) << more.err;
  wait_for([&] { return fs::exists(place / "summary.json"); });
  ASSERT_TRUE(fs::exists(place / "summary.json")) << emulator_log();
  EXPECT_EQ(json::parse(read(place / "summary.json"))["trials_done"], 6);
}

class TunerFunctionTwice : public TunerFunction {
 protected:
  TunerFunctionTwice() : TunerFunction({"--deliver-twice"}) {}
};

TEST_F(TunerFunctionTwice, LosesAndRepeatsNothing) { expect_every_trial(); }

}  // namespace
}  // namespace lambdaml::e2e
