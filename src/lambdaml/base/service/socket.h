#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <sys/uio.h>

#include "lambdaml/base/files.h"
#include "lambdaml/base/service/patience.h"

namespace lambdaml {

/// A client's TCP connection to a service with which there is a patience. No wait in it lasts
/// longer than the try that it belongs to (see patience.h), and an interrupt ends each. One thread
/// at a time.
///
/// Its errors say why and nothing else, for who calls knows the endpoint: unavailable (not there,
/// closed, silent or slow for too long), of which the patience is told, and cancelled
/// (interrupted). After an error the connection is of no more use.
class Socket {
 public:
  /// Connects, to one after another of the host's addresses, each for 5 s at most.
  Socket(const std::string& host, std::uint16_t port, std::shared_ptr<Patience> patience);

  /// From now until the next begin(), what is sent and received is one try: a request and its
  /// answer, for which the server was asked to wait `wait_s` at most. Costs no system call.
  void begin(double wait_s = 0);

  /// Sends all of it. The pieces are changed.
  void send(std::span<iovec> pieces);
  void send(std::string_view bytes);
  /// Receives what is there, at least one byte, into one piece after another; 0 when the server has
  /// closed the connection.
  std::size_t receive(std::span<iovec> pieces);
  std::size_t receive(char* to, std::size_t bytes);
  /// Waits until there is something to receive, for what may stay away without being missed: the
  /// patience has no part in it. False at the deadline.
  bool wait_until_readable(Deadline deadline) const;

  /// Whether bytes have come that nobody has received, or the end of the connection. One system
  /// call, which waits for nothing.
  bool has_unread() const;

  /// Throws unavailable, and tells the patience: there is no whole answer. For the callers of this
  /// socket, who know what an answer is: that it makes no sense (so the connection does not lead to
  /// the service, or has lost its place), or that it was cut.
  [[noreturn]] void fail_lost(const std::string& why);
  [[noreturn]] void fail_closed() { fail_lost("the server closed the connection"); }

  bool is_open() const { return static_cast<bool>(fd_); }
  void close() { fd_.reset(); }
  Patience& patience() const { return *patience_; }

 private:
  void connect(const std::string& host, std::uint16_t port);
  /// Waits for the descriptor within the try.
  void wait(short events);
  /// Throws when the try is over although bytes come: they drip.
  void check_pace();

  std::shared_ptr<Patience> patience_;
  Patience::Try try_;
  bool moved_ = false;  ///< something was received or sent in this try
  FileDescriptor fd_;
};

/// What comes out of a socket, by lines and by bytes. Keeps what it has received and not given yet.
class SocketInput {
 public:
  explicit SocketInput(Socket& socket) : socket_(socket), bytes_(kBytes) {}

  /// The next line without its "\r\n"; valid until the next call. One of more than 16 KB is
  /// garbled.
  std::string_view line();
  /// Fills `place`; what is longer than the buffer is received where it is to stay.
  void read(std::span<std::byte> place);
  /// What is there, at least one byte; valid until the next call.
  std::string_view some();
  /// Whether all that was received was given.
  bool is_empty() const { return begin_ == end_; }

 private:
  static constexpr std::size_t kBytes = 16 << 10;

  /// More bytes, behind those that are there.
  void receive();

  Socket& socket_;
  std::vector<char> bytes_;
  std::size_t begin_ = 0, end_ = 0;  ///< of what was not given yet
};

}  // namespace lambdaml
