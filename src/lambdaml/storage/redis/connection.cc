#include "lambdaml/storage/redis/connection.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <string>
#include <system_error>

#include <hiredis/hiredis.h>
#include <poll.h>
#include <sys/socket.h>

#include "lambdaml/base/text.h"

namespace lambdaml::storage::redis {
namespace {

constexpr timeval kConnectTimeout{.tv_sec = 5, .tv_usec = 0};
/// Without a byte sent or received for so long, the server is taken for gone.
constexpr timeval kIoTimeout{.tv_sec = 10, .tv_usec = 0};
/// Redis has no longer values (proto-max-bulk-len).
constexpr std::int64_t kLongestValue = 512LL << 20;
constexpr std::size_t kInputBytes = 16 << 10;
constexpr std::size_t kMostPieces = 1024;  ///< IOV_MAX

[[noreturn]] void fail_io(int error) {
  if (error == EAGAIN || error == EWOULDBLOCK)
    fail(Code::unavailable, "no answer for {} s", kIoTimeout.tv_sec);
  fail(Code::unavailable, "{}", std::generic_category().message(error));
}

[[noreturn]] void fail_closed() { fail(Code::unavailable, "the server closed the connection"); }

[[noreturn]] void fail_reply(std::string_view error) {
  fail(code_of_reply(error), "the server answers '{}'", printable(error));
}

[[noreturn]] void fail_protocol() { fail(Code::internal, "the server's answer is no Redis reply"); }

struct FreeReply {
  void operator()(redisReply* reply) const { freeReplyObject(reply); }
};
using RawReply = std::unique_ptr<redisReply, FreeReply>;

bool is_error(const redisReply& raw) { return raw.type == REDIS_REPLY_ERROR; }
std::string_view text_of(const redisReply& raw) { return {raw.str, raw.len}; }

Reply converted(const redisReply& raw) {
  Reply reply;
  switch (raw.type) {
    case REDIS_REPLY_STATUS:
    case REDIS_REPLY_STRING:
      reply.kind = Reply::Kind::text;
      reply.text = text_of(raw);
      break;
    case REDIS_REPLY_INTEGER:
      reply.kind = Reply::Kind::integer;
      reply.integer = raw.integer;
      break;
    case REDIS_REPLY_ARRAY:
      reply.kind = Reply::Kind::list;
      for (std::size_t i = 0; i < raw.elements; ++i)
        reply.list.push_back(converted(*raw.element[i]));
      break;
    case REDIS_REPLY_ERROR:
      fail_reply(text_of(raw));
    case REDIS_REPLY_NIL:
      break;
    default:
      fail_protocol();
  }
  return reply;
}

}  // namespace

struct Connection::Context {
  redisContext* redis;

  explicit Context(redisContext* made) : redis(made) {}
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  ~Context() {
    if (redis != nullptr) redisFree(redis);
  }

  int fd() const { return redis->fd; }

  [[noreturn]] void fail_here() const {
    if (redis->err == REDIS_ERR_EOF) fail_closed();
    if (redis->err == REDIS_ERR_IO) fail_io(errno);
    if (redis->err == REDIS_ERR_PROTOCOL) fail_protocol();
    fail(redis->err == REDIS_ERR_OOM ? Code::resource_exhausted : Code::unavailable, "{}",
         printable(redis->errstr));
  }

