#pragma once

#include <exception>
#include <utility>

#include "lambdaml/ps/server/environment.h"
#include "lambdaml/ps/server/peers.h"

namespace lambdaml::ps {

/// The memory of one request while it is read: it counts against the server's limit as it comes,
/// and can be had back by ending the connection.
class Intake {
 public:
  Intake() = default;
  Intake(Budget& budget, std::shared_ptr<Peer> peer) : budget_(&budget), peer_(std::move(peer)) {}

  /// False: there is not so much; nothing of the request is to be kept.
  bool take(std::uint64_t bytes) {
    if (failure_) return false;
    if (peer_) peer_->request_paused();  // not to be ended for what the server waits for
    try {
      // What is too much for any sum is refused by the budget.
      charge_.resize(*budget_, bytes + std::min(charge_.bytes(), ~bytes));
    } catch (...) {
      failure_ = std::current_exception();  // what came before stays until the message ends
    }
    if (peer_) {
      peer_->holds(charge_.bytes());
      peer_->request_goes_on();
    }
    return !failure_;
  }

  /// What was taken. Throws what it failed for.
  Charge charge() {
    if (failure_) std::rethrow_exception(failure_);
    return std::move(charge_);
  }

 private:
  Budget* budget_ = nullptr;
  std::shared_ptr<Peer> peer_;
  Charge charge_;
  std::exception_ptr failure_;
};

}  // namespace lambdaml::ps
