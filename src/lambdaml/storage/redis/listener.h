#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "lambdaml/base/deadline.h"
#include "lambdaml/base/files.h"
#include "lambdaml/storage/redis/connection.h"
#include "lambdaml/storage/redis/servers.h"

namespace lambdaml::storage::redis {

/// Connections subscribed to notifications of saved keys, one to each server with a channel to
/// follow. Used by one wait at a time and kept with its subscriptions for the next, because each
/// costs a round trip.
class Listener {
 public:
  using Connect = std::function<std::unique_ptr<Connection>(const Endpoint&)>;
  explicit Listener(Connect connect) : connect_(std::move(connect)) {}

  /// Drops pending notifications. Saves after this call are reported by wait() if their channel was
  /// already followed.
  void forget();
  /// Follows the channels; returns whether one of them is new: earlier saves may not be reported
  /// for it, so poll once.
  bool follow(const std::set<Channel>& channels);

  struct News {
    std::vector<std::string> keys;  ///< saved, in no order, maybe several times
    /// A connection was lost, with any pending notifications.
    bool lost = false;
  };
  /// Sleeps until there is news or the deadline passes. Uses no processor time.
  News wait(Deadline deadline);

 private:
  struct Line {
    std::unique_ptr<Connection> connection;
    std::set<std::string> followed;
  };
  /// Appends the notifications that arrive by the deadline, and those received along with them.
  void take(Deadline deadline, News& news);
  static void drain(Connection& connection, Deadline deadline, News& news);
  /// The same of those lines that have something, of several.
  void drain_readable(News& news);
  /// `channels` are all sharded, or none is.
  void subscribe(const Endpoint& server, const std::set<Channel>& channels);
  void close();

  Connect connect_;
  std::map<Endpoint, Line> lines_;
  FileDescriptor any_readable_;  ///< an epoll descriptor with those of all lines
  bool has_new_lines_ = false;   ///< since the last take()
};

}  // namespace lambdaml::storage::redis