  RawReply next() const {
    void* raw = nullptr;
    if (redisGetReply(redis, &raw) != REDIS_OK) fail_here();
    return RawReply(static_cast<redisReply*>(raw));
  }
};

Connection::Connection(const Address& address)
    : context_(std::make_unique<Context>(
          redisConnectWithTimeout(address.host.c_str(), address.port, kConnectTimeout))) {
  if (context_->redis == nullptr) throw std::bad_alloc();
  if (context_->redis->err != 0) {
    const std::string why = printable(context_->redis->errstr);
    fail(Code::unavailable, "cannot connect: {}", why);
  }
  if (redisSetTimeout(context_->redis, kIoTimeout) != REDIS_OK) context_->fail_here();
  redisEnableKeepAlive(context_->redis);
  log_in(address);
}

Connection::~Connection() = default;

/// The server's words may repeat what it was sent, so of these errors only the first is shown.
void Connection::log_in(const Address& address) {
  const bool with_password = !address.password.empty();
  Request request;
  if (with_password) {
    if (address.user.empty())
      request.add({"AUTH", address.password});
    else
      request.add({"AUTH", address.user, address.password});
  }
  const std::string database = std::to_string(address.database);
  request.add({"SELECT", database});
  send(request);
  if (with_password) {
    const RawReply answer = context_->next();
    if (is_error(*answer)) {
      const std::string_view word = text_of(*answer).substr(0, text_of(*answer).find(' '));
      const Code code = code_of_reply(text_of(*answer));
      fail(code == Code::internal ? Code::permission_denied : code,
           "the server refuses the user or password ({})", printable(word));
    }
  }
  const RawReply answer = context_->next();
  if (!is_error(*answer)) return;
  if (text_of(*answer).find("out of range") != std::string_view::npos)
    fail(Code::invalid_argument, "the server has no database {}", database);
  if (text_of(*answer).starts_with("NOAUTH"))
    fail(Code::permission_denied,
         "the server wants a password: in REDISCLI_AUTH, or as redis://[user]:password@host");
  fail_reply(text_of(*answer));
}

void Connection::send(const Request& request) {
  std::vector<iovec> pieces = request.pieces();
  for (std::size_t first = 0; first < pieces.size();) {
    msghdr message{};
    message.msg_iov = &pieces[first];
    message.msg_iovlen = std::min(pieces.size() - first, kMostPieces);
    const ssize_t sent = ::sendmsg(context_->fd(), &message, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) fail_io(errno);
    auto left = static_cast<std::size_t>(sent);
    while (first < pieces.size() && left >= pieces[first].iov_len) left -= pieces[first++].iov_len;
    if (left > 0) {
      pieces[first].iov_base = static_cast<char*>(pieces[first].iov_base) + left;
      pieces[first].iov_len -= left;
    }
  }
}

Reply Connection::reply() { return converted(*context_->next()); }

Reply Connection::reply_or(std::string_view tolerated) {
  const RawReply raw = context_->next();
  if (is_error(*raw) && text_of(*raw).starts_with(tolerated)) return {};
  return converted(*raw);
}

std::optional<Reply> Connection::told(Deadline deadline) {
  while (true) {
    void* raw = nullptr;
    if (redisGetReplyFromReader(context_->redis, &raw) != REDIS_OK) context_->fail_here();
    if (raw != nullptr) return converted(*RawReply(static_cast<redisReply*>(raw)));
    pollfd readable{.fd = context_->fd(), .events = POLLIN, .revents = 0};
    // Rounded up, so that the last millisecond is not spent in a loop.
    const double most_ms = std::min(std::ceil(deadline.seconds_left() * 1e3), 1e6);
    const int ready = ::poll(&readable, 1, static_cast<int>(most_ms));
    if (ready < 0 && errno != EINTR) fail_io(errno);
    if (ready > 0 && redisBufferRead(context_->redis) != REDIS_OK) context_->fail_here();
    if (ready == 0 && deadline.passed()) return {};
  }
}

void Connection::receive_values() {
  if (in_.empty()) in_.resize(kInputBytes);
  if (begin_ > 0) {
    std::memmove(in_.data(), in_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (end_ == in_.size()) fail_protocol();  // a line that long
  const ssize_t n = ::recv(context_->fd(), in_.data() + end_, in_.size() - end_, 0);
  if (n == 0) fail_closed();
  if (n < 0 && errno != EINTR) fail_io(errno);
  if (n > 0) end_ += static_cast<std::size_t>(n);
}

/// The next line of a reply without its end; valid until more is received.
std::string_view Connection::line() {
  while (true) {
    const std::string_view have(in_.data() + begin_, end_ - begin_);
    if (const std::size_t end = have.find("\r\n"); end != std::string_view::npos) {
      begin_ += end + 2;
      return have.substr(0, end);
    }
    receive_values();
  }
}

std::optional<Buffer> Connection::value() {
  const std::string_view head = line();
  if (head.starts_with('-')) fail_reply(head.substr(1));
  const auto bytes = head.starts_with('$') ? to_integer(head.substr(1)) : std::nullopt;
  if (!bytes || *bytes < -1 || *bytes > kLongestValue) fail_protocol();
  if (*bytes == -1) return {};
  Buffer out(static_cast<std::size_t>(*bytes));
  std::size_t done = std::min(out.size(), end_ - begin_);
  if (done > 0) std::memcpy(out.data(), in_.data() + begin_, done);
  begin_ += done;
  // The rest goes straight to its place, and what follows it to where the next line is read.
  while (done < out.size()) {
    begin_ = end_ = 0;
    std::array<iovec, 2> to{{{out.data() + done, out.size() - done}, {in_.data(), in_.size()}}};
    const ssize_t n = ::readv(context_->fd(), to.data(), static_cast<int>(to.size()));
    if (n == 0) fail_closed();
    if (n < 0 && errno != EINTR) fail_io(errno);
    if (n < 0) continue;
    const std::size_t mine = std::min(static_cast<std::size_t>(n), out.size() - done);
    done += mine;
    end_ = static_cast<std::size_t>(n) - mine;
  }
  while (end_ - begin_ < 2) receive_values();
  if (in_[begin_] != '\r' || in_[begin_ + 1] != '\n') fail_protocol();
  begin_ += 2;
  return out;
}

}  // namespace lambdaml::storage::redis
