#include <mutex>
#include <set>
#include <thread>

#include <gmock/gmock.h>

#include "lambdaml/storage/decorators.h"
#include "lambdaml/storage/testing/conformance.h"
#include "lambdaml/storage/testing/scripted_s3.h"

namespace lambdaml::storage::s3 {
namespace {

using testing::AllOf;
using testing::Ge;
using testing::HasSubstr;
using testing::Le;
using testing::Lt;
using testing::Not;
using testing::SizeIs;

class S3Wait : public S3 {
 protected:
  void put(const std::string& key) {
    const std::lock_guard lock(mutex_);
    there_.insert("/bucket/" + key);
  }
  std::size_t looks() const { return server_.requests().size(); }

  std::mutex mutex_;
  std::set<std::string> there_;
  ScriptedServer server_{[this](const ScriptedRequest& heard) {
    const std::lock_guard lock(mutex_);
    ScriptedAnswer answer = there_.contains(heard.target) ? object(heard, heard.target) : absent();
    answer.delay_s = 0.002;  // so that looks can be under way together
    return answer;
  }};
  const std::shared_ptr<Meter> meter_ = std::make_shared<Meter>();
  const std::shared_ptr<Storage> store_ = with_meter(open(server_), meter_);
};

TEST_F(S3Wait, KeysThatAreThereCostALookEach) {
  const auto keys = numbered(100);
  for (const std::string& key : keys) put(key);
  for (const Deadline deadline : {Deadline::in(0), Deadline::in(20), Deadline::never()}) {
    const std::size_t before = looks();
    const auto values = store_->load_all(keys, deadline);
    for (std::size_t i = 0; i < keys.size(); ++i) ASSERT_EQ(values[i].text(), "/bucket/" + keys[i]);
    EXPECT_EQ(looks() - before, 100U);
  }
  EXPECT_EQ(meter_->usage().get.requests, 300U);
  EXPECT_THAT(server_.most_at_once(), AllOf(Ge(2), Le(32)));
}

TEST_F(S3Wait, ALookAtOnceIsOneLookAtEach) {
  const auto keys = numbered(40);
  for (std::size_t i = 0; i < 40; i += 2) put(keys[i]);
  try {
    store_->load_all(keys, Deadline::in(0));
    ADD_FAILURE();
  } catch (const MissingKeys& missing) {
    EXPECT_THAT(missing.keys(), SizeIs(20));
    EXPECT_EQ(missing.keys()[0], "round/1");
  }
  EXPECT_EQ(looks(), 40U);
}

TEST_F(S3Wait, ASecondOfWaitingCostsLessThanSixtyRequests) {
  const auto keys = numbered(10);
  put(keys[9]);
  EXPECT_THROW(store_->load_all(keys, Deadline::in(1)), MissingKeys);
  EXPECT_THAT(looks(), AllOf(Ge(3U), Lt(60U)));
  for (const ScriptedRequest& heard : server_.requests())
    EXPECT_THAT(heard.target, Not(HasSubstr("list-type")));
}

TEST_F(S3Wait, KeysThatTrickleInCostLittleMore) {
  const auto keys = numbered(32);
  std::thread writer([&] {
    for (const std::string& key : keys) {
      put(key);
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  });
  const auto values = store_->load_all(keys, Deadline::in(60));
  writer.join();
  EXPECT_THAT(values, SizeIs(32));
  EXPECT_THAT(looks(), Lt(200U));
}

TEST_F(S3Wait, AServerThatHangsDoesNotHoldAWaitForLong) {
  ScriptedServer hanging(Script{{.delay_s = 600}});
  const Stopwatch clock;
  EXPECT_THROW(open(hanging)->load_or_wait("key", Deadline::in(0.1)), Error);
  EXPECT_LT(clock.seconds(), 30);
}

}  // namespace
}  // namespace lambdaml::storage::s3
