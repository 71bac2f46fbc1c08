#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "lambdaml/base/bytes.h"
#include "lambdaml/base/deadline.h"
#include "lambdaml/base/service/patience.h"
#include "lambdaml/base/service/socket.h"
#include "lambdaml/storage/redis/address.h"
#include "lambdaml/storage/redis/protocol.h"

namespace lambdaml::storage::redis {

/// One connection to a server, logged in and with its database chosen. hiredis parses replies;
/// values, which it would copy three times on their way, are written from where they lie and read
/// to where they stay. Used by one thread at a time; after an error it must be dropped.
///
/// Errors: unavailable (no connection, no answer within the patience, an answer that is no Redis
/// reply), the code of an error reply, cancelled (interrupted). They say why and nothing else: who
/// calls knows the endpoint and the operation. No message holds a password.
class Connection {
 public:
  Connection(const Address& address, std::shared_ptr<Patience> patience);
  ~Connection();

  /// Sends the commands. For each of them, one reply must be taken, in order; values before
  /// replies.
  void send(const Request& request);
  /// The next reply; an error reply is thrown.
  Reply reply();
  /// The same, but an error reply that begins with `tolerated` is absent.
  Reply reply_or(std::string_view tolerated);
  /// The next reply, of a command that answers with a value or nothing (GET).
  std::optional<Buffer> value();

  /// What a subscribed connection is told next; absent when that is nothing before the deadline. A
  /// server that tells nothing is not missed: ask it something else meanwhile.
  std::optional<Reply> told(Deadline deadline);

 private:
  class Reader;    ///< hiredis's parser
  class RawReply;  ///< what it makes

  void log_in(const Address& address);
  RawReply next();
  Reply checked(const RawReply& raw);
  [[noreturn]] void fail_garbled();

  Socket socket_;
  SocketInput input_;
  std::unique_ptr<Reader> reader_;
};

}  // namespace lambdaml::storage::redis
