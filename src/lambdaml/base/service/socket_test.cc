#include "lambdaml/base/service/socket.h"

#include <atomic>
#include <csignal>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lambdaml/base/deadline.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/testing/listener.h"
#include "lambdaml/base/wait.h"

namespace lambdaml {
namespace {

using testing::HasSubstr;

/// Listens on a free port of 127.0.0.1.
class Listener {
 public:
  Listener() : Listener(listen_on_loopback(16)) {}
  std::uint16_t port() const { return port_; }
  FileDescriptor accept() const { return FileDescriptor(::accept(fd_.get(), nullptr, nullptr)); }

 private:
  explicit Listener(std::pair<int, int> made)
      : fd_(made.first), port_(static_cast<std::uint16_t>(made.second)) {}

  FileDescriptor fd_;
  std::uint16_t port_;
};

std::shared_ptr<Patience> patience_of(double seconds) {
  return std::make_shared<Patience>(
      PatiencePolicy{.outage_s = seconds, .first_contact_s = seconds});
}

/// The code and the words of what a call throws.
template <class Call>
std::pair<Code, std::string> thrown_by(Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    return {error.code(), error.what()};
  }
  return {Code::internal, "nothing was thrown"};
}

TEST(Sockets, CarryLinesAndBytesBothWays) {
  const Listener listener;
  Socket socket("127.0.0.1", listener.port(), patience_of(30));
  const FileDescriptor peer = listener.accept();
  socket.begin();
  const std::string text(300'000, 'x');
  std::thread reads([&] {
    std::string got(text.size() + 4, '\0');
    for (std::size_t n = 0; n < got.size();) {
      const ssize_t more = ::read(peer.get(), got.data() + n, got.size() - n);
      ASSERT_GT(more, 0);
      n += static_cast<std::size_t>(more);
    }
    EXPECT_EQ(got, "abc" + text + "!");
    const std::string answer = "first\r\nsecond\r\n" + text + "\r\nrest";
    for (std::size_t n = 0; n < answer.size();)
      n += static_cast<std::size_t>(
          ::write(peer.get(), answer.data() + n, std::min<std::size_t>(answer.size() - n, 5'000)));
  });
  std::string a = "abc", b = text, c = "!";
  std::vector<iovec> pieces = {
      {a.data(), a.size()}, {nullptr, 0}, {b.data(), b.size()}, {c.data(), c.size()}};
  socket.send(pieces);
  SocketInput input(socket);
  EXPECT_EQ(input.line(), "first");
  EXPECT_EQ(input.line(), "second");
  std::string got(text.size(), '\0');
  input.read(std::as_writable_bytes(std::span(got)));
  EXPECT_EQ(got, text);
  EXPECT_EQ(input.line(), "");
  std::string rest;
  while (rest.size() < 4) rest += input.some();
  EXPECT_EQ(rest, "rest");
  reads.join();
}

/// Waits until so many bytes, or more, have arrived and were not received.
void wait_for_unread(std::size_t bytes, const Socket& socket) {
  int arrived = 0;
  for (const Deadline deadline = Deadline::in(60); !deadline.passed(); pause_for(0.001)) {
    ASSERT_EQ(::ioctl(socket.descriptor(), FIONREAD, &arrived), 0);
    if (arrived >= static_cast<int>(bytes)) return;
  }
  FAIL() << arrived << " of " << bytes << " bytes arrived";
}

/// Sends so many bytes, and waits until all of them have arrived.
void send_and_wait(const FileDescriptor& peer, std::size_t bytes, const Socket& socket) {
  ASSERT_TRUE(send_all(peer.get(), std::string(bytes, 'x')));
  wait_for_unread(bytes, socket);
}

/// How many bytes wake a read of the socket.
int low_water(const Socket& socket) {
  int bytes = 0;
  socklen_t size = sizeof bytes;
  EXPECT_EQ(::getsockopt(socket.descriptor(), SOL_SOCKET, SO_RCVLOWAT, &bytes, &size), 0);
  return bytes;
}

TEST(Sockets, AreWokenForAsManyBytesOfAValueAsAreStillToCome) {
  const Listener listener;
  Socket socket("127.0.0.1", listener.port(), patience_of(30));
  const FileDescriptor peer = listener.accept();
  SocketInput input(socket);
  std::vector<std::byte> value(40'000);
  socket.begin();
  send_and_wait(peer, value.size(), socket);
  // A read that waited for more than will come would give up, and be woken by each byte.
  input.read(value);
  EXPECT_EQ(low_water(socket), 40'000);

  send_and_wait(peer, 50'000, socket);
  const std::size_t buffered = input.some().size();
  EXPECT_EQ(low_water(socket), 1) << "it is not known how many come";
  ASSERT_LT(buffered, 17'000U);
  value.resize(50'000 - buffered);
  input.read(value);
  EXPECT_EQ(low_water(socket), static_cast<int>(value.size()));

  send_and_wait(peer, 20'000, socket);
  value.resize(20'000);
  input.read(value);
  EXPECT_EQ(low_water(socket), 1) << "so few are not worth waiting for";
}

TEST(Sockets, ReceiveThePartOfAValueThatHasCome) {
  const Listener listener;
  Socket socket("127.0.0.1", listener.port(), patience_of(30));
  const FileDescriptor peer = listener.accept();
  std::string value(1'000'000, '\0');
  iovec place{value.data(), value.size()};
  for (int part = 0; part < 3; ++part) {
    socket.begin();
    send_and_wait(peer, 5000, socket);
    EXPECT_EQ(socket.receive({&place, 1}, value.size()), 5000U);
  }
}

TEST(Sockets, AreWokenForNoMoreBytesOfALargeValueThanTheirBufferHolds) {
  constexpr std::size_t kMost = 256 << 10;
  const Listener listener;
  Socket socket("127.0.0.1", listener.port(), patience_of(30));
  const FileDescriptor peer = listener.accept();
  std::string sent(3 * kMost + 1000, '\0');
  for (std::size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<char>(i * 7 + i / 256);
  std::string value(sent.size(), '\0');
  iovec place{value.data(), value.size()};
  socket.begin();
  // The first read of the value makes the buffer as large as it is to be.
  const std::size_t first = 1000;
  ASSERT_TRUE(send_all(peer.get(), std::string_view(sent).substr(0, first)));
  ASSERT_EQ(socket.receive({&place, 1}, value.size()), first);
  std::thread sends(
      [&] { EXPECT_TRUE(send_all(peer.get(), std::string_view(sent).substr(first))); });
  wait_for_unread(kMost, socket);
  place = {value.data() + first, value.size() - first};
  const std::size_t more = socket.receive({&place, 1}, value.size() - first);
  EXPECT_GE(more, kMost);
  EXPECT_EQ(low_water(socket), static_cast<int>(kMost));
  SocketInput(socket).read(std::as_writable_bytes(std::span(value).subspan(first + more)));
  sends.join();
  EXPECT_TRUE(value == sent);
}

TEST(Sockets, AreWokenByEachByteWhereAnythingIsWaitedFor) {
  const Listener listener;
  Socket socket("127.0.0.1", listener.port(), patience_of(30));
  const FileDescriptor peer = listener.accept();
  std::string value(40'000, '\0');
  iovec place{value.data(), value.size()};
  socket.begin();
  send_and_wait(peer, value.size(), socket);
  EXPECT_EQ(socket.receive({&place, 1}, value.size()), value.size());
  EXPECT_EQ(low_water(socket), 40'000);
  send_and_wait(peer, 1, socket);
  EXPECT_TRUE(socket.wait_until_readable(Deadline::in(60)));
  EXPECT_EQ(low_water(socket), 1);
}

TEST(Sockets, SayWhyThereIsNoConnection) {
  std::uint16_t port = 0;
  {
    const Listener listener;
    port = listener.port();
  }
  const auto patience = patience_of(5);
  const auto [code, why] = thrown_by([&] { Socket("127.0.0.1", port, patience); });
  EXPECT_EQ(code, Code::unavailable);
  EXPECT_EQ(why, "cannot connect: Connection refused");
  EXPECT_FALSE(patience->end_of_outage().is_never()) << "the patience was not told";
  const auto unknown = thrown_by([&] { Socket("no-such-host.invalid", 1, patience_of(30)); });
  EXPECT_EQ(unknown.first, Code::unavailable);
  EXPECT_THAT(unknown.second, HasSubstr("cannot resolve the host 'no-such-host.invalid'"));
}

TEST(Sockets, AreNotWaitedForLongerThanThePatienceLasts) {
  const Listener listener;
  const auto patience = patience_of(0.4);
  Socket silent("127.0.0.1", listener.port(), patience);
  const FileDescriptor peer = listener.accept();
  const Stopwatch clock;
  silent.begin();
  silent.send("question");
  char byte = 0;
  const auto [code, why] = thrown_by([&] { silent.receive(&byte, 1); });
  EXPECT_EQ(code, Code::unavailable);
  EXPECT_THAT(why, HasSubstr("no answer for"));
  EXPECT_GE(clock.seconds(), 0.35);
  EXPECT_LT(clock.seconds(), 5);
  EXPECT_FALSE(patience->end_of_outage().is_never());
}

TEST(Sockets, EndWithDripsToo) {
  const Listener listener;
  // 400 bytes in the time.
  Socket dripping("127.0.0.1", listener.port(), patience_of(0.4));
  const FileDescriptor peer = listener.accept();
  std::atomic<bool> over{false};
  std::thread drips([&] {
    while (!over && ::send(peer.get(), "x", 1, MSG_NOSIGNAL) == 1) pause_for(0.02);
  });
  const Stopwatch clock;
  dripping.begin();
  const auto [code, why] = thrown_by([&] {
    char byte = 0;
    while (true) dripping.receive(&byte, 1);
  });
  over = true;
  drips.join();
  EXPECT_EQ(code, Code::unavailable);
  EXPECT_THAT(why, HasSubstr("too slow"));
  EXPECT_GE(clock.seconds(), 0.35);
  EXPECT_LT(clock.seconds(), 5);
}

TEST(Sockets, EndWhenTheirPeerClosesOrGarbles) {
  const Listener listener;
  Socket socket("127.0.0.1", listener.port(), patience_of(30));
  FileDescriptor peer = listener.accept();
  SocketInput input(socket);
  socket.begin();
  ASSERT_EQ(::write(peer.get(), "half a li", 9), 9);
  peer.reset();
  EXPECT_EQ(thrown_by([&] { input.line(); }),
            std::pair(Code::unavailable, std::string("the server closed the connection")));

  Socket endless("127.0.0.1", listener.port(), patience_of(30));
  peer = listener.accept();
  SocketInput lines(endless);
  endless.begin();
  std::thread writes([&] {
    const std::string much(100'000, 'x');
    (void)!::send(peer.get(), much.data(), much.size(), MSG_NOSIGNAL);
  });
  const auto [code, why] = thrown_by([&] { lines.line(); });
  EXPECT_EQ(code, Code::unavailable);
  EXPECT_THAT(why, HasSubstr("endless line"));
  endless.close();
  writes.join();
}

TEST(Sockets, EndAtAnInterrupt) {
  const Listener listener;
  Socket socket("127.0.0.1", listener.port(), patience_of(30));
  const FileDescriptor peer = listener.accept();
  for (const bool sends : {false, true}) {
    catch_interrupts();
    std::thread user([] {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      ::kill(::getpid(), SIGINT);
    });
    const Stopwatch clock;
    socket.begin();
    const std::string much(64 << 20, 'x');
    char byte = 0;
    const Code code = thrown_by([&] {
                        if (sends)
                          socket.send(much);
                        else
                          socket.receive(&byte, 1);
                      }).first;
    user.join();
    EXPECT_EQ(code, Code::cancelled);
    EXPECT_LT(clock.seconds(), 1);
  }
  catch_interrupts();
}

}  // namespace
}  // namespace lambdaml
