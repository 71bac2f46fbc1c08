#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/aws/credentials.h"
#include "lambdaml/storage/pool.h"
#include "lambdaml/storage/redis/connection.h"
#include "lambdaml/storage/redis/slots.h"

namespace lambdaml::storage::redis {

/// Where saves of some keys are published.
struct Channel {
  Endpoint server;
  std::string name;
  bool sharded = false;  ///< published by SPUBLISH, followed by SSUBSCRIBE
  auto operator<=>(const Channel&) const = default;
};

/// The servers behind a store: one, or the primaries of a cluster.
///
/// Before the first request, the server at the address is asked whether it is part of a cluster.
/// The keys of a cluster are spread over 16,384 slots, and each slot belongs to one primary. This
/// keeps a table of them and asks for a new one when a server answers that a slot was moved (MOVED)
/// or does not answer at all, because one of its replicas may have become the primary. A slot that
/// is just being moved is asked for at its new place (ASK).
///
/// A server alone that is a read-only replica names its primary, which is used instead, for reading
/// too, until it fails. Thread-safe. Errors are those of Connection; the patience is told of
/// answers.
class Servers {
 public:
  Servers(Address address, std::shared_ptr<Patience> patience);
  Servers(const Servers&) = delete;
  Servers& operator=(const Servers&) = delete;
  ~Servers();

  /// Adds the commands for the i-th key to a request.
  using Add = std::function<void(Request&, std::size_t i)>;
  /// Takes the replies to these commands; called in order for the keys of one server, but in no
  /// order for others, and again for each key if the cluster has moved a slot meanwhile.
  using Take = std::function<void(Connection&, std::size_t i)>;
  /// One round trip about these keys to each server that has any, all at the same time. What was
  /// taken counts only when the call has returned.
  void ask(std::span<const std::string_view> keys, const Add& add, const Take& take);

  /// Calls use() with a connection to each primary, one after the other. All slots must have one:
  /// what lies in others is not known to be absent.
  void at_each(const std::function<void(Connection&)>& use);

  /// The channel on which the saves of a key are published, and the server at which to follow it.
  /// Of a cluster it is the server of the key, and the name says which one that is. It is a sharded
  /// channel, in a slot of that server, if the server has such (Redis 7): a message in another one
  /// goes to all servers of the cluster, with 2 KB of heading each time, and reaches them after up
  /// to 40 ms, as a cluster's own connections collect small messages (Nagle's algorithm).
  Channel channel_of(std::string_view key);
  /// A server has said that a channel's slot is elsewhere: asks for a new table.
  void note_moved();
  /// A new connection for subscriptions.
  std::unique_ptr<Connection> connect_to(const Endpoint& server);

  bool is_cluster();
  /// For use after ReadOnlyReplica: asks again which server is the primary. Throws cancelled only.
  void follow_primary();

 private:
  struct Node;
  struct Map;
  class Trips;

  std::unique_ptr<Connection> connect(const Endpoint& endpoint);
  Node& node_at(const Endpoint& endpoint);
  std::shared_ptr<const Map> map();
  std::shared_ptr<const Map> refreshed(const std::shared_ptr<const Map>& old);
  std::shared_ptr<const Map> map_from(Node& node);
  static std::vector<std::string> tags_of(const Map& map);
  Node& node_of(const Map& map, std::string_view key);
  /// Throws unavailable if no server has the slot.
  std::uint16_t owner_of(const Map& map, std::size_t slot);
  void ask_together(const Map& map, std::span<const std::string_view> keys, const Add& add,
                    const Take& take);
  void ask_alone(const Map& map, std::string_view key, std::size_t i, const Add& add,
                 const Take& take);
  Node& primary_of(Node& asked, std::optional<Endpoint> primary);
  /// For use in a handler of an error from this node.
  void note_failure(Node& node, const Error& error);
  /// The same, and throws the error, with the node's name where the store has another one.
  [[noreturn]] void fail_at(Node& node, const Error& error);

  const Address address_;
  const std::shared_ptr<Patience> patience_;
  aws::CredentialsSource credentials_;  ///< with iam
  std::mutex mutex_;
  std::map<Endpoint, std::unique_ptr<Node>> nodes_;  ///< never removed
  std::shared_ptr<const Map> map_;
  bool is_stale_ = true;
};

}  // namespace lambdaml::storage::redis
