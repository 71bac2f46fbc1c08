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

/// One authenticated connection to a server with its database selected. hiredis parses replies;
/// values, which it would copy three times, are sent from and received into their final place. Used
/// by one thread at a time; after an error it must be dropped.
///
/// Errors: unavailable (no connection, no answer within the patience, or not a Redis reply), the
/// code of an error reply, and cancelled (interrupted). Messages state only the cause, because the
/// caller knows the endpoint and the operation; they never contain a password.
class Connection {
 public:
  Connection(const Address& address, std::shared_ptr<Patience> patience);
  ~Connection();

  /// Sends the commands. The caller must then take one reply per command, in order.
  void send(const Request& request);
  /// The next reply; throws for an error reply.
  Reply reply();
  /// The same, but an error reply that begins with `tolerated` gives a Reply of kind absent.
  Reply reply_or(std::string_view tolerated);
  /// The next reply, of a command that returns a value or nothing (GET).
  std::optional<Buffer> value();

  /// The next message of a subscribed connection; nullopt if none arrives before the deadline. A
  /// silent server is not noticed here: check it by other means.
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
