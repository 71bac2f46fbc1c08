#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <ParameterServer.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/service/patience.h"
#include "lambdaml/base/service/socket.h"
#include "lambdaml/base/text.h"
#include "lambdaml/ps/address.h"
#include "lambdaml/ps/message.h"
#include "lambdaml/ps/transport.h"

namespace lambdaml::ps {

/// A client's connection, after the server's greeting, or after it turned out to be a server of the
/// original system. For .cc files of this layer. Used by one thread.
class Connection {
 public:
  /// Throws what Client throws.
  Connection(const Address& where, std::shared_ptr<Patience> patience);

  /// Makes a call as one try of the patience; the server is asked to wait at most `wait_s`.
  /// Translates the exceptions of Thrift and the socket to Error.
  template <class Call>
  std::invoke_result_t<Call> guarded(std::string_view doing, Call&& call, double wait_s = 0) {
    try {
      socket->begin(wait_s);
      require_no_rest();
      return call();
    } catch (const ::apache::thrift::TException&) {
      rethrow(doing);
    } catch (const Error&) {
      rethrow(doing);
    }
  }

  void require_new(std::string_view doing) const;

  /// A call whose arguments and result (if any) are written and read by the given functions; an
  /// answer may have `longest` bytes.
  void call(const char* name,
            const std::function<void(::apache::thrift::protocol::TProtocol&)>& arguments,
            const std::function<bool(::apache::thrift::protocol::TProtocol&, std::int16_t)>& result,
            std::uint64_t longest = kLongestAnswer);

  /// The original's pull_model, without allocating a list before its elements arrive.
  std::vector<float> pull(const std::string& id, std::uint32_t n, std::uint32_t worker);

  const Address address;
  std::shared_ptr<Socket> socket;
  std::shared_ptr<Buffered> buffered;
  std::shared_ptr<::apache::thrift::protocol::TBinaryProtocol> protocol;
  std::unique_ptr<wire::ParameterServerClient> client;
  wire::Welcome welcome;
  bool original = false;

 private:
  std::int32_t calls_ = 0;  ///< call() has made

  void greet();
  /// Throws unavailable when there is more than the answers so far: the next call would take it for
  /// its own.
  void require_no_rest() const;
  void end_of_answer() const;
  /// For use in a handler of an exception from Thrift or the socket.
  [[noreturn]] void rethrow(std::string_view doing);
};

}  // namespace lambdaml::ps
