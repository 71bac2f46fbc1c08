#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <sys/types.h>

/// Which user holds the other end of a loopback connection. Every program of this machine may
/// connect to 127.0.0.1, and the kernel knows the user of each socket.
///
/// The kernel's socket diagnostics answer for one connection in 10 µs, however many there are; if
/// they are not available, the tables /proc/net/tcp and tcp6 are read, which takes about a
/// millisecond per thousand sockets of the machine. A socket that no process holds any more
/// (closed, TIME_WAIT) has user 0 and inode 0 in both: it belongs to no one, not to root. An IPv6
/// socket connected to ::ffff:127.0.0.1 is found too (Java opens such).
namespace lambdaml::faas::sandbox {

/// An IPv4 address as a number in host byte order, with its port.
struct Address {
  std::uint32_t ip = 0;
  std::uint16_t port = 0;
};

/// The user that holds a socket.
struct Holder {
  bool is_known = false;           ///< false: could not be determined
  std::optional<uid_t> user = {};  ///< known and nullopt: no process holds it
};

/// The holder of the socket `peer` that is connected to `own`. Call it for an open connection, and
/// check afterwards that it is still open: another process may have got a port that was freed.
Holder user_of_peer(Address peer, Address own);

/// The two methods.
Holder ask_socket_diagnostics(Address peer, Address own);
Holder search_tables(Address peer, Address own);
/// The user of the connection in the text of /proc/net/tcp or tcp6.
std::optional<uid_t> user_in_table(std::string_view table, Address peer, Address own);

}  // namespace lambdaml::faas::sandbox
