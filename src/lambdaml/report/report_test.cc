#include <cmath>
#include <filesystem>
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/files.h"
#include "lambdaml/base/json.h"
#include "lambdaml/report/curves.h"
#include "lambdaml/report/document.h"
#include "lambdaml/report/page.h"
#include "lambdaml/report/timeline.h"

namespace lambdaml::report {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using nlohmann::ordered_json;
using testing::HasSubstr;
using testing::Not;

class ReportFiles : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / fmt::format("lambdaml-report-{}", ::getpid());
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  void write(const std::string& name, const std::string& text) const {
    fs::create_directories((folder_ / name).parent_path());
    write_file(folder_ / name, as_bytes(text));
  }
  ordered_json item() const {
    const std::vector<std::string> places{folder_.string()};
    return document_of(places, {})["items"][0];
  }

  fs::path folder_;
};

std::string notes_of(const ordered_json& item) { return item["notes"].dump(); }

TEST(ReportCurves, KeepEveryLineOfAShortFile) {
  const Curves curves = read_curves(
      "{\"epoch\":1,\"train_loss\":0.5,\"compute_s\":1,\"comm_s\":2}\n"
      "{\"epoch\":2,\"train_loss\":0.25,\"valid_loss\":3,\"compute_s\":1,\"comm_s\":3}\n",
      10);
  EXPECT_EQ(curves.every, 1U);
  EXPECT_THAT(curves.epoch, testing::ElementsAre(1, 2));
  EXPECT_THAT(curves.columns.at("train_loss"), testing::ElementsAre(0.5, 0.25));
  EXPECT_TRUE(std::isnan(curves.columns.at("valid_loss")[0]));
  EXPECT_THAT(curves.seconds, testing::ElementsAre(3, 7));
}

