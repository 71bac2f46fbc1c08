#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <sys/types.h>

/// Whose the other end of a loopback connection is. Every program of this machine may connect to
/// 127.0.0.1; the kernel knows the user of each socket.
///
/// The kernel's socket diagnostics answer for one connection, in 10 µs and independent of how many
/// there are; where they are not to be had, the tables /proc/net/tcp and tcp6 are read, at about a
/// millisecond per thousand sockets of the machine. A socket that no process holds any more
/// (closed, TIME_WAIT) has the user 0 and the inode 0 in both: it is nobody's, not root's. An IPv6
/// socket that is connected to ::ffff:127.0.0.1 is found as well (Java opens such).
namespace lambdaml::faas::sandbox {

/// An IPv4 address, a host's number, with its port.
struct Address {
  std::uint32_t ip = 0;
  std::uint16_t port = 0;
};

/// Who holds a socket.
struct Holder {
  bool is_known = false;           ///< false: nobody tells
  std::optional<uid_t> user = {};  ///< known and none: no process does
};

/// The holder of the socket `peer` that is connected to `own`. Ask for a connection that stands,
/// and look afterwards whether it still does: a port that was left may be another's.
Holder user_of_peer(Address peer, Address own);

/// The ways that this is found.
Holder ask_socket_diagnostics(Address peer, Address own);
Holder look_into_tables(Address peer, Address own);
/// The user in the text of /proc/net/tcp or tcp6.
std::optional<uid_t> user_in_table(std::string_view table, Address peer, Address own);

}  // namespace lambdaml::faas::sandbox
