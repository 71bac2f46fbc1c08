#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "lambdaml/base/bytes.h"
#include "lambdaml/storage/memcached/address.h"

namespace lambdaml::storage::memcached {

/// A connection to each of the servers, by libmemcached in the text protocol; items are spread over
/// the servers by consistent hashing (ketama). Used by one thread at a time; after an error it must
/// be dropped.
///
/// Each call is a request and its answer. Errors: unavailable (a server cannot be reached or does
/// not answer for 10 s; none is ever left out instead), resource_exhausted (a value that the server
/// finds too large, no memory), internal. They name the server where there are several, and why.
class Client {
 public:
  explicit Client(const Address& address);
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
  /// version) for those that are there, in any order. The value lives as long as the call.
  using OnFound = std::function<void(std::size_t, Bytes, std::uint64_t)>;
  void get(std::span<const std::string> items, const OnFound& on_found);

  void remove(std::string_view item);
  /// Sends all removals at once and waits until they are done.
  void remove_all(std::span<const std::string> items);

  /// The smallest `item_size_max` of the servers: what an item may take, its name and head
  /// included.
  std::uint64_t item_size_max();

 private:
  struct Servers;  ///< libmemcached's
  std::unique_ptr<Servers> servers_;
};

}  // namespace lambdaml::storage::memcached
