#include "lambdaml/dashboard/dashboard.h"

#include <filesystem>
#include <fstream>
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "lambdaml/base/deadline.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/own_folder.h"
#include "lambdaml/base/testing/testing.h"
#include "lambdaml/dashboard/testing/made_run.h"
#include "lambdaml/faas/testing/hostile.h"
#include "lambdaml/tune/records.h"
#include "lambdaml/tune/search_folder.h"

namespace lambdaml::dashboard {
namespace {

namespace fs = std::filesystem;
using faas::testing::RawConnection;
using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr double kPatience_s = 60;
const std::string kJobId = "20261129-101500-3f9c01d2a47b";

struct Answer {
  std::string status, head, body;
  json object() const { return parse_json(body); }
};

class DashboardTest : public ::testing::Test {
 protected:
  void start(Settings settings = {}) {
    if (settings.places.empty()) settings.places = {(folder_ / "runs").string()};
    dashboard_.reset();
    dashboard_ = std::make_unique<Dashboard>(settings);
    port_ = dashboard_->port();
  }
  MadeRun make_run(const std::string& name, std::int64_t workers = 2) {
    fs::create_directories(folder_ / "runs");
    return {folder_ / "runs" / name, folder_ / ("channel-" + name), kJobId, workers};
  }

  std::string request(const std::string& method, const std::string& target,
                      const std::string& headers, const std::string& body = "") const {
    return method + " " + target + " HTTP/1.1\r\n" +
           (headers.find("Host:") == std::string::npos
                ? "Host: 127.0.0.1:" + std::to_string(port_) + "\r\n"
                : "") +
           "Connection: close\r\n" + headers + "Content-Length: " + std::to_string(body.size()) +
           "\r\n\r\n" + body;
  }
  Answer ask(const std::string& method, const std::string& target, const std::string& headers = "",
             const std::string& body = "") const {
    RawConnection connection(port_, request(method, target, headers, body));
    const std::string text = connection.receive(kPatience_s);
    const std::size_t end = text.find("\r\n\r\n");
    if (end == std::string::npos) return {"", text, ""};
    return {text.substr(9, 3), text.substr(0, end), text.substr(end + 4)};
  }
  Answer get(const std::string& target, const std::string& headers = "") const {
    return ask("GET", target, headers);
  }

  /// The row of that name, once `is_it` holds for it.
  template <class IsIt>
  json row(const std::string& name, IsIt is_it) const {
    const Deadline end = Deadline::in(kPatience_s);
    json last;
    while (!end.passed()) {
      last = get("/api/jobs").object();
      for (const json& row : last["rows"])
        if (row["name"] == name && is_it(row)) return row;
    }
    ADD_FAILURE() << "no such row: " << last;
    return {};
  }
  json row(const std::string& name) const {
    return row(name, [](const json&) { return true; });
  }

  const Scratch scratch_{"lambdaml-dashboard-"};
  const fs::path folder_ = scratch_.path();
  std::unique_ptr<Dashboard> dashboard_;
  std::uint16_t port_ = 0;
};

/// An open page: the events that it was sent.
class Page {
 public:
  Page(std::uint16_t port, const std::string& request) : connection_(port, request) {}

  /// Waits for an event of that kind for which `is_it` holds, and returns its data.
  template <class IsIt>
  json wait_for(const std::string& kind, IsIt is_it) {
    const Deadline end = Deadline::in(kPatience_s);
    while (!end.passed()) {
      for (std::size_t at = 0;
           (at = text_.find("event: " + kind + "\ndata: ", read_)) != std::string::npos;) {
        const std::size_t begin = at + 14 + kind.size();
        const std::size_t close = text_.find("\n\n", begin);
        if (close == std::string::npos) break;
        read_ = close;
        const json data = parse_json(text_.substr(begin, close - begin));
        if (is_it(data)) return data;
      }
      if (connection_.closed()) break;
      text_ += connection_.receive(0.2);
    }
    ADD_FAILURE() << "no such event: " << text_;
    return {};
  }
  bool closes(double seconds) { return connection_.closes(seconds); }

