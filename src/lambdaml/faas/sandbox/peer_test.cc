#include "lambdaml/faas/sandbox/peer.h"

#include <fstream>
#include <iterator>

#include <gtest/gtest.h>

#include "lambdaml/base/testing/testing.h"
#include "lambdaml/faas/testing/hostile.h"

namespace lambdaml::faas::sandbox {
namespace {

using testing::as_nobody;
using testing::kNobody;
using testing::RawConnection;

constexpr std::uint32_t kLoopback = 0x7f000001;

/// A port of 127.0.0.1 that accepts.
class PeerListener {
 public:
  explicit PeerListener(std::uint16_t port = 0)
      : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(kLoopback);
    socklen_t size = sizeof(address);
    const int on = 1;
    setsockopt(socket_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 ||
        listen(socket_.get(), 8) != 0 ||
        getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0)
      fail_errno(errno, "cannot listen");
    own_ = {kLoopback, ntohs(address.sin_port)};
  }
  FileDescriptor accept() const {
    return FileDescriptor(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  }
  Address own() const { return own_; }

 private:
  FileDescriptor socket_;
  Address own_;
};

/// What both ways say, which must agree.
std::optional<uid_t> user_by_both(Address peer, Address own) {
  const Holder by_tables = search_tables(peer, own);
  const Holder by_diagnostics = ask_socket_diagnostics(peer, own);
  EXPECT_TRUE(by_tables.is_known);
  EXPECT_TRUE(!by_diagnostics.is_known || by_diagnostics.user == by_tables.user);
  EXPECT_EQ(user_of_peer(peer, own).user, by_tables.user);
  return by_tables.user;
}

TEST(Peer, AConnectionOfThisProcessIsOurs) {
  const PeerListener listener;
  for (const bool by_ipv6 : {false, true}) {
    RawConnection client(listener.own().port, "", by_ipv6);
    ASSERT_TRUE(client.is_connected());
    const FileDescriptor accepted = listener.accept();
    const Address peer{kLoopback, client.port()};
    EXPECT_EQ(user_by_both(peer, listener.own()), geteuid()) << (by_ipv6 ? "::ffff:127.0.0.1" : "");
    // It still waits for its answer.
    shutdown(client.get(), SHUT_WR);
    EXPECT_EQ(user_by_both(peer, listener.own()), geteuid());
    client.close();
    EXPECT_EQ(user_by_both(peer, listener.own()), std::nullopt) << "a closed socket is root's";
  }
}

TEST(Peer, AListenerOnThePeersPortIsNotThePeer) {
  const PeerListener listener;
  std::optional<PeerListener> on_its_port;
  // Another program's connection may come from the same port, to another one; then there is a next.
  for (int i = 0; i < 100 && !on_its_port; ++i) {
    RawConnection client(listener.own().port);
    const FileDescriptor accepted = listener.accept();
    const Address peer{kLoopback, client.port()};
    // A reset leaves nothing of it, not even TIME_WAIT.
    const linger at_once{1, 0};
    setsockopt(client.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    client.close();
    try {
      on_its_port.emplace(peer.port);
    } catch (const Error&) {
      continue;
    }
    EXPECT_EQ(user_by_both(peer, listener.own()), std::nullopt);
  }
  EXPECT_TRUE(on_its_port);
}

TEST(Peer, AnotherUsersConnectionIsTheirs) {
  REQUIRE_OR_SKIP(geteuid() == 0, "only root may become another user");
  const PeerListener listener;
  int ports[2], stay[2];
  ASSERT_EQ(pipe(ports), 0);
  ASSERT_EQ(pipe(stay), 0);
  const pid_t child = fork();
  if (child == 0) {
    close(stay[1]);
    const int code = as_nobody([&] {
      const RawConnection client(listener.own().port);
      const std::uint16_t port = client.port();
      if (write(ports[1], &port, sizeof(port)) != sizeof(port)) return 1;
      char byte;
      return read(stay[0], &byte, 1) == 0 ? 0 : 2;
    });
    _exit(code);
  }
  std::uint16_t port = 0;
  ASSERT_EQ(read(ports[0], &port, sizeof(port)), static_cast<ssize_t>(sizeof(port)));
  const FileDescriptor accepted = listener.accept();
  EXPECT_EQ(user_by_both({kLoopback, port}, listener.own()), kNobody);
  for (const int fd : {ports[0], ports[1], stay[0], stay[1]}) close(fd);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
}

TEST(Peer, TablesAreReadAsTheKernelWritesThem) {
  const std::string head =
      "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout "
      "inode\n";
  const std::string tcp =
      head +
      "   0: 0100007F:2329 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 "
      "92507 1 0000000070648fc8 100 0 0 10 0\n"
      "   1: 0100007F:9C40 0100007F:2329 01 00000000:00000000 00:00000000 00000000 65534        0 "
      "92511 1 000000001915fe55 20 4 30 10 -1\n"
      "   2: 0100007F:9C41 0100007F:2329 06 00000000:00000000 03:00000F3D 00000000     0        0 "
      "0 3 0000000000000000\n"
      "   3: 0100007F:2329 0100007F:9C42 01 00000000:00000000 00:00000000 00000000     7        0 "
      "92512 1 000000001915fe56 20 4 30 10 -1\n";
  const std::string tcp6 =
      head +
      "   0: 0000000000000000FFFF00000100007F:9C43 0000000000000000FFFF00000100007F:2329 01 "
      "00000000:00000000 00:00000000 00000000  1001        0 92513 1 000000001915fe57 20 4 30 10 "
      "-1";
  const Address own{kLoopback, 9001};
  EXPECT_EQ(user_in_table(tcp, {kLoopback, 40000}, own), 65534U);
  EXPECT_EQ(user_in_table(tcp, {kLoopback, 40001}, own), std::nullopt) << "TIME_WAIT is nobody's";
  EXPECT_EQ(user_in_table(tcp, {kLoopback, 40002}, own), std::nullopt) << "the accepted end";
  EXPECT_EQ(user_in_table(tcp6, {kLoopback, 40003}, own), 1001U);
  for (const char* text : {"", "\n", "   1: 0100007F:9C40 0100007F:2329 ", "   1: 0100007F:9C40"})
    EXPECT_EQ(user_in_table(text, {kLoopback, 40000}, own), std::nullopt) << text;
}

}  // namespace
}  // namespace lambdaml::faas::sandbox
