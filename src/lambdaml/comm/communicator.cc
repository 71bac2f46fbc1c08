#include "lambdaml/comm/communicator.h"

#include <algorithm>
#include <thread>

#include "lambdaml/base/error.h"

namespace lambdaml::comm {

Communicator::Communicator(Membership membership) : membership_(std::move(membership)) {
  if (membership_.workers == 0 || membership_.worker >= membership_.workers)
    fail(Code::invalid_argument, "worker {} of {}: workers are numbered from 0", membership_.worker,
         membership_.workers);
}

std::size_t Communicator::merge(Vectors vectors, Meaning meaning) {
  const Stopwatch clock;
  const std::size_t contributors = merge_round(round_, vectors, meaning);
  ++round_;
  seconds_ += clock.seconds();
  return contributors;
}

std::size_t Communicator::finish(Vectors vectors) {
  std::fill(vectors.values.begin(), vectors.values.end(), 0.0F);
  std::fill(vectors.totals.begin(), vectors.totals.end(), 0.0);
  return 0;
}

void Communicator::retire(std::uint64_t) {}

void Communicator::restore(std::span<const double>) {}

Deadline Communicator::wait_deadline() const {
  return Deadline::in(membership_.patience_s).earlier(membership_.deadline);
}

}  // namespace lambdaml::comm