 private:
  RawConnection connection_;
  std::string text_;
  std::size_t read_ = 0;
};

TEST_F(DashboardTest, ServesAPageThatAsksNobodyElse) {
  start();
  const Answer page = get("/");
  EXPECT_EQ(page.status, "200");
  EXPECT_THAT(page.head, AllOf(HasSubstr("default-src 'none'"), HasSubstr("no-store"),
                               HasSubstr("frame-ancestors 'none'"), HasSubstr("nosniff")));
  EXPECT_THAT(page.body, AllOf(HasSubstr("LambdaML dashboard"), Not(HasSubstr("/*SCRIPT*/")),
                               Not(HasSubstr("/*OWN SCRIPT*/"))));
  const Answer worker = get("/events.js");
  EXPECT_THAT(worker.head, HasSubstr("text/javascript"));
}

TEST_F(DashboardTest, AnswersWhatItDoesNotKnowWithOneLine) {
  start();
  for (const char* target : {"/../../etc/passwd", "/..%2f..%2fetc/passwd", "/api/item?id=../../etc",
                             "/api/log?id=/etc/passwd", "/report?id=", "/nothing"}) {
    const Answer answer = get(target);
    EXPECT_EQ(answer.status, "404") << target;
    EXPECT_EQ(answer.object().size(), 1U) << answer.body;
    EXPECT_THAT(answer.body, Not(HasSubstr("root:")));
  }
  EXPECT_EQ(ask("POST", "/").status, "405");
  EXPECT_EQ(get("/api/stop?id=1").status, "405");
  EXPECT_EQ(ask("POST", "/api/stop", "", std::string(17 << 10, 'x')).status, "413");
}

TEST_F(DashboardTest, RefusesOtherPages) {
  start();
  const std::string own = "127.0.0.1:" + std::to_string(port_);
  EXPECT_EQ(get("/api/jobs", "Origin: http://" + own + "\r\n").status, "200");
  EXPECT_EQ(get("/", "Sec-Fetch-Site: none\r\n").status, "200");
  EXPECT_EQ(get("/api/jobs", "Sec-Fetch-Site: same-origin\r\n").status, "200");
  for (const std::string& foreign :
       {std::string("Origin: http://evil.example\r\n"), std::string("Origin: null\r\n"),
        std::string("Origin: http://127.0.0.1:1\r\n"),
        std::string("Sec-Fetch-Site: cross-site\r\n"), std::string("Sec-Fetch-Site: same-site\r\n"),
        "Host: evil.example\r\n" + std::string()})
    for (const char* target : {"/", "/api/jobs", "/api/events", "/metrics"}) {
      const Answer answer = get(target, foreign);
      EXPECT_EQ(answer.status, "403") << target << " " << foreign;
      EXPECT_EQ(answer.object().size(), 1U) << answer.body;
      EXPECT_NE(answer.object().value("error", ""), "") << answer.body;
      EXPECT_THAT(answer.head, Not(HasSubstr("Amzn")));
    }
  EXPECT_EQ(ask("POST", "/api/stop?id=1", "Origin: http://evil.example\r\n").status, "403");
}

TEST_F(DashboardTest, ServesNoOtherUser) {
  REQUIRE_ROOT();
  start();
  EXPECT_EQ(faas::testing::as_nobody([&] {
              RawConnection connection(port_, request("GET", "/", ""));
              return connection.receive(kPatience_s).empty() && connection.closed() ? 0 : 1;
            }),
            0);
}

TEST_F(DashboardTest, WantsItsToken) {
  const Settings settings{.token = "sesame-and-more"};
  start(settings);
  for (const char* target : {"/", "/api/jobs", "/api/events", "/metrics", "/report?id=1"}) {
    EXPECT_EQ(get(target).status, "401") << target;
    EXPECT_EQ(get(target, "Authorization: Bearer sesame-and-mor\r\n").status, "401");
    EXPECT_EQ(
        get(target, "Cookie: lambdaml_" + std::to_string(port_) + "=sesame-and-more\r\n").status,
        "401");
  }
  EXPECT_EQ(ask("POST", "/api/stop?id=1").status, "401");
  EXPECT_EQ(get("/api/jobs", "Authorization: Bearer sesame-and-more\r\n").status, "200");
  EXPECT_EQ(ask("POST", "/login", "", "token=wrong\r\n").status, "401");
  const Answer answer = ask("POST", "/login", "", "token=sesame-and-more\r\n");
  EXPECT_EQ(answer.status, "303");
  const std::size_t begin = answer.head.find("Set-Cookie: ") + 12;
  const std::string cookie = answer.head.substr(begin, answer.head.find(';', begin) - begin);
  EXPECT_THAT(answer.head, AllOf(HasSubstr("HttpOnly"), HasSubstr("SameSite=Strict")));
  EXPECT_THAT(cookie, Not(HasSubstr("sesame")));
  EXPECT_EQ(get("/", "Cookie: a=b; " + cookie + "\r\n").status, "200");
  EXPECT_EQ(get("/", "Cookie: a=b; " + cookie + "0\r\n").status, "401");
  EXPECT_THAT(get("/", "Cookie: " + cookie + "\r\n").body, Not(HasSubstr("sesame")));
  // Pages stay logged in when the server is started again.
  Settings again = settings;
  again.port = port_;
  start(again);
  EXPECT_EQ(get("/", "Cookie: " + cookie + "\r\n").status, "200");
}

TEST_F(DashboardTest, ServesOtherUsersWithATokenAlone) {
  REQUIRE_ROOT();
  start({.token = "sesame"});
  const std::string bare = request("GET", "/api/jobs", "");
  const std::string known = request("GET", "/api/jobs", "Authorization: Bearer sesame\r\n");
  EXPECT_EQ(faas::testing::as_nobody([&] {
              if (RawConnection(port_, bare).status() != "401") return 1;
              return RawConnection(port_, known).status() == "200" ? 0 : 2;
            }),
            0);
}

TEST_F(DashboardTest, SaysWhatIsWrongWithItsAddress) {
  EXPECT_THAT(error_of([&] { Dashboard({.host = "0.0.0.0"}); }),
              AllOf(HasSubstr("invalid_argument"), HasSubstr("--token")));
  EXPECT_THAT(error_of([&] { Dashboard({.host = "192.0.2.1", .token = "x"}); }),
              AllOf(HasSubstr("invalid_argument"), HasSubstr("192.0.2.1")));
  start();
  EXPECT_THAT(error_of([&] { Dashboard({.port = port_}); }),
              AllOf(HasSubstr("already_exists"), HasSubstr("in use")));
}

TEST_F(DashboardTest, ShowsARunningJobAndHowItGoesOn) {
  MadeRun run = make_run("one");
  run.end_epoch(1, 0.7);
  run.channel().save(control::keys::started(0), {});
  run.channel().save(control::keys::kProgress, as_bytes(R"({"epoch":2,"round":3,"rounds":6})"));
  start();
  const json first = row("one");
  EXPECT_EQ(first["state"], "running");
  EXPECT_EQ(first["metrics"]["train_loss"], 0.7);
  EXPECT_EQ(first["metrics_epoch"], 1);
  EXPECT_EQ(first["round"], 3);
  EXPECT_EQ(first["started"], 1);
  EXPECT_EQ(first["actions"], json::array({"stop"}));
  EXPECT_GT(first["cost_so_far_usd"].get<double>(), 0);
  EXPECT_GE(first["cost_usd_at_end"].get<double>(), first["cost_so_far_usd"].get<double>());
  // 1.5 of 10 epochs are done.
  EXPECT_NEAR(first["left_s"].get<double>() / first["elapsed_s"].get<double>(), 8.5 / 1.5, 1e-6);

  Page page(port_, request("GET", "/api/events", ""));
  const json all = page.wait_for("all", [](const json&) { return true; });
  EXPECT_EQ(all["rows"][0]["name"], "one");
  const std::string id = first["id"];
  run.end_epoch(2, 0.6);
  const json news =
      page.wait_for("news", [&](const json& data) { return data["epochs"].contains(id); });
  EXPECT_EQ(news["epochs"][id][0]["epoch"], 2);
  EXPECT_EQ(news["epochs"][id][0]["train_loss"], 0.6);

  const json item = get("/api/item?id=" + id).object()["items"][0];
  EXPECT_EQ(item["curves"]["epoch"], json::array({1, 2}));
  EXPECT_THAT(get("/report?id=" + id).body, HasSubstr("LambdaML report"));

  run.finish(R"({"job_id":"x","model":"lr","ended_by":"epochs","epochs":2,"train_loss":0.6,)"
             R"("cost_usd":0.5,"wall_s":3})");
  page.wait_for("news", [&](const json& data) {
    return data["rows"].size() == 1 && data["rows"][0]["state"] == "done" &&
           data["rows"][0]["cost_usd"] == 0.5;
  });
  fs::remove_all(folder_ / "runs");
  page.wait_for("news", [&](const json& data) { return data["removed"] == json::array({id}); });
  dashboard_.reset();
  page.wait_for("end", [](const json&) { return true; });
  EXPECT_TRUE(page.closes(kPatience_s));
}

TEST_F(DashboardTest, ShowsWhatTheTrialsOfARunningSearchHaveDoneSoFar) {
  fs::create_directories(folder_ / "runs");
  const fs::path place = folder_ / "runs/search";
  const std::string records_uri = "file://" + (place / "records").string();
  std::optional<tune::SearchFolder> lock =
      tune::SearchFolder::create(place, "20261129-101500-3f9c01d2a47b", records_uri);
  tune::Records records(records_uri);
  tune::Search search;
  tune::read_search_text(
      "data: x\nepochs: 10\ntune:\n  trials: 2\n  metric: train_loss\n  strategy: random\n"
      "  space: {lr: {uniform: [0.1, 1]}}\n",
      "job.yaml", search);
  search.id = kJobId;
  records.begin(search);
  const auto summary = std::make_shared<const nlohmann::ordered_json>(
      nlohmann::ordered_json{{"model", "lr"}, {"train_loss", 0.8}, {"epochs", 10}});
  records.save(0, {.trial = 0,
                   .epochs = 10,
                   .state = tune::Segment::State::done,
                   .epoch = 10,
                   .value = 0.8,
                   .cost_usd = 0.25,
                   .wall_s = 20,
                   .summary = summary});
  records.save(1, {.trial = 1, .epochs = 10});
  fs::create_directories(place / "trials");
  MadeRun trial(place / "trials/0001-10", folder_ / "channel-trial", kJobId + "-0001", 2);
  start();
  EXPECT_EQ(row("search")["search_epochs"], 10);
  trial.end_epoch(1, 0.7);
  trial.end_epoch(2, 0.6);
  const json now =
      row("search", [](const json& shown) { return shown.value("search_epochs", 0) == 12; });
  EXPECT_EQ(now["state"], "running");
  EXPECT_EQ(now["trials_running"], 1);
  EXPECT_EQ(now["best_trial"], 1) << "the running one is better";
  EXPECT_EQ(now["metrics"]["train_loss"], 0.6);
  EXPECT_GT(now["cost_so_far_usd"].get<double>(), 0.25);
  EXPECT_GT(now["cost_usd_at_end"], now["cost_so_far_usd"]);
  // 12 epochs took 20 s and what the running trial has had; 8 are left to one trial.
  EXPECT_GT(now["left_s"].get<double>(), 20.0 / 12 * 8);
  EXPECT_FALSE(now.contains("cost_usd")) << "that is known at the end";
  EXPECT_THAT(get("/metrics").body,
              Not(HasSubstr("lambdaml_search_cost_dollars{search=\"search\"} 0\n")));
  EXPECT_THAT(get("/metrics").body,
              HasSubstr("lambdaml_search_cost_dollars{search=\"search\"} 0.2"));
  const json item = get("/api/item?id=" + now["id"].get<std::string>()).object()["items"][0];
  EXPECT_EQ(item["state"], "running");
  EXPECT_EQ(item["trials"][1]["train_loss"], 0.6);
  EXPECT_GT(item["summary"]["cost_so_far_usd"].get<double>(), 0.25);

  EXPECT_THAT(item["job_file"].get<std::string>(),
              AllOf(HasSubstr("epochs: 10"), HasSubstr("tune:\n  space:\n    lr: {\"uniform\":")));

  lock.reset();  // the command was killed
  const json left =
      row("search", [](const json& shown) { return shown["state"] == "interrupted"; });
  EXPECT_EQ(left["actions"], json::array({"resume"}));
  EXPECT_GT(left["cost_so_far_usd"].get<double>(), 0.25);
  EXPECT_FALSE(left.contains("left_s"));

  lock.emplace(tune::SearchFolder::open(place));
  trial.begin_again(2);
  trial.end_epoch(3, 0.5);
  const json resumed =
      row("search", [](const json& shown) { return shown.value("search_epochs", 0) == 13; });
  // The time of the first two epochs of the killed job is not known, nor counted; 7 are left.
  EXPECT_GT(resumed["left_s"].get<double>(), 20.0 / 11 * 7);
}

TEST_F(DashboardTest, ShowsAJobThatBeginsAfterThePageWasOpened) {
  start();
  Page page(port_, request("GET", "/api/events", ""));
  const json all = page.wait_for("all", [](const json&) { return true; });
  EXPECT_EQ(all["rows"].size(), 0U);
  const MadeRun run = make_run("later");
  page.wait_for("news", [](const json& data) {
    return data["rows"].size() == 1 && data["rows"][0]["name"] == "later";
  });
}

TEST_F(DashboardTest, StopsAJob) {
  MadeRun run = make_run("one");
  start();
  const std::string id = row("one")["id"];
  EXPECT_EQ(ask("POST", "/api/stop?id=" + id).status, "200");
  EXPECT_TRUE(run.channel().load(control::keys::kStop).has_value());
}

TEST_F(DashboardTest, ResumesAJobAndTellsWhyThatFailed) {
  {
    MadeRun run = make_run("one");
    run.end_epoch(1, 0.7);
  }  // its process has ended
  const fs::path program = folder_ / "lambdaml";
  std::ofstream(program) << "#!/bin/sh\necho \"$@\" > " << (folder_ / "words").string()
                         << "\necho 'lambdaml: there is no data' >&2\nexit 2\n";
  fs::permissions(program, fs::perms::owner_all);
  start({.program = program.string()});
  const json interrupted = row("one");
  EXPECT_EQ(interrupted["state"], "interrupted");
  EXPECT_EQ(interrupted["actions"], json::array({"resume"}));
  const std::string id = interrupted["id"];
  Page page(port_, request("GET", "/api/events", ""));
  EXPECT_EQ(ask("POST", "/api/resume?id=" + id).status, "200");
  page.wait_for("news", [&](const json& data) {
    return data["rows"].size() == 1 &&
           data["rows"][0].value("error", "").find("there is no data") != std::string::npos;
  });
  std::string words;
  std::getline(std::ifstream(folder_ / "words"), words);
  EXPECT_EQ(words, "resume " + (folder_ / "runs/one").string());
}

TEST_F(DashboardTest, SearchesLogs) {
  MadeRun run = make_run("one");
  run.log(0, "begin\nround 1 of redis://user:hunter2@host\n");
  run.log(1, "begin\nOut of Memory\n");
  start();
  const std::string id = row("one")["id"];
  const json all = get("/api/log?id=" + id).object();
  EXPECT_EQ(all["workers"], 2);
  EXPECT_EQ(all["lines"].size(), 4U);
  const json some = get("/api/log?id=" + id + "&search=out+of%20memory").object();
  EXPECT_EQ(some["lines"], json::array({json::array({1, "Out of Memory"})}));
  EXPECT_EQ(get("/api/log?id=" + id + "&worker=0&search=memory").object()["lines"].size(), 0U);
  EXPECT_EQ(get("/api/log?id=" + id + "&worker=2").status, "400");
  EXPECT_EQ(get("/api/log?id=" + id + "&worker=x").status, "400");
}

// A browser writes each answer that is an error to its console, and here nobody has erred.
TEST_F(DashboardTest, ARunWhoseJobIsNotKnownHasNoLogAndSaysSo) {
  fs::create_directories(folder_ / "runs/bare");
  write_file(folder_ / "runs/bare/job.yaml", as_bytes("data: x\n"));
  write_file(folder_ / "runs/bare/metrics.jsonl", as_bytes("{\"epoch\":1,\"train_loss\":0.7}\n"));
  start();
  const Answer log = get("/api/log?id=" + row("bare")["id"].get<std::string>());
  EXPECT_EQ(log.status, "200");
  EXPECT_EQ(log.object()["lines"].size(), 0U);
  EXPECT_THAT(log.object()["note"].get<std::string>(), HasSubstr("bare"));
}

TEST_F(DashboardTest, ShowsNoSecret) {
  MadeRun run = make_run("one");
  run.log(0, "reading redis://user:hunter2@host\n");
  start();
  const std::string id = row("one")["id"];
  Page page(port_, request("GET", "/api/events", ""));
  EXPECT_THAT(page.wait_for("all", [](const json&) { return true; }).dump(),
              Not(HasSubstr("hunter2")));
  for (const std::string& target :
       {std::string("/api/jobs"), "/api/item?id=" + id, "/report?id=" + id, "/api/log?id=" + id,
        std::string("/metrics")}) {
    const Answer answer = get(target);
    EXPECT_EQ(answer.status, "200") << target;
    EXPECT_THAT(answer.body, Not(HasSubstr("hunter2"))) << target;
  }
}

TEST_F(DashboardTest, TellsPrometheus) {
  MadeRun run = make_run("one");
  run.end_epoch(1, 0.7);
  start();
  const Answer text = get("/metrics");
  EXPECT_THAT(text.head, HasSubstr("text/plain; version=0.0.4"));
  EXPECT_THAT(text.body,
              AllOf(HasSubstr("lambdaml_jobs{kind=\"run\",state=\"running\"} 1\n"),
                    HasSubstr("lambdaml_job_epoch{job=\"" + kJobId + "\",model=\"lr\"} 1\n"),
                    HasSubstr("lambdaml_job_metric{job=\"" + kJobId +
                              "\",model=\"lr\",metric=\"train_loss\"} 0.7\n")));
  const Answer open =
      get("/metrics", "Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\n");
  EXPECT_TRUE(open.body.ends_with("# EOF\n"));
}

TEST_F(DashboardTest, SaysWhatIsDamaged) {
  fs::create_directories(folder_ / "runs/bad");
  std::ofstream(folder_ / "runs/bad/run.json") << "{\"job_id\": ";
  fs::create_directories(folder_ / "runs/search");
  std::ofstream(folder_ / "runs/search/search.json") << "[]";
  start();
  for (const char* name : {"bad", "search"}) {
    const json shown = row(name);
    EXPECT_EQ(shown["state"], "unknown");
    EXPECT_NE(shown["error"].get<std::string>(), "");
    EXPECT_EQ(shown["actions"], json::array());
  }
}

TEST_F(DashboardTest, HoldsManyPages) {
  MadeRun run = make_run("one");
  start();
  const std::string id = row("one")["id"];
  std::vector<std::unique_ptr<Page>> pages;
  for (int i = 0; i < 20; ++i)
    pages.push_back(std::make_unique<Page>(port_, request("GET", "/api/events", "")));
  for (auto& page : pages) page->wait_for("all", [](const json&) { return true; });
  run.end_epoch(1, 0.7);
  for (auto& page : pages)
    page->wait_for("news", [&](const json& data) { return data["epochs"].contains(id); });
  EXPECT_EQ(get("/").status, "200");
}

}  // namespace
}  // namespace lambdaml::dashboard
