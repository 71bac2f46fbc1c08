#include "apps/cli/search_status.h"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

namespace lambdaml::cli {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;

TEST(SearchStatus, TellsHowARunningSearchStands) {
  const json search{
      {"search_id", "tune-1"},  {"state", "running"},
      {"strategy", "asha"},     {"metric", "valid_loss"},
      {"trials_done", 2},       {"trials_running", 1},
      {"search_epochs", 25},    {"best_trial", 1},
      {"valid_loss", 0.5},      {"options", {{"lr", 0.31190467635248664}, {"model", "svm"}}},
      {"left_s", 90},           {"cost_so_far_usd", 0.25},
      {"cost_usd_at_end", 0.75}};
  EXPECT_THAT(lines_of_search(search),
              ElementsAre("tune-1: running", "search by asha, metric valid_loss",
                          "trials    2 done, 1 running", "epochs    25 of all trials",
                          "best      valid_loss 0.5 (trial 1)", "          lr=0.3119 model=svm",
                          testing::MatchesRegex("time      about .* left"),
                          "cost      about $0.25 so far, $0.75 at the end"));
  EXPECT_EQ(dollars_of(search), "~$0.25 of $0.75");
}

TEST(SearchStatus, TellsTheDollarsOfASearchThatIsDone) {
  const json search{{"search_id", "tune-1"},     {"state", "done"},     {"strategy", "grid"},
                    {"metric", "valid_loss"},    {"trials_failed", 3},  {"search_epochs", 0},
                    {"search_cost_usd", 0.0625}, {"search_wall_s", 2.0}};
  EXPECT_THAT(lines_of_search(search),
              testing::AllOf(testing::Contains("trials    3 failed"),
                             testing::Contains("cost      $0.0625 of all trials")));
  EXPECT_EQ(best_of_search(search), "");
}

}  // namespace
}  // namespace lambdaml::cli
