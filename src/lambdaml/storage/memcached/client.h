#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/base/bytes.h"
#include "lambdaml/base/service/patience.h"
#include "lambdaml/storage/memcached/address.h"

namespace lambdaml::storage::memcached {

/// A connection to each of the servers, made when it is first needed, in the text protocol
/// (github.com/memcached/memcached: doc/protocol.txt). Items are spread over several servers by
/// libmemcached's consistent hashing (ketama), so that its other users find them. libmemcached does
/// not talk to them: its waits see neither an interrupt nor a deadline of all tries (ADR 028). Used
/// by one thread at a time; after an error it must be dropped.
///
/// Each call is a request and its answer. Errors: unavailable (a server cannot be reached, does not
/// answer within the patience, or answers with what is no Memcached reply; none is ever left out
/// instead), resource_exhausted (a value that the server finds too large, no memory), internal,
/// cancelled (interrupted). They name the server where there are several, and why.
class Client {
 public:
  Client(const Address& address, std::shared_ptr<Patience> patience);
  ~Client();

  void set(std::string_view item, Bytes value);
  /// These save where the item is absent, or is there; whether they did.
  bool add(std::string_view item, Bytes value);
  bool replace(std::string_view item, Bytes value);
  bool append(std::string_view item, Bytes value);

  /// Saves where the item is still the one that was got with that version; whether it was.
  bool set_if_same(std::string_view item, Bytes value, std::uint64_t version);
  bool remove_if_same(std::string_view item, std::uint64_t version);

  /// Asks for all items in one request a server and calls on_found(index of the item, value,
  /// version) for those that are there, in any order.
  using OnFound = std::function<void(std::size_t, Buffer, std::uint64_t)>;
  void get(std::span<const std::string> items, const OnFound& on_found);

  /// Whether the item is there. Transfers no value where the server knows meta commands (from
  /// version 1.6 on).
  bool exists(std::string_view item);

  void remove(std::string_view item);
  /// Sends all removals at once and waits until they are done.
  void remove_all(std::span<const std::string> items);

  /// The smallest `item_size_max` of the servers: what an item may take, its name and head
  /// included.
  std::uint64_t item_size_max();

 private:
  class Server;
  class Spread;
  struct Condition;

  bool store(std::string_view command, std::string_view item, Bytes value,
             const Condition& condition);
  std::size_t place_of(std::string_view item) const;
  /// Calls use(server), with its name in front of errors where there are several.
  template <class Use>
  auto with(std::size_t place, Use&& use);
  /// Calls use(place, indices) for each server with the indices of the items that lie there.
  template <class Use>
  void for_each_place(std::span<const std::string> items, Use&& use) const;

  const Address& address_;
  std::shared_ptr<Patience> patience_;
  std::unique_ptr<Spread> spread_;  ///< null for one server
  std::vector<std::unique_ptr<Server>> servers_;
};

}  // namespace lambdaml::storage::memcached
