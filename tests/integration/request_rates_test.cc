#include <chrono>
#include <cstdio>
#include <deque>

#include <gmock/gmock.h>

#include "lambdaml/aws/testing/scoped_environment.h"
#include "lambdaml/aws/testing/scripted_server.h"
#include "lambdaml/base/clock.h"
#include "lambdaml/comm/registry.h"
#include "lambdaml/comm/testing/conformance.h"
#include "lambdaml/storage/testing/objects_in_memory.h"

/// Rounds over a store that takes only so many requests per second and refuses the others.
namespace lambdaml::comm {
namespace {

using testing::Each;
using testing::HasSubstr;

constexpr std::uint64_t kRateWorkers = 16;
constexpr double kLimit_per_s = 350;

/// An S3 bucket in memory that takes kLimit_per_s requests per second, of all kinds, and answers
/// the others with SlowDown.
class LimitedBucket {
 public:
  /// How the requests are counted.
  enum class Count {
    in_each_second,  ///< no more in any second
    from_a_bucket,   ///< tokens, of which a tenth of a second's may be saved up
  };
  explicit LimitedBucket(Count count) : count_(count) {}

  std::string uri(const std::string& more = "") const {
    return "s3://bucket?endpoint=" + server_.url() + more;
  }
  std::size_t taken() const { return taken_; }
  std::size_t refused() const { return refused_; }
  /// Since the first request.
  double last_refusal_s() const { return last_refusal_s_; }

 private:
  bool takes(double now_s) {
    if (count_ == Count::in_each_second) {
      while (!last_second_.empty() && now_s - last_second_.front() >= 1) last_second_.pop_front();
      if (static_cast<double>(last_second_.size()) >= kLimit_per_s) return false;
      last_second_.push_back(now_s);
      return true;
    }
    tokens_ = std::min(kLimit_per_s / 10, tokens_ + (now_s - filled_s_) * kLimit_per_s);
    filled_s_ = now_s;
    if (tokens_ < 1) return false;
    tokens_ -= 1;
    return true;
  }

  aws::ScriptedAnswer answer(const aws::ScriptedRequest& heard) {
    if (!begun_) begun_ = time_now();
    const double now_s = std::chrono::duration<double>(time_now() - *begun_).count();
    if (!takes(now_s)) {
      ++refused_;
      last_refusal_s_ = now_s;
      return {.status = 503, .body = "<Error><Code>SlowDown</Code></Error>"};
    }
    ++taken_;
    return objects_.answer(heard);
  }

  const Count count_;
  std::optional<TimePoint> begun_;
  std::deque<double> last_second_;
  double tokens_ = kLimit_per_s / 10, filled_s_ = 0;
  storage::ObjectsInMemory objects_{"bucket"};
  std::size_t taken_ = 0, refused_ = 0;
  double last_refusal_s_ = 0;
  aws::ScriptedServer server_{[this](const aws::ScriptedRequest& heard) { return answer(heard); }};
};

/// Each worker saves 16 values of a round, loads 30 and removes what it saved in the one before.
double requests_of(std::uint64_t rounds) {
  return static_cast<double>(
      rounds * (kRateWorkers * kRateWorkers + 2 * kRateWorkers * (kRateWorkers - 1)) +
      (rounds - 1) * kRateWorkers);
}

class RequestRates : public testing::TestWithParam<LimitedBucket::Count> {
 protected:
  static Job job(const std::string& uri) {
    return {.pattern = "reduce_scatter", .workers = kRateWorkers, .n = 58, .uri = uri};
  }
  aws::ScopedEnvironment environment_{aws::ScopedEnvironment::with_keys()};
};

INSTANTIATE_TEST_SUITE_P(, RequestRates,
                         testing::Values(LimitedBucket::Count::in_each_second,
                                         LimitedBucket::Count::from_a_bucket),
                         [](const auto& info) {
                           return info.param == LimitedBucket::Count::in_each_second
                                      ? "in_each_second"
                                      : "from_a_bucket";
                         });

TEST_P(RequestRates, WorkersAgreeOnWhatARefusalTeaches) {
  constexpr std::uint64_t kRounds = 5;
  LimitedBucket bucket(GetParam());
  const Job all = job(bucket.uri());
  const Stopwatch clock;
  EXPECT_THAT(
      on_threads(all.workers,
                 [&](std::uint32_t w) { all.merge_rounds(*all.communicator(w), 0, kRounds); }),
      Each(""));
  const double took_s = clock.seconds();
  const double allowed_s = requests_of(kRounds) / kLimit_per_s;
  std::printf(
      "%.2f s, %.2f times what the limit allows; %zu taken (%g needed), %zu refused, the "
      "last after %.2f s\n",
      took_s, took_s / allowed_s, bucket.taken(), requests_of(kRounds), bucket.refused(),
      bucket.last_refusal_s());
  // What a worker counts, and when it sends, depends on the processor time that it gets:
  // pace_test.cc has the exact bounds, in virtual time.
  EXPECT_LE(took_s, 4 * allowed_s);
  EXPECT_GT(bucket.refused(), 0U);
  EXPECT_LE(bucket.refused(), bucket.taken() / 2);
}

TEST_P(RequestRates, AStatedRateIsKeptFromTheBeginning) {
  LimitedBucket bucket(GetParam());
  constexpr std::uint64_t kRounds = 2;
  const Job all = job(bucket.uri(fmt::format("&rate={}", kLimit_per_s)));
  const Stopwatch clock;
  EXPECT_THAT(
      on_threads(all.workers,
                 [&](std::uint32_t w) { all.merge_rounds(*all.communicator(w), 0, kRounds); }),
      Each(""));
  const double took_s = clock.seconds();
  const double allowed_s = requests_of(kRounds) / kLimit_per_s;
  std::printf("%.2f s, %.2f times what the limit allows; %zu taken, %zu refused\n", took_s,
              took_s / allowed_s, bucket.taken(), bucket.refused());
  // Threads that wait for a processor send late, and so more at once: bounds for a busy machine.
  EXPECT_LE(took_s, 2 * allowed_s);
  EXPECT_LE(bucket.refused(), bucket.taken() / 100);
}

TEST(RequestRate, DecidesTheNumberOfAggregators) {
  const aws::ScopedEnvironment environment{aws::ScopedEnvironment::with_keys()};
  const auto aggregators = [](const std::string& uri, std::uint32_t workers,
                              const std::map<std::string, std::string>& options = {}) {
    const Job job{.pattern = "reduce_scatter", .workers = workers, .uri = uri, .options = options};
    std::uint32_t k = 0;
    for (std::uint32_t w = 0; w < workers; ++w)
      k += job.communicator(w)->owned(100'000).empty() ? 0 : 1;
    return k;
  };
  EXPECT_EQ(aggregators("s3://bucket?region=us-east-1", 50), 50U);
  EXPECT_EQ(aggregators("s3://bucket?region=us-east-1", 100), 35U);
  EXPECT_EQ(aggregators("s3://bucket?region=us-east-1&prefixes=2", 100), 70U);
  EXPECT_EQ(aggregators("s3://bucket?region=us-east-1", 100, {{"aggregators", "100"}}), 100U);
  EXPECT_EQ(aggregators("s3://bucket?region=us-east-1&rate=100", 20), 5U);
  EXPECT_EQ(aggregators("s3://bucket?region=us-east-1&rate=1", 20), 1U);
  // Nothing is known of servers of others.
  EXPECT_EQ(aggregators("s3://bucket?region=us-east-1&endpoint=http://127.0.0.1:1", 100), 100U);
}

}  // namespace
}  // namespace lambdaml::comm
