#include "lambdaml/tune/tuner.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "lambdaml/base/json.h"
#include "lambdaml/base/own_folder.h"
#include "lambdaml/base/text.h"
#include "lambdaml/tune/begin_search.h"
#include "lambdaml/tune/testing/small_search.h"

namespace lambdaml::tune {
namespace {

using nlohmann::json;

TEST(Tuner, TheTimeOfASearchIsThatOfAllTunersAndNoneIsLeftAtItsEnd) {
  const Scratch scratch("lambdaml-wall-");
  const std::filesystem::path data = data_in(scratch.path());
  Search search;
  read_search_text("data: " + data.string() +
                       "\nworkers: 1\nepochs: 50\ntune:\n  strategy: random\n  trials: 2\n  "
                       "space:\n    lr: {uniform: [0.1, 1]}\n",
                   "job.yaml", search);
  search.id = "20261129-101500-3f9c01d2a47b";
  Records records("file://" + (scratch.path() / "records").string());
  begin(search, records);
  // One trial converged after one of 50 epochs; the other fails, as these tests have no functions.
  const json job{{"valid_loss", 0.5}, {"epochs", 1}, {"ended_by", "converged"}};
  records.save(0, {.trial = 0,
                   .epochs = 50,
                   .state = Segment::State::done,
                   .epoch = 1,
                   .value = 0.5,
                   .summary = std::make_shared<const nlohmann::ordered_json>(job)});
  records.store().save("tuner/wall_s", as_bytes("120.5"));
  Last last;
  const SearchResult result = run(records, scratch.path() / "trials", search.id, {}, last);
  EXPECT_EQ(result.end, TunerEnd::finished);
  EXPECT_LE(last.seconds_left, 0);
  const double wall_s = number_at(json(*result.summary), "search_wall_s");
  EXPECT_GT(wall_s, 120.5);
  EXPECT_LT(wall_s, 120.5 + 60);
  EXPECT_NEAR(to_real(records.store().load("tuner/wall_s")->text()).value_or(0), wall_s, 1);
}

}  // namespace
}  // namespace lambdaml::tune
