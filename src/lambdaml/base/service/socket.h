#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <sys/uio.h>

#include "lambdaml/base/files.h"
#include "lambdaml/base/service/patience.h"
#include "lambdaml/base/service/tls.h"

namespace lambdaml {

/// A client's TCP connection to a service, encrypted if asked for, governed by a Patience: no wait
/// lasts longer than the try that it belongs to (see patience.h), and an interrupt ends each wait.
/// Used by one thread at a time; not movable.
///
/// Errors: unavailable (not reachable, closed, silent or slow for too long), which is also reported
/// to the patience, and cancelled (interrupted); when connecting also what TlsSession throws.
/// Messages state only the cause, because the caller knows the endpoint. After an error the
/// connection must not be used.
class Socket {
 public:
  /// Connects: tries the host's addresses in turn, each for at most 5 s.
  Socket(const std::string& host, std::uint16_t port, std::shared_ptr<Patience> patience,
         std::optional<TlsOptions> tls = {});
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  /// From now until the next begin(), what is sent and received belongs to one try: a request and
  /// its answer, for which the server was asked to wait at most `wait_s`. Costs no system call.
  void begin(double wait_s = 0);

  /// Sends everything. Modifies the pieces.
  void send(std::span<iovec> pieces);
  void send(std::string_view bytes);
  /// Receives what is available, at least one byte, filling the pieces in order; returns 0 if the
  /// server has closed the connection. `coming`: bytes that the server will have sent whether or
  /// not this receives some of them, so that it need not be woken for every few.
  /// How many bytes wake a poll stays so until the next receive() or wait_until_readable().
  std::size_t receive(std::span<iovec> pieces, std::size_t coming = 1);
  std::size_t receive(char* to, std::size_t bytes);
  /// Waits until there is something to receive, where silence is no fault, so the patience is not
  /// involved. Returns false at the deadline.
  bool wait_until_readable(Deadline deadline);

  /// Whether bytes have arrived that were not received, or the end of the connection. One system
  /// call, or a few with TLS; does not wait.
  bool has_unread() const;

  /// Reports to the patience that there is no whole answer, and throws unavailable. For callers
  /// that parse answers and find one truncated or senseless (the connection does not lead to the
  /// service, or is out of step).
  [[noreturn]] void fail_lost(const std::string& why);
  [[noreturn]] void fail_closed() { fail_lost("the server closed the connection"); }

  /// For waits for several sockets at once: call wait_until_readable() first, which resets how many
  /// bytes wake a poll. After receive() with `coming`, a poll may be silent though bytes are there.
  int descriptor() const { return fd_.get(); }
  bool is_open() const { return static_cast<bool>(fd_); }
  bool is_encrypted() const { return tls_ != nullptr; }
  void close() { fd_.reset(); }
  Patience& patience() const { return *patience_; }

 private:
  void connect(const std::string& host, std::uint16_t port);
  void encrypt(const std::string& host, TlsOptions options);
  /// send() and receive() of the bytes that pass through the kernel.
  void send_bare(std::span<iovec> pieces);
  std::size_t receive_bare(std::span<iovec> pieces);
  /// From now on reads, and polls of the descriptor, wait for many bytes of those that are coming,
  /// or for one.
  void wake_for(std::size_t coming);
  ssize_t read_some(std::span<iovec> pieces);
  /// Waits for the descriptor within the try.
  void wait(short events);
  /// Throws if the try is over although bytes still trickle in.
  void check_pace();

  std::shared_ptr<Patience> patience_;
  Patience::Try try_;
  bool moved_ = false;      ///< something was received or sent in this try
  std::size_t coming_ = 1;  ///< of receive(), as bytes that pass through the kernel
  int low_water_ = 1;       ///< SO_RCVLOWAT
  FileDescriptor fd_;
  std::unique_ptr<TlsSession> tls_;
};

/// Reads a socket by lines and by bytes; buffers what it has received. Used by one thread.
class SocketInput {
 public:
  explicit SocketInput(Socket& socket) : socket_(socket), bytes_(kBytes) {}

  /// The next line without its "\r\n"; valid until the next call. A line of more than 16 KB is an
  /// error.
  std::string_view line();
  /// Fills `place`; bytes beyond the buffer are received directly into it.
  void read(std::span<std::byte> place);
  /// What is available, at least one byte; valid until the next call.
  std::string_view some();
  /// Whether all that was received was given.
  bool is_empty() const { return begin_ == end_; }

 private:
  static constexpr std::size_t kBytes = 16 << 10;

  /// Receives more bytes behind the buffered ones.
  void receive();

  Socket& socket_;
  std::vector<char> bytes_;
  std::size_t begin_ = 0, end_ = 0;  ///< of the unread bytes
};

}  // namespace lambdaml
