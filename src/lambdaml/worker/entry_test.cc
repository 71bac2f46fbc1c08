// How an attempt of a worker takes part in a job, or does not.
#include "lambdaml/worker/entry.h"

#include <gtest/gtest.h>

#include "lambdaml/control/channel.h"
#include "lambdaml/control/endings.h"
#include "lambdaml/control/worker_claim.h"
#include "lambdaml/control/worker_report.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::worker {
namespace {

class Entering : public testing::Test {
 protected:
  Entry enter_by(std::string_view start) {
    control::WorkerClaim claim(channel_, 3);
    return enter(*channel_, claim, 3, start);
  }
  bool has(const std::string& key) const { return channel_->exists(key); }

  std::shared_ptr<storage::Storage> channel_ = storage::open("memory://entry-test");
};

TEST_F(Entering, AnEventFromBeforeTheJobWasResumedTakesNobodysPlace) {
  channel_->save(control::keys::kJob, as_bytes("second"));
  EXPECT_EQ(enter_by("first").answer, control::kJobIsOver);
  EXPECT_FALSE(has(control::keys::started(3)));
  EXPECT_FALSE(has(control::keys::claim(3)));
  EXPECT_FALSE(enter_by("second").answer);
  EXPECT_TRUE(has(control::keys::started(3)));
  EXPECT_TRUE(has(control::keys::claim(3)));
}

TEST_F(Entering, EventsOfOldVersionsAreNotCompared) {
  channel_->save(control::keys::kJob, as_bytes("second"));
  EXPECT_FALSE(enter_by("").answer);
  EXPECT_TRUE(enter_by("").again);
}

TEST_F(Entering, NobodyBeginsWhereTheChannelHasLostWhatWasPutThere) {
  channel_->save(control::keys::kJob, as_bytes(control::keys::kLost));
  EXPECT_THROW(enter_by("first"), control::JobIsLost);
}

}  // namespace
}  // namespace lambdaml::worker
