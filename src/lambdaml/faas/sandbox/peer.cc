#include "lambdaml/faas/sandbox/peer.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "lambdaml/base/files.h"

namespace lambdaml::faas::sandbox {
namespace {

struct Question {
  nlmsghdr header;
  inet_diag_req_v2 body;
};

Question question_of(Address peer, Address own) {
  Question out{};
  out.header.nlmsg_len = sizeof(out);
  out.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  out.header.nlmsg_flags = NLM_F_REQUEST;
  out.body.sdiag_family = AF_INET;
  out.body.sdiag_protocol = IPPROTO_TCP;
  out.body.idiag_states = ~0U;
  out.body.id.idiag_sport = htons(peer.port);
  out.body.id.idiag_dport = htons(own.port);
  out.body.id.idiag_src[0] = htonl(peer.ip);
  out.body.id.idiag_dst[0] = htonl(own.ip);
  out.body.id.idiag_cookie[0] = out.body.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
  return out;
}

/// An address in the tables' format: its bytes in memory, in hexadecimal.
std::string table_text(Address address, bool mapped) {
  return fmt::format("{}{:08X}:{:04X}", mapped ? "0000000000000000FFFF0000" : "", htonl(address.ip),
                     address.port);
}

}  // namespace

Holder ask_socket_diagnostics(Address peer, Address own) {
  const FileDescriptor socket(::socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
  const Question question = question_of(peer, own);
  if (!socket || send(socket.get(), &question, sizeof(question), 0) != sizeof(question)) return {};
  alignas(nlmsghdr) std::array<char, 4096> answer{};
  // The answer is available when send() returns.
  const ssize_t n = recv(socket.get(), answer.data(), answer.size(), MSG_DONTWAIT);
  nlmsghdr header{};
  if (n < static_cast<ssize_t>(NLMSG_HDRLEN)) return {};
  std::memcpy(&header, answer.data(), sizeof(header));
  const char* body = answer.data() + NLMSG_HDRLEN;
  const auto bytes = static_cast<std::size_t>(n) - NLMSG_HDRLEN;
  if (header.nlmsg_type == NLMSG_ERROR && bytes >= sizeof(nlmsgerr)) {
    nlmsgerr error{};
    std::memcpy(&error, body, sizeof(error));
    // For other errors, the kernel has no TCP diagnostics or denies them to this process.
    return {.is_known = error.error == -ENOENT};
  }
  inet_diag_msg found{};
  if (header.nlmsg_type != SOCK_DIAG_BY_FAMILY || bytes < sizeof(found)) return {};
  std::memcpy(&found, body, sizeof(found));
  // If there is no such connection, the kernel returns a socket that listens on the peer's port.
  const bool is_it = found.idiag_state != TCP_LISTEN && found.id.idiag_sport == htons(peer.port) &&
                     found.id.idiag_dport == htons(own.port) && found.idiag_inode != 0;
  if (!is_it) return {.is_known = true};
  return {.is_known = true, .user = found.idiag_uid};
}

std::optional<uid_t> user_in_table(std::string_view table, Address peer, Address own) {
  const std::array<std::string, 2> wanted = {
      table_text(peer, false) + " " + table_text(own, false) + " ",
      table_text(peer, true) + " " + table_text(own, true) + " "};
  for (const std::string& addresses : wanted) {
    const std::size_t at = table.find(": " + addresses);
    if (at == std::string_view::npos) continue;
    // st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode
    const std::string line(table.substr(at, table.find('\n', at) - at));
    unsigned uid = 0;
    unsigned long inode = 0;
    if (std::sscanf(line.c_str() + 2 + addresses.size(), "%*x %*x:%*x %*x:%*x %*x %u %*d %lu", &uid,
                    &inode) == 2 &&
        inode != 0)
      return uid;
  }
  return std::nullopt;
}

Holder search_tables(Address peer, Address own) {
  Holder out;
  for (const char* path : {"/proc/net/tcp", "/proc/net/tcp6"}) {
    std::ifstream file(path);
    if (!file) continue;
    out.is_known = true;
    const std::string table{std::istreambuf_iterator<char>(file), {}};
    if ((out.user = user_in_table(table, peer, own))) break;
  }
  return out;
}

Holder user_of_peer(Address peer, Address own) {
  const Holder holder = ask_socket_diagnostics(peer, own);
  return holder.is_known ? holder : search_tables(peer, own);
}

}  // namespace lambdaml::faas::sandbox
