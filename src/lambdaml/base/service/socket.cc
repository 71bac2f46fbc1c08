#include "lambdaml/base/service/socket.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/wait.h"

namespace lambdaml {
namespace {

constexpr double kConnect_s = 5;
/// A call that has to wait first blocks in the kernel for this long, which costs nothing extra, and
/// only then uses poll(), which notices interrupts and deadlines.
constexpr double kFirstWait_s = 0.1;
constexpr timeval kFirstWait{.tv_sec = 0, .tv_usec = static_cast<suseconds_t>(kFirstWait_s * 1e6)};

/// A server that sends a value in parts (a record of TLS has 16 KB) wakes the reader for each,
/// which costs both more than the copy. So the reader sleeps until there are so many bytes.
constexpr std::size_t kMostLowWater = 256 << 10, kLeastLowWater = 32 << 10;
/// What libssl may have of a record that is not complete, and more.
constexpr std::size_t kPartOfRecord = 17 << 10;

std::string message_of(int error) { return std::generic_category().message(error); }

/// Resolves a host in a separate thread because getaddrinfo() takes no deadline.
class Lookup {
 public:
  static std::vector<sockaddr_storage> run(const std::string& host, std::uint16_t port,
                                           Deadline deadline) {
    const auto lookup = std::make_shared<Lookup>();
    if (lookup->look_up(host, port, AI_NUMERICHOST)) return std::move(lookup->found_);
    std::thread([lookup, host, port] {
      lookup->look_up(host, port, 0);
      {
        const std::lock_guard lock(lookup->mutex_);
        lookup->done_ = true;
      }
      lookup->changed_.notify_all();
    }).detach();
    std::unique_lock lock(lookup->mutex_);
    if (!wait_until(lookup->changed_, lock, deadline, [&] { return lookup->done_; }))
      fail(Code::unavailable, "cannot connect: looking up the host '{}' takes too long", host);
    if (!lookup->why_.empty())
      fail(Code::unavailable, "cannot connect: cannot resolve the host '{}': {}", host,
           lookup->why_);
    return std::move(lookup->found_);
  }

 private:
  bool look_up(const std::string& host, std::uint16_t port, int flags) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = flags | AI_NUMERICSERV;
    addrinfo* list = nullptr;
    const int error = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &list);
    if (error != 0) {
      why_ = error == EAI_SYSTEM ? message_of(errno) : ::gai_strerror(error);
      return false;
    }
    why_.clear();
    for (const addrinfo* at = list; at != nullptr; at = at->ai_next) {
      sockaddr_storage address{};
      std::memcpy(&address, at->ai_addr, std::min<std::size_t>(at->ai_addrlen, sizeof address));
      found_.push_back(address);
    }
    ::freeaddrinfo(list);
    return !found_.empty();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  bool done_ = false;
  std::string why_;
  std::vector<sockaddr_storage> found_;
};

/// A connected, blocking socket, or nullopt and the reason in `why`.
FileDescriptor connected(const sockaddr_storage& address, Deadline deadline, std::string& why) {
  FileDescriptor fd(::socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) fail_errno(errno, "making a socket");
  const socklen_t size = address.ss_family == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
  int error = 0;
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0) error = errno;
  if (error == EINPROGRESS) {
    error = ETIMEDOUT;
    if (wait_until_ready(fd.get(), POLLOUT, deadline)) {
      socklen_t length = sizeof error;
      ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &length);
    }
  }
  if (error != 0) {
    why = message_of(error);
    return {};
  }
  const int flags = ::fcntl(fd.get(), F_GETFL);
  ::fcntl(fd.get(), F_SETFL, flags & ~O_NONBLOCK);
  const int on = 1;
  ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  ::setsockopt(fd.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &kFirstWait, sizeof kFirstWait);
  ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &kFirstWait, sizeof kFirstWait);
  return fd;
}

}  // namespace

