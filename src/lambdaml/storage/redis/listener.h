#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "lambdaml/base/deadline.h"
#include "lambdaml/storage/redis/connection.h"

namespace lambdaml::storage::redis {

/// A connection that is told which keys were saved. Used by one wait at a time and kept for the
/// next one with its subscriptions, for these cost a trip each. It connects when it first has
/// something to follow.
class Listener {
 public:
  explicit Listener(std::function<std::unique_ptr<Connection>()> connect)
      : connect_(std::move(connect)) {}

  /// Drops what was told so far. What is saved after the call is told by wait() if its channel was
  /// followed before.
  void forget();
  /// Follows the channels; whether one of them was not followed before: what was saved till now may
  /// not be told, so look for it.
  bool follow(const std::set<std::string>& channels);

  struct News {
    std::vector<std::string> keys;  ///< saved, in no order, maybe several times
    /// The connection was lost, and with it what it would have told.
    bool lost = false;
  };
  /// Sleeps until there is news, but not beyond the deadline. Costs no processor time.
  News wait(Deadline deadline);

 private:
  /// Appends what has been told by the deadline, and what came together with it.
  void take(Deadline deadline, News& news);
  void close();

  std::function<std::unique_ptr<Connection>()> connect_;
  std::unique_ptr<Connection> connection_;
  std::set<std::string> followed_;
};

}  // namespace lambdaml::storage::redis
