// What the suite itself takes for a failure.
#include <cstdio>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "chaos/case.h"
#include "lambdaml/base/error.h"

namespace lambdaml::chaos {
namespace {

Case case_with_time_limit(double seconds) {
  Case out = draw_case(1);
  out.waits_for_all = true;
  out.job.set("timeout_s", Option::Value(seconds), "timeout_s");
  return out;
}

Outcome trained(std::vector<float> model) {
  Outcome out;
  out.ended = true;
  out.model = std::move(model);
  return out;
}

Outcome failed(Code code) {
  Outcome out;
  out.ended = true;
  out.error_code = to_string(code);
  out.error = out.error_code + ": it failed";
  return out;
}

std::string complaint_of(const Case& of, const Outcome& undisturbed, const Outcome& disturbed) {
  return complaint(of, {}, undisturbed, disturbed);
}

TEST(Complaint, AnUndisturbedRunHasToEndWhateverItsTimeLimit) {
  Outcome endless;
  for (const double limit_s : {2.0, 900.0})
    EXPECT_NE(complaint_of(case_with_time_limit(limit_s), endless, trained({1})), "");
}

TEST(Complaint, AShortTimeLimitExcusesItsOwnErrorsOnly) {
  const Case brief = case_with_time_limit(2), ample = case_with_time_limit(900);
  for (const Code code : {Code::workers_lost, Code::resource_exhausted}) {
    EXPECT_TRUE(lacks_time(brief, failed(code)));
    EXPECT_EQ(complaint_of(brief, failed(code), failed(code)), "");
    EXPECT_NE(complaint_of(ample, failed(code), failed(code)), "");
    EXPECT_EQ(complaint_of(brief, trained({1}), failed(code)), "");
    EXPECT_NE(complaint_of(ample, trained({1}), failed(code)), "");
  }
  for (const Code code : {Code::internal, Code::data_corrupt, Code::unavailable}) {
    EXPECT_NE(complaint_of(brief, failed(code), trained({1})), "");
    EXPECT_NE(complaint_of(brief, trained({1}), failed(code)), "");
  }
  EXPECT_NE(complaint_of(brief, trained({}), trained({1})), "") << "it has no model and no error";
}

TEST(Complaint, ModelsAreComparedByTheirBits) {
  const Case of = case_with_time_limit(900);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(complaint_of(of, trained({nan, 1}), trained({nan, 1})), "");
  EXPECT_NE(complaint_of(of, trained({0.0F}), trained({-0.0F})), "");
  EXPECT_NE(complaint_of(of, trained({1}), trained({1, 1})), "");
}

TEST(Complaint, AnUndisturbedRunLeavesNothing) {
  Outcome untidy = trained({1});
  untidy.left = {"channel/a"};
  EXPECT_NE(complaint_of(case_with_time_limit(900), untidy, trained({1})), "");
}

TEST(Complaint, ASecondDeliveryLeavesWithinSeconds) {
  Case of = case_with_time_limit(900);
  of.profile.stores.front().durable = true;
  const std::vector<PlannedFault> again = {
      {.call = 0, .fault = {.kind = sim::Fault::Kind::invoked_again}}};
  Outcome late = trained({1});
  late.left = {"channel/v"};
  late.left_s = {0.5};
  EXPECT_EQ(complaint(of, again, trained({1}), late), "");
  EXPECT_NE(complaint(of, {}, trained({1}), late), "");
  late.left_s = {30};
  EXPECT_NE(complaint(of, again, trained({1}), late), "");
  late.left.clear();
  late.left_s.clear();
  late.ran_on_s = 50;
  EXPECT_NE(complaint(of, again, trained({1}), late), "");
  of.profile.stores.front().durable = false;
  EXPECT_EQ(complaint(of, again, trained({1}), late), "") << "it cannot know that the job is over";
}

TEST(Run, ACommandThatBeganAnewIsRememberedWhenALaterOneIsKilled) {
  const Case of = draw_case(3);
  using Kind = sim::Fault::Kind;
  std::vector<PlannedFault> faults = {{.call = 0, .fault = {.kind = Kind::killed_before}}};
  std::uint64_t last = 0;
  const Outcome once = run(of, faults, Defect::none, [&](const std::string& line) {
    char process[64] = {};
    unsigned long long number = 0;
    if (std::sscanf(line.c_str(), "%*f %63s %llu", process, &number) == 2 &&
        std::string(process) == "resume")
      last = number;
  });
  ASSERT_TRUE(once.began_anew);
  ASSERT_GT(last, 1U);
  faults.push_back({.call = last, .fault = {.kind = Kind::killed_before}});
  EXPECT_TRUE(run(of, faults, Defect::none).began_anew);
}

TEST(Case, KMeansHoldsRowsOut) {
  int seen = 0;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    const Case of = draw_case(seed);
    if (of.job.text("model") != "kmeans") continue;
    EXPECT_EQ(of.job.real("valid_ratio"), 0.1);
    ++seen;
  }
  EXPECT_GT(seen, 3);
}

}  // namespace
}  // namespace lambdaml::chaos