TEST(ReportCurves, ThinALongFileAndKeepItsLastLine) {
  std::string text;
  for (int epoch = 1; epoch <= 10'001; ++epoch)
    text += fmt::format("{{\"epoch\":{},\"train_loss\":{},\"compute_s\":1}}\n", epoch, 1.0 / epoch);
  const Curves curves = read_curves(text, 100);
  EXPECT_EQ(curves.epochs, 10'001U);
  EXPECT_LE(curves.epoch.size(), 102U);
  EXPECT_GE(curves.epoch.size(), 90U);
  EXPECT_EQ(curves.epoch.front(), 1U);
  EXPECT_EQ(curves.epoch.back(), 10'001U);
  EXPECT_EQ(curves.seconds.back(), 10'001);
}

TEST(ReportCurves, SkipDamagedLinesAndNameNumbersThatAreNotFinite) {
  const Curves curves = read_curves(
      "{\"epoch\":1,\"train_loss\":0.5}\n{\"epoch\":2,\"train_loss\":null}\nnonsense\n[1]\n{\"epo",
      10);
  EXPECT_EQ(curves.damaged_lines, 3U);
  EXPECT_EQ(curves.not_finite.at("train_loss"), 2U);
  EXPECT_EQ(curves.to_json()["columns"]["train_loss"].dump(), "[0.5,null]");
}

/// A worker's report: `rounds` rounds of 10 ms, of which 4 wait, that begin 5 ms after its arrival.
json report_of(int worker, int rounds, std::int64_t origin_ms) {
  json columns;
  for (int i = 0; i < rounds; ++i) {
    columns["rounds"].push_back(1);
    columns["begin_us"].push_back(5000 + 10'000 * i);
    columns["compute_us"].push_back(3000);
    columns["send_us"].push_back(1000);
    columns["wait_us"].push_back(4000);
    columns["receive_us"].push_back(2000);
    columns["checkpoint_us"].push_back(0);
  }
  json report{{"worker", worker}, {"usage", json::object()}};
  for (const char* name : {"startup_s", "load_s", "compute_s", "comm_s", "run_s", "invocations",
                           "bytes_sent", "bytes_received"})
    report[name] = 1;
  report["timeline"] = {{"version", 1},
                        {"sent_ms", 1000},
                        {"origin_ms", origin_ms},
                        {"rounds", columns},
                        {"invocations", json::array({{{"began_us", 0},
                                                      {"load_us", 2000},
                                                      {"trained_us", 5000},
                                                      {"ended_us", 5000 + 10'000 * rounds}}})}};
  return report;
}

TEST(ReportTimelines, CorrectClocksAsFarAsTheyContradictTheOrderOfEvents) {
  const std::string text = report_of(0, 5, 1020).dump() + "\n" + report_of(1, 5, 1022).dump() +
                           "\n" + report_of(2, 5, 6020).dump() + "\n" +
                           report_of(3, 5, 900).dump() + "\nnonsense\n";
  const ordered_json drawn = Timelines(text, true).timeline_json(1000);
  // 2 ms later than worker 0 is possible: it had sent before worker 0's round ended.
  EXPECT_EQ(drawn["workers"][1]["shift_us"], 0);
  // 5 s later is not: a round of worker 0 ended before this one had begun it. It ends when worker 2
  // has sent: 3 ms after its begin.
  EXPECT_EQ(drawn["workers"][2]["shift_us"], -5'000'000 + 7000);
  // Nothing arrives before it is sent.
  EXPECT_GE(drawn["workers"][3]["invocations"][0][0], 0);
  EXPECT_EQ(drawn["workers"][3]["shift_us"], 100'000 + 13'000);
  EXPECT_EQ(Timelines(text, true).damaged_lines(), 1U);
}

TEST(ReportTimelines, OfAPatternThatDoesNotWaitAreShiftedByTheArrivalAlone) {
  const std::string text = report_of(0, 5, 1020).dump() + "\n" + report_of(1, 5, 6020).dump();
  EXPECT_EQ(Timelines(text, false).timeline_json(1000)["workers"][1]["shift_us"], 0);
}

TEST(ReportTimelines, AreThinnedWithoutLosingTime) {
  const std::string text = report_of(0, 1000, 1020).dump() + "\n" + report_of(1, 1000, 1020).dump();
  const ordered_json drawn = Timelines(text, true).timeline_json(100);
  EXPECT_EQ(drawn["together"], 20);
  const ordered_json& row = drawn["workers"][0];
  EXPECT_EQ(row["rounds"].size(), 50U);
  EXPECT_EQ(row["rounds"][0], 20);
  EXPECT_EQ(row["wait_us"][0], 20 * 4000);
  const ordered_json rounds = Timelines(text, true).rounds_json(100);
  EXPECT_EQ(rounds["rounds"], 1000);
  EXPECT_EQ(rounds["round"].size(), 100U);
  EXPECT_DOUBLE_EQ(rounds["median_s"][0].get<double>(), 0.01);
  std::uint64_t counted = 0;
  for (const auto& n : rounds["histogram"]["counts"]) counted += n.get<std::uint64_t>();
  EXPECT_EQ(counted, 2000U);
}

TEST(ReportTimelines, BecomeATraceWhoseEventsDoNotOverlap) {
  const std::string text = report_of(0, 3, 1020).dump() + "\n" + report_of(1, 3, 1022).dump();
  const json trace = parse_json(Timelines(text, true).trace("a \"run\""));
  std::map<std::uint64_t, double> ends;
  std::size_t waits = 0;
  for (const json& event : trace.at("traceEvents")) {
    ASSERT_EQ(event.at("pid"), 1);
    if (event.at("ph") != "X") continue;
    double& end = ends[event.at("tid").get<std::uint64_t>()];
    EXPECT_GE(event.at("ts").get<double>(), end) << event;
    EXPECT_GT(event.at("dur").get<double>(), 0);
    end = event.at("ts").get<double>() + event.at("dur").get<double>();
    if (event.at("name") == "wait") {
      ++waits;
      EXPECT_EQ(event.at("dur"), 4000);
    }
  }
  EXPECT_EQ(waits, 6U);
  EXPECT_EQ(ends.at(1), 22'000 + 35'000);
}

TEST(ReportPage, EscapesTheDocumentWithoutChangingIt) {
  const ordered_json document{{"text", "</script><!-- & \xe2\x80\xa8\xe2\x80\xa9 \"quoted\" שלום"}};
  const std::string escaped = json_for_script(json_text(document));
  EXPECT_EQ(escaped.find_first_of("<>&"), std::string::npos);
  EXPECT_THAT(escaped, Not(HasSubstr("\xe2\x80\xa8")));
  EXPECT_EQ(parse_ordered_json(escaped), document);
}

/// The page without the chart library.
std::string own_part(const std::string& page) {
  const std::size_t begin = page.find("<script>"), end = page.find("</script>");
  return page.substr(0, begin) + page.substr(end);
}

TEST(ReportPage, NeedsNoNetwork) {
  const std::string page = page_of({{"items", ordered_json::array()}});
  EXPECT_THAT(page, Not(HasSubstr("/*SCRIPT*/")));
  EXPECT_THAT(page, Not(HasSubstr("/*LIBRARY*/")));
  EXPECT_THAT(page, HasSubstr("default-src 'none'"));
  const std::string own = own_part(page);
  for (const char* name :
       {"http:", "https:", "src=\"", "@import", "url(", "fetch(", "XMLHttpRequest", "import("})
    EXPECT_THAT(own, Not(HasSubstr(name)));
  EXPECT_LT(page.size(), 400'000U);
}

TEST(ReportPage, HasTheDocumentInAScriptOfData) {
  const std::string page = page_of({{"items", {{{"place", "</script><b>"}}}}});
  const std::string begin = "<script type=\"application/json\" id=\"document\">";
  const std::size_t at = page.find(begin) + begin.size();
  const std::string text = page.substr(at, page.find("</script>", at) - at);
  EXPECT_EQ(parse_json(text)["items"][0]["place"], "</script><b>");
}

TEST_F(ReportFiles, OfARunThatIsHalfWrittenSayWhatIsMissing) {
  write("metrics.jsonl", "{\"epoch\":1,\"train_loss\":0.5,\"compute_s\":1,\"comm_s\":1}\n{\"epo");
  const ordered_json run = item();
  EXPECT_EQ(run["curves"]["epoch"].size(), 1U);
  EXPECT_THAT(notes_of(run), HasSubstr("no job.yaml"));
  EXPECT_THAT(notes_of(run), HasSubstr("damaged"));
  EXPECT_EQ(run["state"], "unknown");
}

TEST_F(ReportFiles, OfADamagedRunShowTheRest) {
  write("summary.json", "{\"job_id\":");
  write("job.yaml", "epochs: [");
  write("workers.jsonl", "{\n");
  write("model.safetensors", "nonsense");
  const ordered_json run = item();
  for (const char* name : {"summary.json", "options", "workers.jsonl", "model"})
    EXPECT_THAT(notes_of(run), HasSubstr(name));
}

TEST_F(ReportFiles, ShowNoSecrets) {
  write("job.yaml", "channel: redis://user:hunter2@host:6379\nepochs: 3\n");
  write("summary.json", "{\"channel\":\"redis://user:hunter2@host:6379\",\"cost\":{}}");
  EXPECT_THAT(item().dump(), Not(HasSubstr("hunter2")));
}

TEST_F(ReportFiles, OfNothingAreAnError) {
  try {
    item();
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::not_found);
  }
}

TEST_F(ReportFiles, CommandsRepeatTheOptionsThatWereChanged) {
  write("job.yaml", "data: my data.csv\nepochs: 3\nkeep: true\noptim: grad_avg\n");
  const auto command = item()["repeat"].get<std::string>();
  EXPECT_THAT(command, HasSubstr("--data 'my data.csv'"));
  EXPECT_THAT(command, HasSubstr("--epochs 3"));
  EXPECT_THAT(command, HasSubstr("--keep"));
}

}  // namespace
}  // namespace lambdaml::report
