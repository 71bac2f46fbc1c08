#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/base/bytes.h"
#include "lambdaml/base/service/patience.h"
#include "lambdaml/storage/key_index.h"
#include "lambdaml/storage/memcached/address.h"

namespace lambdaml::storage::memcached {

/// Connections to the servers, each made on first use, in the text protocol
/// (github.com/memcached/memcached: doc/protocol.txt). Items are spread over several servers by
/// libmemcached's consistent hashing (ketama), so that other libmemcached clients find them;
/// libmemcached does no I/O here because its waits ignore interrupts and shared deadlines (ADR
/// 028). Used by one thread at a time; after an error it must be dropped.
///
/// Each call is one request and its answer. Errors: unavailable (a server is unreachable, exceeds
/// the patience, or does not speak the protocol; no server is ever skipped), resource_exhausted
/// (the server rejects the value as too large, or is out of memory), permission_denied (it refuses
/// the user), what TlsSession throws, internal, cancelled (interrupted). If there are several
/// servers, messages name the server.
class Client final : public KeyIndex::Items {
 public:
  Client(const Address& address, std::shared_ptr<Patience> patience);
  ~Client() override;

  std::string item_of_key(std::string_view key) const override;
  std::string item_of_folder(std::string_view folder) const override;

  void set(std::string_view item, Bytes value);
  /// Saves only if the item exists; returns whether it did.
  bool replace(std::string_view item, Bytes value);
  bool add(std::string_view item, Bytes value) override;
  bool append(std::string_view item, Bytes value) override;
  bool set_if_same(std::string_view item, Bytes value, std::uint64_t version) override;
  bool remove_if_same(std::string_view item, std::uint64_t version) override;

  /// Requests all items, one request per server.
  void get(std::span<const std::string> items, const OnFound& on_found) override;

  /// Whether the item exists. Transfers no value if the server supports meta commands (since 1.6).
  bool exists(std::string_view item);

  void remove(std::string_view item);
  /// Sends all removals at once and waits for the answers.
  void remove_all(std::span<const std::string> items) override;

  /// The smallest `item_size_max` of the servers: the limit for an item including its name and
  /// header. 1 MB of one that has no such statistics.
  std::uint64_t item_size_max();

 private:
  class Server;
  class Spread;
  struct Condition;

  bool store(std::string_view command, std::string_view item, Bytes value,
             const Condition& condition);
  std::size_t place_of(std::string_view item) const;
  /// Calls use(server); if there are several servers, errors are prefixed with the server's name.
  template <class Use>
  auto with(std::size_t place, Use&& use);
  /// Calls use(place, indices) for each server with the indices of its items.
  template <class Use>
  void for_each_place(std::span<const std::string> items, Use&& use) const;

  const Address& address_;
  std::shared_ptr<Patience> patience_;
  std::unique_ptr<Spread> spread_;  ///< null for one server
  std::vector<std::unique_ptr<Server>> servers_;
};

}  // namespace lambdaml::storage::memcached
