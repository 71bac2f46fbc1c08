#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sys/uio.h>

#include "lambdaml/base/error.h"
#include "lambdaml/storage/redis/address.h"

namespace lambdaml::storage::redis {

/// Commands for one round trip to the server, in RESP (redis.io/docs/reference/protocol-spec). Long
/// arguments are not copied: they must live until the request is sent.
class Request {
 public:
  /// If `asking`, each command is preceded by ASKING: the server answers for a slot that is being
  /// moved to it.
  explicit Request(bool asking = false) : asking_(asking) {}

  bool asking() const { return asking_; }
  void add(std::initializer_list<std::string_view> command) {
    add(std::vector<std::string_view>(command));
  }
  void add(const std::vector<std::string_view>& command);

  /// The bytes to send, in order; valid until the next add().
  std::vector<iovec> pieces() const;

 private:
  bool asking_;
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
/// reply ("$-1", nothing, without its first byte) can begin with an error's mark too.
bool is_error_reply(std::string_view error);

/// The code for an error reply ("WRONGPASS invalid username-password pair …"), from its first word.
Code code_of_reply(std::string_view error);

/// Whether the error says that the server does not know the command, or that the user may not call
/// it or use the channel.
bool is_refusal(std::string_view error);

/// What a server of a cluster answers if another one has the key's slot ("MOVED 3999 HOST:PORT"),
/// or has it already while the slot is being moved ("ASK …").
struct Redirection {
  bool ask = false;
  int slot = 0;
  Endpoint target;  ///< an empty host is that of the server that answers
};
std::optional<Redirection> redirection_in(std::string_view error);

inline constexpr int kSlots = 16384;
/// The slot of a key in a cluster: CRC-16 (XMODEM) of the key, or of the part between its first `{`
/// and the next `}` if that is not empty, modulo kSlots (redis.io/docs/reference/cluster-spec).
int slot_of(std::string_view key);

/// `text` for SCAN's MATCH, with its special characters escaped.
std::string glob_escaped(std::string_view text);

/// The channel for saves in the key's folder (the key up to its last `/`). The keys that a worker
/// waits for round after round are in one folder, so it subscribes once.
/// `tag`, if not empty, decides a sharded channel's slot.
std::string channel_of(int database, std::string_view key, std::string_view tag = {});

}  // namespace lambdaml::storage::redis
