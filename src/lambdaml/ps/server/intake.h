#pragma once

#include <exception>
#include <utility>

#include "lambdaml/ps/server/environment.h"
#include "lambdaml/ps/server/peers.h"

namespace lambdaml::ps {

/// The memory of one request while it is read: it counts against the server's limit as bytes
/// arrive, and ending the connection frees it.
class Intake {
 public:
  Intake() = default;
  Intake(Budget& budget, std::shared_ptr<Peer> peer) : budget_(&budget), peer_(std::move(peer)) {}

  /// False if there is not enough memory: then keep nothing of the request.
  bool take(std::uint64_t bytes) {
    if (failure_) return false;
    if (peer_)
      peer_->request_paused();  // the connection must not be ended for a wait of the server
    try {
      // What is too much for any sum is refused by the budget.
      charge_.resize(*budget_, bytes + std::min(charge_.bytes(), ~bytes));
    } catch (...) {
      failure_ = std::current_exception();  // what was taken before is kept until the message ends
    }
    if (peer_) {
      peer_->holds(charge_.bytes());
      peer_->request_goes_on();
    }
    return !failure_;
  }

  /// What was taken. Throws the error of a failed take().
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
