#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include "lambdaml/base/bytes.h"
#include "lambdaml/base/deadline.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/service/patience.h"
#include "lambdaml/base/service/socket.h"
#include "lambdaml/storage/redis/address.h"
#include "lambdaml/storage/redis/protocol.h"

namespace lambdaml::storage::redis {

/// The server is a replica, which refuses to write.
class ReadOnlyReplica : public Error {
 public:
  ReadOnlyReplica()
      : Error(Code::unavailable,
              "the server is a read-only replica (READONLY): name the primary's address") {}
};

/// One authenticated connection to a server with its database selected. hiredis parses replies;
/// values, which it would copy three times, are sent from and received into their final place. Used
/// by one thread at a time; after an error it must be dropped.
///
/// Replies do not say to which command they belong: after one reply too many or too few, each later
/// command would get the answer of another. So each round trip ends with an ECHO of its number, and
/// the replies before it count only once that has come in its place.
///
/// Errors: unavailable (no connection, no answer within the patience, or not a Redis reply), the
/// code of an error reply, and cancelled (interrupted). Messages state only the cause, because the
/// caller knows the endpoint and the operation; they never contain a password.
class Connection {
 public:
  Connection(const Address& address, std::shared_ptr<Patience> patience);
  ~Connection();

  /// One round trip: sends the commands and calls take(), which takes one reply for each of them,
  /// in order, values before replies. Returns what take() returns; the replies must not be used
  /// before.
  template <class Take>
  std::invoke_result_t<Take> ask(const Request& request, Take&& take) {
    begin_trip(request);
    if constexpr (std::is_void_v<std::invoke_result_t<Take>>) {
      take();
      end_trip();
    } else {
      auto taken = take();
      end_trip();
      return taken;
    }
  }
  /// The next reply; throws for an error reply.
  Reply reply();
  /// The same, but an error reply that begins with `tolerated` gives a Reply of kind absent.
  Reply reply_or(std::string_view tolerated);
  /// The next reply, of a command that returns a value or nothing (GET).
  std::optional<Buffer> value();

  /// Sends commands that begin or change a subscription: messages on such a connection have no
  /// certain order, and ECHO is not answered.
  void subscribe(const Request& request);
  /// The next message of a subscribed connection; nullopt if none arrives before the deadline. A
  /// silent server is not noticed here: check it by other means.
  std::optional<Reply> told(Deadline deadline);

 private:
  class Reader;    ///< hiredis's parser
  class RawReply;  ///< what it makes

  void log_in(const Address& address);
  void take_log_in(bool with_password, const std::string& database);
  void begin_trip(const Request& request);
  void end_trip();
  RawReply next();
  Reply checked(const RawReply& raw);
  [[noreturn]] void fail_garbled();
  [[noreturn]] void fail_error(std::string_view error);

  Socket socket_;
  SocketInput input_;
  std::unique_ptr<Reader> reader_;
  std::uint64_t trip_ = 0;  ///< the number of the trip
};

}  // namespace lambdaml::storage::redis
