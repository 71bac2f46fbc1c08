#include "lambdaml/report/timeline.h"

#include <map>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "lambdaml/base/json.h"

namespace lambdaml::report {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

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

}  // namespace
}  // namespace lambdaml::report