Socket::Socket(const std::string& host, std::uint16_t port, std::shared_ptr<Patience> patience,
               std::optional<TlsOptions> tls)
    : patience_(std::move(patience)), try_(*patience_) {
  try {
    connect(host, port);
    if (tls) encrypt(host, std::move(*tls));
  } catch (const Error& error) {
    if (error.code() == Code::unavailable) patience_->failed(try_.silent_since());
    throw;
  }
}

void Socket::connect(const std::string& host, std::uint16_t port) {
  const std::vector<sockaddr_storage> addresses = Lookup::run(host, port, try_.deadline());
  std::string why;
  for (const sockaddr_storage& address : addresses) {
    fd_ = connected(address, Deadline::in(kConnect_s).earlier(try_.deadline()), why);
    if (fd_) return;
  }
  fail(Code::unavailable, "cannot connect: {}", why);
}

void Socket::encrypt(const std::string& host, TlsOptions options) {
  if (options.name.empty()) options.name = host;
  tls_ = std::make_unique<TlsSession>(
      TlsSession::Line{
          .receive = [this](std::span<char> to, bool may_wait) -> std::optional<std::size_t> {
            if (!may_wait) {
              const ssize_t n = ::recv(fd_.get(), to.data(), to.size(), MSG_DONTWAIT);
              if (n >= 0) return static_cast<std::size_t>(n);
              if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return {};
              fail_lost(message_of(errno));
            }
            iovec piece{to.data(), to.size()};
            return receive_bare({&piece, 1});
          },
          .send =
              [this](std::string_view bytes) {
                iovec piece{const_cast<char*>(bytes.data()), bytes.size()};
                send_bare({&piece, 1});
              }},
      options);
}

void Socket::begin(double wait_s) {
  try_ = Patience::Try(*patience_);
  if (wait_s > 0) try_.asks_to_wait(wait_s);
  moved_ = false;
}

void Socket::fail_lost(const std::string& why) {
  patience_->failed(try_.silent_since());
  fail(Code::unavailable, "{}", why);
}

void Socket::wait(short events) {
  if (wait_until_ready(fd_.get(), events, try_.deadline())) return;
  throw_if_interrupted();  // which ends the time too, perhaps just now
  fail_lost(try_.why_late());
}

void Socket::check_pace() {
  if (!std::exchange(moved_, true)) return;
  if (!try_.deadline().passed()) return;
  throw_if_interrupted();
  fail_lost(try_.why_late());
}

void Socket::send(std::string_view bytes) {
  iovec piece{const_cast<char*>(bytes.data()), bytes.size()};
  send({&piece, 1});
}

void Socket::send(std::span<iovec> pieces) {
  if (!tls_) return send_bare(pieces);
  try {
    tls_->send(pieces);
  } catch (const Error& error) {
    if (error.code() == Code::unavailable) fail_lost(error.what());
    throw;
  }
}

void Socket::send_bare(std::span<iovec> pieces) {
  constexpr std::size_t kMostPieces = 1024;  // IOV_MAX
  while (!pieces.empty()) {
    if (pieces.front().iov_len == 0) {
      pieces = pieces.subspan(1);
      continue;
    }
    msghdr message{};
    message.msg_iov = pieces.data();
    message.msg_iovlen = std::min(pieces.size(), kMostPieces);
    const ssize_t sent = ::sendmsg(fd_.get(), &message, MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK) fail_lost(message_of(errno));
      wait(POLLOUT);
      continue;
    }
    auto left = static_cast<std::size_t>(sent);
    try_.sent(left);
    while (!pieces.empty() && left >= pieces.front().iov_len) {
      left -= pieces.front().iov_len;
      pieces = pieces.subspan(1);
    }
    if (pieces.empty()) return;
    pieces.front().iov_base = static_cast<char*>(pieces.front().iov_base) + left;
    pieces.front().iov_len -= left;
    check_pace();
  }
}

std::size_t Socket::receive(char* to, std::size_t bytes) {
  iovec piece{to, bytes};
  return receive({&piece, 1});
}

