#include "lambdaml/storage/redis/servers.h"

#include <algorithm>

#include "lambdaml/aws/environment.h"
#include "lambdaml/base/clock.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/text.h"
#include "lambdaml/storage/redis/iam.h"

namespace lambdaml::storage::redis {
namespace {

/// A request is redirected this often at most, which is more than a cluster at rest ever needs.
constexpr int kMostRedirections = 8;
/// Numbers that are tried for one in a slot of each primary: for some primaries of a single slot.
constexpr int kMostTags = 200'000;

}  // namespace

struct Servers::Node {
  Node(Endpoint where, std::function<std::unique_ptr<Connection>()> connect,
       std::shared_ptr<Patience> patience)
      : endpoint(std::move(where)), pool(std::move(connect), std::move(patience)) {}

  const Endpoint endpoint;
  Pool<Connection> pool;
  std::atomic<bool> has_failed = false;  ///< its last request has
};

struct Servers::Map {
  bool cluster = false;
  std::vector<Node*> primaries;
  std::vector<std::uint16_t> owner;     ///< of each slot: index into primaries; empty: one has all
  std::vector<std::size_t> first_slot;  ///< of each primary of a cluster
  /// Of each primary: a text in a slot of it; empty without sharded channels.
  std::vector<std::string> tags;
};

/// Requests to several servers, and the connections on which their answers come. Connections whose
/// answers were not taken are dropped.
class Servers::Trips {
 public:
  explicit Trips(Servers& servers) : servers_(servers) {}

  void begin(Node& node, const Request& request) {
    guarded(node, [&] {
      std::unique_ptr<Connection> connection = node.pool.borrow();
      connection->begin_trip(request);
      open_.push_back({&node, std::move(connection)});
    });
  }
  /// Of the i-th trip that was begun.
  template <class Take>
  void finish(std::size_t i, Take&& take) {
    guarded(*open_[i].node, [&] { open_[i].connection->finish_trip(take); });
  }
  Connection& connection(std::size_t i) { return *open_[i].connection; }
  void give_back() {
    for (Open& one : open_) {
      one.node->has_failed = false;
      one.node->pool.give_back(std::move(one.connection));
    }
    servers_.patience_->answered();
  }

 private:
  struct Open {
    Node* node;
    std::unique_ptr<Connection> connection;
  };

  template <class Use>
  void guarded(Node& node, Use&& use) {
    try {
      use();
    } catch (const Redirected&) {
      throw;
    } catch (const ReadOnlyReplica&) {
      node.pool.drop_idle();
      throw;
    } catch (const Error& error) {
      servers_.fail_at(node, error);
    }
  }

