#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "lambdaml/comm/communicator.h"
#include "lambdaml/comm/message.h"

namespace lambdaml::comm::bulk {

/// How a vector of n numbers is cut for K aggregators.
class Cut {
 public:
  Cut(std::size_t n, std::uint32_t aggregators, bool cuts_large_chunks = true);

  std::uint32_t chunks() const { return chunks_; }
  std::uint32_t aggregators() const { return aggregators_; }
  std::uint32_t aggregator_of(std::uint32_t c) const { return c % aggregators_; }
  std::size_t begin_of(std::uint32_t c) const {
    return n_ / chunks_ * c + std::min<std::size_t>(c, n_ % chunks_);
  }
  std::size_t size_of(std::uint32_t c) const { return n_ / chunks_ + (c < n_ % chunks_ ? 1 : 0); }
  /// The totals travel with chunk 0.
  Vectors part(const Vectors& v, std::uint32_t c) const {
    return {v.values.subspan(begin_of(c), size_of(c)), c == 0 ? v.totals : std::span<double>()};
  }
  /// The bytes of a message of the largest chunk, with so many totals.
  std::size_t message_bytes(std::size_t totals) const {
    return size_of(0) * sizeof(float) + totals * sizeof(double) + 64;
  }
  /// How many of them fit what an aggregator loads ahead.
  std::size_t window(std::size_t totals) const;

 private:
  std::size_t n_;
  std::uint32_t aggregators_ = 1;
  std::uint32_t chunks_ = 1;
};

/// The sum of one chunk, to which contributions are added in worker order.
class ChunkSum : public std::enable_shared_from_this<ChunkSum> {
 public:
  ChunkSum(Vectors own, std::uint32_t worker);

  /// The next contributions; this worker's own is added at its place in the order.
  void add(const std::vector<Message>& contributions);
  /// The sum, for encode_sum(); its numbers stay valid for replace_own().
  MessageBuilder& builder() { return sum_; }
  std::span<const double> totals() const { return totals_; }
  std::span<const float> values() const { return values_; }
  void replace_own() const;

 private:
  Vectors own_;
  std::uint32_t worker_;
  std::uint32_t next_ = 0;  ///< the worker whose contribution is added next
  MessageBuilder sum_;
  std::span<double> totals_;  ///< of the builder, also after it was encoded
  std::span<float> values_;
};

}  // namespace lambdaml::comm::bulk
