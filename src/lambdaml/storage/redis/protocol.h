#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sys/uio.h>

#include "lambdaml/base/error.h"

namespace lambdaml::storage::redis {

/// Commands for one round trip to the server, in RESP (redis.io/docs/reference/protocol-spec). Long
/// arguments are not copied: they must live until the request is sent.
class Request {
 public:
  void add(std::initializer_list<std::string_view> command) {
    add(std::vector<std::string_view>(command));
  }
  void add(const std::vector<std::string_view>& command);

  /// The bytes to send, in order; valid until the next add().
  std::vector<iovec> pieces() const;

 private:
  std::string text_;  ///< all but the long arguments
  /// Each is inserted before this byte of text_.
  std::vector<std::pair<std::size_t, std::string_view>> long_arguments_;
};

/// A reply without values; those are read by Connection::value().
struct Reply {
  enum class Kind { absent, text, integer, list };
  Kind kind = Kind::absent;
  std::string text;
  std::int64_t integer = 0;
  std::vector<Reply> list;
};

/// Whether this can be an error reply: those begin with a word in capitals. The tail of another
/// reply
/// ("$-1", nothing, without its first byte) can begin with an error's mark too.
bool is_error_reply(std::string_view error);

/// The code for an error reply ("WRONGPASS invalid username-password pair …"), from its first word.
Code code_of_reply(std::string_view error);

/// `text` for SCAN's MATCH, with its special characters escaped.
std::string glob_escaped(std::string_view text);

/// The channel for saves in the key's folder (the key up to its last `/`). The keys that a worker
/// waits for round after round are in one folder, so it subscribes once.
std::string channel_of(int database, std::string_view key);

}  // namespace lambdaml::storage::redis
