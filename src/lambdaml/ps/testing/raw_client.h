#pragma once

#include <array>
#include <bit>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <arpa/inet.h>
#include <endian.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lambdaml/base/deadline.h"
#include "lambdaml/base/error.h"

/// A foreign client for tests: writes Thrift's binary protocol by hand over a plain socket, so that
/// it can send what generated code would not.
namespace lambdaml::ps {

/// Bytes of Thrift's binary protocol; unchecked.
class Wire {
 public:
  enum Type : char {
    kBool = 2,
    kDouble = 4,
    kI32 = 8,
    kI64 = 10,
    kString = 11,
    kStruct = 12,
    kMap = 13,
    kList = 15
  };

  static Wire call(std::string_view name) { return Wire().i32(0x80010001).text(name).i32(0); }

  Wire& raw(std::string_view bytes) {
    bytes_ += bytes;
    return *this;
  }
  Wire& byte(int value) { return raw(std::string(1, static_cast<char>(value))); }
  Wire& i32(std::int64_t value) { return big_endian(htobe32(static_cast<std::uint32_t>(value))); }
  Wire& i64(std::int64_t value) { return big_endian(htobe64(static_cast<std::uint64_t>(value))); }
  Wire& real(double value) { return big_endian(htobe64(std::bit_cast<std::uint64_t>(value))); }
  /// A string or binary with its length.
  Wire& text(std::string_view bytes) {
    return i32(static_cast<std::int64_t>(bytes.size())).raw(bytes);
  }
  Wire& field(Type type, int id) {
    return byte(type).big_endian(htobe16(static_cast<std::uint16_t>(id)));
  }
  Wire& list(Type element, std::int64_t size) { return byte(element).i32(size); }
  Wire& stop() { return byte(0); }

  const std::string& bytes() const { return bytes_; }

 private:
  template <class Number>
  Wire& big_endian(Number number) {
    return raw({reinterpret_cast<const char*>(&number), sizeof number});
  }
  std::string bytes_;
};

/// Little-endian numbers, as vectors travel.
template <class Number>
std::string packed(const std::vector<Number>& numbers) {
  return {reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(Number)};
}

class RawClient {
 public:
  explicit RawClient(std::uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
    address.sin_port = ::htons(port);
    if (::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
      fail(Code::internal, "no connection: {}", std::strerror(errno));
  }
  RawClient(RawClient&& other) noexcept : socket_(std::exchange(other.socket_, -1)) {}
  ~RawClient() {
    if (socket_ >= 0) ::close(socket_);
  }

  /// False if the peer has disconnected, or has not accepted everything in time.
  bool say(std::string_view bytes, double seconds = 20) const {
    const Deadline deadline = Deadline::in(seconds);
    while (!bytes.empty()) {
      if (!is_ready(POLLOUT, deadline)) return false;
      const ssize_t n = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n < 0 && errno != EAGAIN) return false;
      if (n > 0) bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }
  bool say(const Wire& wire) const { return say(wire.bytes()); }

  /// Up to `size` bytes: fewer if the peer has disconnected or the time is over.
  std::string hear(std::size_t size, double seconds = 20) const {
    const Deadline deadline = Deadline::in(seconds);
    std::string out;
    std::array<char, 1 << 16> buffer;
    while (out.size() < size && is_ready(POLLIN, deadline)) {
      const ssize_t n =
          ::recv(socket_, buffer.data(), std::min(size - out.size(), buffer.size()), 0);
      if (n <= 0) break;
      out.append(buffer.data(), static_cast<std::size_t>(n));
    }
    return out;
  }

  /// Whether the peer disconnects in time; drops what it sends before.
  bool is_cut(double seconds = 20) const {
    const Deadline deadline = Deadline::in(seconds);
    std::array<char, 1 << 16> buffer;
    while (is_ready(POLLIN, deadline))
      if (::recv(socket_, buffer.data(), buffer.size(), 0) <= 0) return true;
    return false;
  }

  struct Outcome {
    enum class Kind { cut, answered, refused, unknown_method } kind = Kind::cut;
    std::string code = {}, why = {};
  };
  /// The server's answer to a call; if it is not a refusal, only its beginning is read.
  Outcome outcome(double seconds = 20) const {
    const auto number = [&](std::size_t bytes) -> std::optional<std::int64_t> {
      const std::string text = hear(bytes, seconds);
      if (text.size() < bytes) return {};
      std::int64_t value = 0;
      for (const char c : text) value = value << 8 | static_cast<unsigned char>(c);
      return value;
    };
    const auto text = [&] {
      const auto size = static_cast<std::size_t>(number(4).value_or(0));
      return hear(size, seconds);
    };
    const auto version = number(4);
    if (!version) return {};
    text();
    number(4);
    if ((*version & 0xff) == 3) return {Outcome::Kind::unknown_method};
    if (number(1).value_or(0) == 0) return {Outcome::Kind::answered};
    if (number(2).value_or(-1) != 1) return {Outcome::Kind::answered};
    Outcome refused{Outcome::Kind::refused};
    while (const std::int64_t type = number(1).value_or(0)) {
      const std::int64_t id = number(2).value_or(0);
      if (type == Wire::kI32)
        number(4);
      else
        (id == 3 ? refused.code : refused.why) = text();
    }
    number(1);  // the end of the message: a refusal is read whole
    return refused;
  }

 private:
  bool is_ready(short events, Deadline deadline) const {
    pollfd one{socket_, events, 0};
    const int patience_ms = static_cast<int>(deadline.seconds_left() * 1e3) + 1;
    return ::poll(&one, 1, patience_ms) > 0;
  }

  int socket_;
};

}  // namespace lambdaml::ps
