#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "lambdaml/comm/communicator.h"
#include "lambdaml/control/saved_state.h"
#include "lambdaml/optim/optimizer.h"

namespace lambdaml::control {

/// Fills the vectors of an optimizer from saved states: from this worker's own, and those that were
/// cut among the workers in another way than the optimizer's are, from the states of the others of
/// the same round, as far as needed. Used by one thread; the optimizer must not step meanwhile.
class RestoredVectors {
 public:
  /// Copies what is in this worker's own state. Throws data_corrupt if its vectors are not the
  /// optimizer's.
  RestoredVectors(const StateFile& own, optim::Optimizer& optimizer);

  bool are_complete() const { return missing_ == 0; }
  /// Copies what another worker's state has of those that are cut. Throws data_corrupt if their
  /// lengths do not fit their ranges.
  void take_from(const StateFile& other);
  /// Call after the last one. Throws data_corrupt unless the vectors are complete.
  void require_complete() const;

 private:
  std::vector<comm::Range> ranges_of(const optim::Cut& cut) const;

  std::string what_;  ///< the own state, in errors
  optim::State state_;
  std::vector<std::string> names_;  ///< of vectors that are cut in another way
  std::size_t size_ = 0;            ///< of each of these when whole
  std::vector<comm::Range> ranges_;
  std::size_t missing_ = 0;  ///< values of all of them
};

}  // namespace lambdaml::control
