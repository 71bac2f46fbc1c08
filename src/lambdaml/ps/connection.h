#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <ParameterServer.h>
#include <thrift/transport/TSocket.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"
#include "lambdaml/ps/address.h"
#include "lambdaml/ps/message.h"
#include "lambdaml/ps/transport.h"

namespace lambdaml::ps {

/// A client's connection: greeted by the server, or known to lead to one of the original system.
/// For .cc files of this layer.
class Connection {
 public:
  /// What an answer may take beyond the wait that was asked for.
  static constexpr int kAnswer_ms = 60'000;

  /// Throws what Client throws.
  explicit Connection(const Address& where);

  /// Calls, and turns what Thrift throws into the project's errors.
  template <class Call>
  std::invoke_result_t<Call> guarded(std::string_view doing, Call&& call) const {
    try {
      return call();
    } catch (const ::apache::thrift::TException&) {
      rethrow(doing);
    }
  }

  void require_new(std::string_view doing) const;

  /// A call whose arguments, and whose result if there is one, are written and read by hand; an
  /// answer may have `longest` bytes.
  void call(const char* name,
            const std::function<void(::apache::thrift::protocol::TProtocol&)>& arguments,
            const std::function<bool(::apache::thrift::protocol::TProtocol&, std::int16_t)>& result,
            std::uint64_t longest = kLongestAnswer);

  /// The original's pull_model, which must not make room for a list before it comes.
  std::vector<float> pull(const std::string& id, std::uint32_t n, std::uint32_t worker);

  const Address address;
  std::shared_ptr<::apache::thrift::transport::TSocket> socket;
  std::shared_ptr<Buffered> buffered;
  std::shared_ptr<::apache::thrift::protocol::TBinaryProtocol> protocol;
  std::unique_ptr<wire::ParameterServerClient> client;
  wire::Welcome welcome;
  bool original = false;

 private:
  void end_of_answer() const;
  /// Within a handler of what Thrift threw.
  [[noreturn]] void rethrow(std::string_view doing) const;
};

}  // namespace lambdaml::ps