std::size_t Socket::receive(std::span<iovec> pieces, std::size_t coming) {
  coming_ = coming;
  if (!tls_) return receive_bare(pieces);
  coming_ = coming > kPartOfRecord ? coming - kPartOfRecord : 1;
  for (const iovec& piece : pieces) {
    if (piece.iov_len == 0) continue;
    try {
      return tls_->receive({static_cast<char*>(piece.iov_base), piece.iov_len});
    } catch (const Error& error) {
      if (error.code() == Code::unavailable) fail_lost(error.what());
      throw;
    }
  }
  return 0;
}

void Socket::wake_for(std::size_t coming) {
  const int bytes = coming < kLeastLowWater ? 1 : static_cast<int>(std::min(coming, kMostLowWater));
  if (bytes == low_water_) return;
  ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof bytes);
  low_water_ = bytes;
}

/// A read that has got some bytes is woken only when there are as many again as it waits for. So
/// where it waits for many, poll() does.
ssize_t Socket::read_some(std::span<iovec> pieces) {
  if (low_water_ == 1) return ::readv(fd_.get(), pieces.data(), static_cast<int>(pieces.size()));
  // If they come slowly, waking costs nothing. For this call: the next one sets the mark again.
  if (!wait_until_ready(fd_.get(), POLLIN, Deadline::in(kFirstWait_s))) wake_for(1);
  msghdr message{};
  message.msg_iov = pieces.data();
  message.msg_iovlen = pieces.size();
  return ::recvmsg(fd_.get(), &message, MSG_DONTWAIT);
}

std::size_t Socket::receive_bare(std::span<iovec> pieces) {
  wake_for(coming_);
  while (true) {
    const ssize_t n = read_some(pieces);
    if (n > 0) {
      try_.received(static_cast<std::uint64_t>(n));
      check_pace();
      return static_cast<std::size_t>(n);
    }
    if (n == 0) return 0;
    if (errno == EINTR) {
      throw_if_interrupted();
      continue;
    }
    if (errno != EAGAIN && errno != EWOULDBLOCK) fail_lost(message_of(errno));
    wake_for(1);
    wait(POLLIN);
  }
}

bool Socket::wait_until_readable(Deadline deadline) {
  wake_for(1);
  if (!tls_) return wait_until_ready(fd_.get(), POLLIN, deadline);
  while (!tls_->is_readable())
    if (deadline.passed() || !wait_until_ready(fd_.get(), POLLIN, deadline)) return false;
  return true;
}

bool Socket::has_unread() const {
  if (tls_) return tls_->is_readable();
  char byte = 0;
  return ::recv(fd_.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0;
}

void SocketInput::receive() {
  if (begin_ > 0) {
    std::memmove(bytes_.data(), bytes_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (end_ == bytes_.size()) socket_.fail_lost("the answer has an endless line");
  const std::size_t n = socket_.receive(bytes_.data() + end_, bytes_.size() - end_);
  if (n == 0) socket_.fail_closed();
  end_ += n;
}

std::string_view SocketInput::line() {
  while (true) {
    const std::string_view have(bytes_.data() + begin_, end_ - begin_);
    if (const std::size_t end = have.find("\r\n"); end != std::string_view::npos) {
      begin_ += end + 2;
      return have.substr(0, end);
    }
    receive();
  }
}

void SocketInput::read(std::span<std::byte> place) {
  std::size_t done = std::min(place.size(), end_ - begin_);
  if (done > 0) std::memcpy(place.data(), bytes_.data() + begin_, done);
  begin_ += done;
  while (done < place.size()) {
    begin_ = end_ = 0;
    std::array<iovec, 2> to{
        {{place.data() + done, place.size() - done}, {bytes_.data(), bytes_.size()}}};
    const std::size_t n = socket_.receive(to, place.size() - done);
    if (n == 0) socket_.fail_closed();
    const std::size_t mine = std::min(n, place.size() - done);
    done += mine;
    end_ = n - mine;
  }
}

std::string_view SocketInput::some() {
  if (begin_ == end_) receive();
  const std::string_view all(bytes_.data() + begin_, end_ - begin_);
  begin_ = end_ = 0;
  return all;
}

}  // namespace lambdaml
