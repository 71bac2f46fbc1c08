#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "lambdaml/base/bytes.h"
#include "lambdaml/base/deadline.h"
#include "lambdaml/storage/redis/address.h"
#include "lambdaml/storage/redis/protocol.h"

namespace lambdaml::storage::redis {

/// One connection to a server, logged in and with its database chosen. hiredis connects and reads
/// replies; values, which it would copy three times on their way, are written from where they lie
/// and read to where they stay. Used by one thread at a time; after an error it must be dropped.
///
/// Errors: unavailable (no connection, no answer for 10 s), the code of an error reply, internal (a
/// reply that is none, or that is longer than any that is asked for). They say why and nothing
/// else: who calls knows the endpoint and the operation. No message holds a password.
class Connection {
 public:
  explicit Connection(const Address& address);
  ~Connection();

  /// Sends the commands. For each of them, one reply must be taken, in order: replies first, or
  /// values first, not one between others.
  void send(const Request& request);
  /// The next reply; an error reply is thrown.
  Reply reply();
  /// The same, but an error reply that begins with `tolerated` is absent.
  Reply reply_or(std::string_view tolerated);
  /// The next reply, of a command that answers with a value or nothing (GET).
  std::optional<Buffer> value();

  /// What a subscribed connection is told next; absent when that is nothing before the deadline.
  std::optional<Reply> told(Deadline deadline);

 private:
  struct Context;  ///< hiredis's

  void log_in(const Address& address);
  void receive_values();
  std::string_view line();

  std::unique_ptr<Context> context_;
  /// Received by value() and not used yet: [begin_, end_) of in_.
  std::vector<char> in_;
  std::size_t begin_ = 0, end_ = 0;
};

}  // namespace lambdaml::storage::redis