  Servers& servers_;
  std::vector<Open> open_;
};

Servers::Servers(Address address, std::shared_ptr<Patience> patience)
    : address_(std::move(address)), patience_(std::move(patience)) {}

Servers::~Servers() = default;

std::unique_ptr<Connection> Servers::connect(const Endpoint& endpoint) {
  if (address_.iam.empty()) return std::make_unique<Connection>(address_, endpoint, patience_);
  Address address = address_;
  const std::string region = aws::find_place("elasticache", {}, {}).region;
  address.password = iam_token(address, credentials_.get(), region, wall_now());
  return std::make_unique<Connection>(address, endpoint, patience_);
}

Servers::Node& Servers::node_at(const Endpoint& endpoint) {
  const std::lock_guard lock(mutex_);
  std::unique_ptr<Node>& node = nodes_[endpoint];
  if (!node)
    node = std::make_unique<Node>(
        endpoint, [this, endpoint] { return connect(endpoint); }, patience_);
  return *node;
}

void Servers::note_failure(Node& node, const Error& error) {
  if (error.code() != Code::unavailable) return;
  node.pool.drop_idle();
  node.has_failed = true;
  const std::lock_guard lock(mutex_);
  is_stale_ = true;
}

void Servers::fail_at(Node& node, const Error& error) {
  note_failure(node, error);
  if (error.code() != Code::unavailable || node.endpoint == address_.server) throw;
  // The store's own name does not tell which of its servers that is.
  throw Error(error.code(), fmt::format("{}: {}", node.endpoint.text(), error.what()));
}

// ---- which server has which keys ----

std::shared_ptr<const Servers::Map> Servers::map() {
  std::shared_ptr<const Map> old;
  {
    const std::lock_guard lock(mutex_);
    if (!is_stale_) return map_;
    old = map_;
  }
  std::shared_ptr<const Map> now = refreshed(old);
  const std::lock_guard lock(mutex_);
  map_ = std::move(now);
  is_stale_ = false;
  return map_;
}

/// Asks those first that have not failed. That is not reported as an answer: a cluster that tells
/// its slots but does not serve them is not there.
std::shared_ptr<const Servers::Map> Servers::refreshed(const std::shared_ptr<const Map>& old) {
  std::vector<Node*> nodes = {&node_at(address_.server)};
  // A replica may be gone while its primary is there.
  if (old)
    for (Node* node : old->primaries)
      if (node != nodes.front()) nodes.push_back(node);
  std::stable_partition(nodes.begin(), nodes.end(),
                        [](const Node* node) { return !node->has_failed; });
  for (std::size_t i = 0;; ++i) {
    try {
      return map_from(*nodes[i]);
    } catch (const Error& error) {
      if (error.code() != Code::unavailable) throw;
      nodes[i]->has_failed = true;
      if (i + 1 == nodes.size()) throw;
    }
  }
}

/// The first numbers in a slot of each primary: the same for all that have the same table.
std::vector<std::string> Servers::tags_of(const Map& map) {
  std::vector<std::string> tags(map.primaries.size());
  std::size_t left = tags.size();
  for (int i = 0; left > 0 && i < kMostTags; ++i) {
    std::string tag = std::to_string(i);
    const std::uint16_t owner = map.owner[static_cast<std::size_t>(slot_of(tag))];
    if (owner == SlotTable::kNobody || !tags[owner].empty()) continue;
    tags[owner] = std::move(tag);
    --left;
  }
  return left == 0 ? tags : std::vector<std::string>();
}

/// A replica may not have yet what another worker has just saved, so that it is not read either.
/// Its primary may be a replica of another server.
Servers::Node& Servers::primary_of(Node& asked, std::optional<Endpoint> primary) {
  constexpr int kMostReplicas = 4;
  Node* node = &asked;
  for (int i = 0; i < kMostReplicas && primary && *primary != node->endpoint; ++i) {
    log::info("{}: a read-only replica; its primary {} is used", node->endpoint.text(),
              primary->text());
    node = &node_at(*primary);
    try {
      std::unique_ptr<Connection> connection = node->pool.borrow();
      primary = connection->place().primary;
      node->pool.give_back(std::move(connection));
    } catch (const Error& error) {
      fail_at(*node, error);
    }
  }
  return *node;
}

std::shared_ptr<const Servers::Map> Servers::map_from(Node& node) {
  std::unique_ptr<Connection> connection = node.pool.borrow();
  const auto [slots, primary] = connection->place();
  const bool sharded = slots && connection->knows("SPUBLISH");
  node.pool.give_back(std::move(connection));
  auto map = std::make_shared<Map>();
  if (!slots) {
    map->primaries.push_back(&primary_of(node, primary));
    return map;
  }
  const SlotTable table = slot_table_of(*slots, node.endpoint.host);
  map->cluster = true;
  for (const Endpoint& primary : table.primaries) map->primaries.push_back(&node_at(primary));
  map->owner.assign(table.owner.begin(), table.owner.end());
  for (std::size_t i = 0; i < map->primaries.size(); ++i)
    map->first_slot.push_back(static_cast<std::size_t>(
        std::ranges::find(map->owner, static_cast<std::uint16_t>(i)) - map->owner.begin()));
  if (sharded) map->tags = tags_of(*map);
  if (address_.database != 0)
    fail(Code::invalid_argument, "a cluster has no database {}, only 0", address_.database);
  return map;
}

std::uint16_t Servers::owner_of(const Map& map, std::size_t slot) {
  const std::uint16_t owner = map.owner[slot];
  if (owner != SlotTable::kNobody) return owner;
  note_moved();  // somebody may have it soon
  fail(Code::unavailable,
       "no server of the cluster has slot {} (redis-cli --cluster check {} says more)", slot,
       address_.server.text());
}

Servers::Node& Servers::node_of(const Map& map, std::string_view key) {
  if (!map.cluster) return *map.primaries.front();
  return *map.primaries[owner_of(map, static_cast<std::size_t>(slot_of(key)))];
}

bool Servers::is_cluster() { return map()->cluster; }

void Servers::follow_primary() {
  const std::shared_ptr<const Map> old = this->map();
  {
    const std::lock_guard lock(mutex_);
    is_stale_ = true;
  }
  if (old->cluster) return;
  try {
    map();
  } catch (const Error& error) {
    if (error.code() == Code::cancelled) throw;
  }
}

// ---- asking ----

void Servers::ask(std::span<const std::string_view> keys, const Add& add, const Take& take) {
  if (keys.empty()) return;
  const std::shared_ptr<const Map> map = this->map();
  if (keys.size() == 1) return ask_alone(*map, keys.front(), 0, add, take);
  try {
    ask_together(*map, keys, add, take);
  } catch (const Redirected&) {
    // Rare: only while a cluster changes. Every command may be repeated.
    for (std::size_t i = 0; i < keys.size(); ++i) ask_alone(*this->map(), keys[i], i, add, take);
  }
}

void Servers::ask_together(const Map& map, std::span<const std::string_view> keys, const Add& add,
                           const Take& take) {
  struct Group {
    Node* node;
    Request request;
    std::vector<std::size_t> keys;
  };
  std::vector<Group> groups;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    Node* const node = &node_of(map, keys[i]);
    auto group = std::ranges::find(groups, node, &Group::node);
    if (group == groups.end()) group = groups.insert(group, {node, Request(), {}});
    add(group->request, i);
    group->keys.push_back(i);
  }
  Trips trips(*this);
  for (const Group& group : groups) trips.begin(*group.node, group.request);
  for (std::size_t g = 0; g < groups.size(); ++g)
    trips.finish(g, [&] {
      for (const std::size_t i : groups[g].keys) take(trips.connection(g), i);
    });
  trips.give_back();
}

