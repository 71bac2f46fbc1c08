#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <limits>
#include <map>
#include <mutex>
#include <optional>

#include "lambdaml/base/clock.h"

/// How fast to send requests to a service that takes only so many per second from all its clients
/// together (S3 for each prefix, DynamoDB for each table) and refuses the others (SlowDown).
///
/// Workers cannot talk, so each sends its share of a rate on which they agree:
/// - *What is known beforehand*, of reads and writes. A second's worth may be sent at once, so a
///   job that stays below never waits.
/// - *What a refusal teaches.* The requests that a service took in the second before it refused one
///   are what it takes in a second. So a client that is refused spaces its requests from then on
///   evenly at 17/20 of that. If it has not sent for a whole second yet, it first goes on sending
///   until it has, so that there is something to count.
/// - *What others have learned* (News). Of two rates the one with the larger generation is newer
///   and replaces the other. Of the same generation each client takes the mean of what it knows
///   that clients have counted, as each has counted only its own requests and their sum is what the
///   service took; or the mean of another that knows of more clients. A client that was never
///   refused thus slows down with the others. How the news travels is up to the caller.
/// After each minute without a refusal the rate grows by a quarter.
///
/// The clock and the counts are this client's own: nothing is asked of the service. A rate that is
/// stated beforehand is therefore better than one that is learned: what 16 clients count in a
/// second differs by a fifth or more, until news have passed between them, and clients without
/// processor time count too little (pace_test.cc, tests/integration/request_rates_test.cc).
namespace lambdaml::aws {

class Pace {
 public:
  static constexpr double kUnlimited = std::numeric_limits<double>::infinity();

  /// Requests per second that the service takes from all clients together.
  struct Limits {
    double reads_per_s = kUnlimited;
    double writes_per_s = kUnlimited;
    /// Of both kinds together; requests are spaced by 95 % of it from the beginning.
    double all_per_s = kUnlimited;
    /// A first lesson lowers the rate no further: a client that had little to send, or no processor
    /// time, has counted little, and all would wait for it. Later ones do.
    double least_per_s = 0;
  };
  /// The rate on which clients agree, of both kinds together.
  struct News {
    std::int64_t generation = 0;  ///< how often it was lowered
    double per_s = kUnlimited;
    /// The mean of the counts of so many clients; 0: unknown.
    std::int64_t clients = 0;
    /// A client that has counted, and its count; 0: unknown.
    std::uint64_t client = 0;
    double counted_per_s = 0;
  };

  Pace() : Pace(Limits()) {}
  explicit Pace(Limits known);

  /// This client sends about that share, in (0, 1], of all requests; 1 until then.
  void take_share(double share);
  /// Reserves the next request's place and returns when it may be sent: now, or later.
  TimePoint reserve(bool writes);
  /// A request was taken by the service.
  void taken();
  /// A request, sent at that time, was refused since there are too many. Returns how soon to send
  /// it again, in seconds, so that what is taken can be counted; nullopt: as after other failures.
  std::optional<double> refused(TimePoint sent_at);
  /// What other clients should hear; nullopt if nothing was learned yet.
  std::optional<News> news();
  void hear(const News& news);

 private:
  /// Requests are not spaced perfectly, and none of a stated rate shall be refused.
  static constexpr double kStated = 0.95;

  /// Places in time at a rate.
  struct Line {
    TimePoint due{};
    TimePoint reserve(TimePoint now, double per_s, double burst_s);
  };
  void settle(TimePoint now);
  double rate(TimePoint now) const;
  void change(double per_s, TimePoint now);
  /// The best known mean of the counts of this generation.
  double agreed() const;
  std::size_t taken_in_last_second(TimePoint now);

  const Limits known_;
  std::mutex mutex_;
  double share_ = 1;
  Line reads_, writes_, all_;
  std::int64_t generation_ = 0;
  double per_s_;  ///< at changed_at_
  TimePoint changed_at_{};
  const std::uint64_t client_;  ///< this one
  /// Of this generation: what clients have counted, and the mean over most_clients_ that another
  /// one knows.
  std::map<std::uint64_t, double> counted_;
  std::int64_t most_clients_ = 0;
  double their_mean_ = 0;
  std::deque<TimePoint> taken_;
  /// While requests are refused: what they teach so far, until when, and the generation before.
  struct Lesson {
    double per_s;
    TimePoint ends;
    std::int64_t generation;
  };
  std::optional<Lesson> lesson_;
};

}  // namespace lambdaml::aws
