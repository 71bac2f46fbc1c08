#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "lambdaml/comm/communicator.h"
#include "lambdaml/comm/message.h"
#include "lambdaml/comm/retention.h"

namespace lambdaml::comm {

/// What the patterns that wait for all have in common: heads, waits that name the missing workers,
/// retention. A pattern fills in how one round goes.
class BulkSynchronous : public Communicator {
 public:
  explicit BulkSynchronous(Membership membership);

  void retire(std::uint64_t round) override { retention_.retire(round); }
  std::uint64_t retained_bytes() const override { return retention_.retained_bytes(); }

 protected:
  /// Contributes, waits and merges.
  virtual void exchange(std::uint64_t round, Vectors vectors) = 0;
  /// Takes the result of a round when all of it is in the store, without waiting; whether it was.
  virtual bool take_merged(std::uint64_t round, Vectors vectors) = 0;

  std::size_t merge_round(std::uint64_t round, Vectors vectors, Meaning meaning) final;

  MessageHead head(MessageHead::Kind kind, std::uint64_t round, std::uint32_t worker,
                   std::uint32_t chunk = 0) const;

  /// A message that is waited for: its key, and what it must be.
  struct Expected {
    std::string key;
    MessageHead head;
    std::size_t totals;
    std::size_t values;
  };
  /// Waits for all. A wait that lasts looks now and then whether the round has been merged
  /// without this worker (it runs twice, and the other one was faster): then takes the result into
  /// `vectors` and returns nothing. Throws deadline_exceeded naming the workers that did not write.
  std::vector<Buffer> wait_for(std::uint64_t round, const std::vector<Expected>& wanted,
                               Vectors vectors);

  Retention& retention() { return retention_; }

 private:
  Retention retention_;
};

/// Copies a message's numbers to where they are wanted.
void copy_numbers(const Message& message, std::span<double> totals, std::span<float> values);

}  // namespace lambdaml::comm
