#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "lambdaml/ps/server/shared.h"

namespace lambdaml::ps {

/// The number of floats that share a lock.
inline constexpr std::size_t kShard = 64 << 10;

/// What pushes do to a registered model: they are added, or are gradients to descend along; see
/// Registration in parameter_server.thrift.
struct Rule {
  struct Range {
    std::uint64_t begin = 0, end = 0;
    bool operator==(const Range&) const = default;
  };
  std::optional<double> learning_rate = {};
  double momentum = 0;
  double l2 = 0;
  std::vector<Range> penalized = {};  ///< empty: all
  bool operator==(const Rule&) const = default;
};

/// The vector of an entry, which pushes modify and answers copy: a model, or a running sum. It has
/// a lock per 64 Ki floats, so that several threads modify and copy it at the same time without the
/// entry's lock. It is made once; its length, rule and locks never change.
class MovedVector {
 public:
  explicit MovedVector(Shared& shared) : shared_(shared) {}

  /// Call under the entry's lock, once. After an error nothing has changed.
  void make(std::uint64_t length, const Rule& rule);
  /// Fills it with random numbers that depend on the seed only, before others see the vector.
  void fill_at_random(std::uint64_t seed);

  bool exists() const { return shards_ != nullptr; }
  std::uint64_t size() const { return values_.size(); }
  const Rule& rule() const { return rule_; }
  /// Drawn when it was made.
  std::uint64_t generation() const { return generation_; }
  /// Where a worker begins, so that several modify the vector at the same time.
  std::size_t shard_of(std::uint32_t worker) const {
    return values_.size() / shared_.workers * worker / kShard;
  }

  /// Modify it by pushed values, which are overwritten; call within a Moving. Do not throw.
  void move(std::span<float> values, double scale, double rate, std::size_t first_shard);
  void move_sparse(std::span<const std::uint32_t> indices, std::span<const float> values,
                   double scale);
  void replace(std::span<const float> values);

  void copy_to(Result& into, std::size_t first_shard) const;
  /// A copy of all or of the wanted values, with room for totals. Throws invalid_argument for an
  /// index beyond the vector, and resource_exhausted.
  std::shared_ptr<Result> copy_of(const std::optional<Buffer>& wanted, std::uint64_t n_totals,
                                  std::size_t first_shard) const;

  /// Under the entry's lock: how often workers have modified and read it.
  std::uint64_t pushes = 0, pulls = 0;

  void save_values(Writer& out) const;
  void load_values(Reader& in, bool is_model);
  void save_counts(Writer& out) const;
  void load_counts(Reader& in);

 private:
  /// Calls body(begin, end) for each shard under its lock, starting with shard `first`.
  template <class Body>
  void each_shard(std::size_t first, Body body) const;

  Shared& shared_;
  std::uint64_t generation_ = 0;
  Rule rule_;
  std::vector<float> values_;
  std::vector<float> velocity_;
  std::unique_ptr<std::mutex[]> shards_;
  Charge charge_;
};

}  // namespace lambdaml::ps
