#include "lambdaml/worker/measure_store.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::worker {
namespace {

StoreMeasure measured() {
  return measure_store(*storage::open("memory://measure-store-test"),
                       {.seconds = 0.2, .between = {}});
}

TEST(MeasureStore, LeavesNothing) {
  const StoreMeasure out = measured();
  EXPECT_EQ(out.ended_by, std::nullopt);
  EXPECT_GT(out.put_per_s, 0);
  EXPECT_GT(out.get_per_s, 0);
  EXPECT_GE(out.remove_parallel, 1);
  EXPECT_TRUE(storage::open("memory://measure-store-test")->list("").empty());
}

TEST(MeasureStore, IsTheSameAsJson) {
  const StoreMeasure out = measured();
  const nlohmann::json object = out.to_json();
  const StoreMeasure back = StoreMeasure::from_json(object, "test");
  EXPECT_EQ(back.put_parallel, out.put_parallel);
  EXPECT_EQ(back.remove_parallel, out.remove_parallel);
  EXPECT_EQ(back.to_json(), object);
}

TEST(MeasureStore, FunctionsOfOlderVersionsKnowOneKindOfBatch) {
  nlohmann::json object = measured().to_json();
  for (const char* name : {"put_parallel", "remove_parallel"}) object.erase(name);
  object["parallel"] = 7;
  const StoreMeasure back = StoreMeasure::from_json(object, "test");
  EXPECT_EQ(back.put_parallel, 7);
  EXPECT_EQ(back.remove_parallel, 7);
  object["put_parallel"] = "many";
  EXPECT_THROW(StoreMeasure::from_json(object, "test"), Error);
}

}  // namespace
}  // namespace lambdaml::worker