void Servers::ask_alone(const Map& map, std::string_view key, std::size_t i, const Add& add,
                        const Take& take) {
  Node* node = &node_of(map, key);
  bool asking = false;
  for (int redirections = 0;; ++redirections) {
    Request request(asking);
    add(request, i);
    Trips trips(*this);
    try {
      trips.begin(*node, request);
      trips.finish(0, [&] { take(trips.connection(0), i); });
      return trips.give_back();
    } catch (const Redirected& redirected) {
      const Redirection& to = redirected.to();
      asking = to.ask;
      if (!to.ask) note_moved();
      if (redirections == kMostRedirections) throw;
      const std::string& host = to.target.host;
      node = &node_at({host.empty() ? node->endpoint.host : host, to.target.port});
    }
  }
}

void Servers::at_each(const std::function<void(Connection&)>& use) {
  const std::shared_ptr<const Map> map = this->map();
  for (std::size_t slot = 0; slot < map->owner.size(); ++slot) owner_of(*map, slot);
  for (Node* const node : map->primaries) {
    std::unique_ptr<Connection> connection;
    try {
      connection = node->pool.borrow();
      use(*connection);
    } catch (const Error& error) {
      fail_at(*node, error);
    }
    node->pool.give_back(std::move(connection));
    node->has_failed = false;
    patience_->answered();
  }
}

Channel Servers::channel_of(std::string_view key) {
  const std::shared_ptr<const Map> map = this->map();
  const Node& node = node_of(*map, key);
  if (!map->cluster) return {node.endpoint, redis::channel_of(address_.database, key)};
  const std::uint16_t owner = map->owner[static_cast<std::size_t>(slot_of(key))];
  if (!map->tags.empty())
    return {node.endpoint, redis::channel_of(address_.database, key, map->tags[owner]), true};
  // All that have the same table of slots name the server by its first one, also after a failover.
  return {node.endpoint,
          fmt::format("{}@{}", redis::channel_of(address_.database, key), map->first_slot[owner])};
}

void Servers::note_moved() {
  const std::lock_guard lock(mutex_);
  is_stale_ = true;
}

std::unique_ptr<Connection> Servers::connect_to(const Endpoint& server) {
  try {
    return connect(server);
  } catch (const Error& error) {
    note_failure(node_at(server), error);
    throw;
  }
}

}  // namespace lambdaml::storage::redis
