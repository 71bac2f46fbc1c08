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

/// Another server of the cluster has the key.
class Redirected : public Error {
 public:
  explicit Redirected(Redirection to)
      : Error(Code::unavailable, "the cluster moves its slots"), to_(std::move(to)) {}
  const Redirection& to() const { return to_; }

 private:
  Redirection to_;
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
/// code of an error reply (ReadOnlyReplica and Redirected have types of their own), what TlsSession
/// throws, and cancelled (interrupted). Messages state only the cause, because the caller knows the
/// endpoint and the operation; they never contain a password.
class Connection {
 public:
  /// To one server of the store at `address`. With TLS, a server that a cluster names by its IP
  /// address may have a certificate for the host of the store's URI.
  Connection(const Address& address, const Endpoint& server, std::shared_ptr<Patience> patience);
  ~Connection();

  /// One round trip: sends the commands and calls take(), which takes one reply for each of them,
  /// in order, values before replies. Returns what take() returns; the replies must not be used
  /// before.
  template <class Take>
  std::invoke_result_t<Take> ask(const Request& request, Take&& take) {
    begin_trip(request);
    return finish_trip(std::forward<Take>(take));
  }
  /// The halves of ask(), for trips to several servers at the same time.
  void begin_trip(const Request& request);
  template <class Take>
  std::invoke_result_t<Take> finish_trip(Take&& take) {
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
  /// The next reply, of a command that is not needed.
  enum class Outcome {
    done,
    refused,    ///< see is_refusal()
    elsewhere,  ///< another server of the cluster would take it
  };
  Outcome outcome();
  /// The next reply, of a command that returns a value or nothing (GET).
  std::optional<Buffer> value();

  /// What a server says of its place among others.
  struct Place {
    /// The answer to CLUSTER SLOTS; nullopt of a server that is in no cluster, or that does not let
    /// this user ask.
    std::optional<Reply> slots;
    /// Of a read-only replica: its primary, if the server names it to this user.
    std::optional<Endpoint> primary;
  };
  /// A trip of its own.
  Place place();
  /// Whether the server has that command; false if it does not say. A trip of its own.
  bool knows(std::string_view command);

  /// Sends commands that begin or change a subscription: messages on such a connection have no
  /// certain order, and ECHO is not answered.
  void subscribe(const Request& request);
  /// The next message of a subscribed connection; nullopt if none arrives before the deadline. A
  /// silent server is not noticed here: check it by other means.
  std::optional<Reply> told(Deadline deadline);
  /// The next message that has already been received; nullopt if there is none. Over TLS it may
  /// make a system call.
  std::optional<Reply> told_already();
  /// Readable when told() may have something new.
  int descriptor() const { return socket_.descriptor(); }

 private:
  class Reader;    ///< hiredis's parser
  class RawReply;  ///< what it makes

  void log_in(const Address& address);
  void take_log_in(const Address& address);
  void end_trip();
  RawReply next();
  /// The next reply, without regard to ASKING.
  RawReply next_raw();
  Reply checked(const RawReply& raw);
  [[noreturn]] void fail_garbled();
  [[noreturn]] void fail_error(std::string_view error);

  Socket socket_;
  SocketInput input_;
  std::unique_ptr<Reader> reader_;
  std::uint64_t trip_ = 0;  ///< the number of the trip
  bool asking_ = false;     ///< each reply of the trip is preceded by ASKING's
};

}  // namespace lambdaml::storage::redis
