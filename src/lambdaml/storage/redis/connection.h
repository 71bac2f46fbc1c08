#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

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
/// Replies say nothing of the command that they belong to: one more or less than there should be,
/// and each later command gets the answer of another. So each trip ends with an ECHO of its number,
/// and what came before is believed when that has come in its place.
///
/// Errors: unavailable (no connection, no answer within the patience, an answer that is no Redis
/// reply), the code of an error reply, cancelled (interrupted). They say why and nothing else: who
/// calls knows the endpoint and the operation. No message holds a password.
class Connection {
 public:
  Connection(const Address& address, std::shared_ptr<Patience> patience);
  ~Connection();

  /// One trip: sends the commands and calls take(), which takes one reply for each of them, in
  /// order, values before replies. Returns what take() does; nothing may be made of the replies
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
  /// The next reply; an error reply is thrown.
  Reply reply();
  /// The same, but an error reply that begins with `tolerated` is absent.
  Reply reply_or(std::string_view tolerated);
  /// The next reply, of a command that answers with a value or nothing (GET).
  std::optional<Buffer> value();

  /// Sends commands that begin or change a subscription: what is said on such a connection has no
  /// certain order, and no ECHO is answered.
  void subscribe(const Request& request);
  /// What a subscribed connection is told next; absent when that is nothing before the deadline. A
  /// server that tells nothing is not missed: ask it something else meanwhile.
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
