#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "lambdaml/base/deadline.h"
#include "lambdaml/storage/redis/connection.h"

namespace lambdaml::storage::redis {

/// A connection subscribed to notifications of saved keys. Used by one wait at a time and kept with
/// its subscriptions for the next, because each costs a round trip. Connects when it first has a
/// channel to follow.
class Listener {
 public:
  explicit Listener(std::function<std::unique_ptr<Connection>()> connect)
      : connect_(std::move(connect)) {}

  /// Drops pending notifications. Saves after this call are reported by wait() if their channel was
  /// already followed.
  void forget();
  /// Follows the channels; returns whether one of them is new: earlier saves may not be reported
  /// for it, so poll once.
  bool follow(const std::set<std::string>& channels);

  struct News {
    std::vector<std::string> keys;  ///< saved, in no order, maybe several times
    /// The connection was lost, with any pending notifications.
    bool lost = false;
  };
  /// Sleeps until there is news or the deadline passes. Uses no processor time.
  News wait(Deadline deadline);

 private:
  /// Appends the notifications that arrive by the deadline, and those received along with them.
  void take(Deadline deadline, News& news);
  void close();

  std::function<std::unique_ptr<Connection>()> connect_;
  std::unique_ptr<Connection> connection_;
  std::set<std::string> followed_;
};

}  // namespace lambdaml::storage::redis
