#include "lambdaml/storage/redis/connection.h"

#include <array>
#include <string>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <hiredis/hiredis.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"

namespace lambdaml::storage::redis {
namespace {

/// Redis has no longer values (proto-max-bulk-len).
constexpr std::int64_t kLongestValue = 512LL << 20;
/// The limit of any other reply: a page of SCAN has some thousand keys.
constexpr std::size_t kLongestReply = 4 << 20;
constexpr int kMostElements = 1 << 20;

/// hiredis allocates as many elements as an array claims to have; this caps it at the most any
/// reply has.
redisReplyObjectFunctions* limited(const redisReplyObjectFunctions& usual) {
  static const auto create_array = usual.createArray;
  static redisReplyObjectFunctions functions = [&] {
    redisReplyObjectFunctions out = usual;
    out.createArray = [](const redisReadTask* task, int elements) -> void* {
      return elements > kMostElements ? nullptr : create_array(task, elements);
    };
    return out;
  }();
  return &functions;
}

/// Of what ROLE answers: "slave", the primary's host and port, the state of the link, …
std::optional<Endpoint> primary_in(const Reply& role) {
  if (role.list.size() < 3 || role.list[0].text != "slave" || role.list[1].text.empty()) return {};
  const std::int64_t port = role.list[2].integer;
  if (port < 1 || port > 65535) return {};
  return Endpoint{role.list[1].text, static_cast<std::uint16_t>(port)};
}

/// Empty for what is no text.
std::string_view text_of(const redisReply& raw) {
  return raw.str == nullptr ? std::string_view() : std::string_view(raw.str, raw.len);
}

bool is_ip_address(const std::string& host) {
  std::array<unsigned char, sizeof(in6_addr)> place{};
  return ::inet_pton(AF_INET, host.c_str(), place.data()) == 1 ||
         ::inet_pton(AF_INET6, host.c_str(), place.data()) == 1;
}

std::optional<TlsOptions> tls_of(const Address& address, const Endpoint& server) {
  if (!address.tls) return {};
  return TlsOptions{.ca = address.ca,
                    .name = is_ip_address(server.host) ? address.server.host : server.host,
                    .about_trust = "; ?ca=FILE says whom to trust",
                    .about_server = "; a server without TLS is redis://"};
}

/// nullopt for types that RESP 2 does not have, and for an error, which is part of no valid reply.
std::optional<Reply> converted(const redisReply& raw) {
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
      for (std::size_t i = 0; i < raw.elements; ++i) {
        std::optional<Reply> element = converted(*raw.element[i]);
        if (!element) return {};
        reply.list.push_back(std::move(*element));
      }
      break;
    case REDIS_REPLY_NIL:
      break;
    default:
      return {};
  }
  return reply;
}

}  // namespace

class Connection::RawReply {
 public:
  explicit RawReply(void* raw) : raw_(static_cast<redisReply*>(raw)) {}
  const redisReply& operator*() const { return *raw_; }
  explicit operator bool() const { return raw_ != nullptr; }
  bool is_error() const { return raw_->type == REDIS_REPLY_ERROR; }
  std::string_view text() const { return text_of(*raw_); }

 private:
  struct Free {
    void operator()(redisReply* reply) const { freeReplyObject(reply); }
  };
  std::unique_ptr<redisReply, Free> raw_;
};

class Connection::Reader {
 public:
  Reader() : redis_(redisReaderCreate()) {
    if (redis_ == nullptr) throw std::bad_alloc();
    redis_->fn = limited(*redis_->fn);
  }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;
  ~Reader() { redisReaderFree(redis_); }

  /// hiredis would buffer without limit for a reply that never completes.
  void feed(std::string_view bytes) {
    received_ += bytes.size();
    if (received_ > kLongestReply)
      fail(Code::internal, "the server's answer is longer than any that was asked for");
    if (redisReaderFeed(redis_, bytes.data(), bytes.size()) != REDIS_OK) throw std::bad_alloc();
  }
  /// The next reply of the bytes fed so far; null if it is incomplete, nullopt if they are not a
  /// reply.
  std::optional<RawReply> take() {
    void* raw = nullptr;
    const int status = redisReaderGetReply(redis_, &raw);
    RawReply reply(raw);
    if (redis_->err == REDIS_ERR_OOM)
      fail(Code::resource_exhausted, "no memory for the server's answer");
    if (status != REDIS_OK) return {};
    if (reply) received_ = 0;
    return reply;
  }
  /// Whether all that was fed has been taken.
  bool is_empty() const { return redis_->pos == redis_->len && redis_->ridx < 0; }

 private:
  redisReader* redis_;
  std::size_t received_ = 0;  ///< bytes of replies that are not yet whole
};

Connection::Connection(const Address& address, const Endpoint& server,
                       std::shared_ptr<Patience> patience)
    : socket_(server.host, server.port, std::move(patience), tls_of(address, server)),
      input_(socket_),
      reader_(std::make_unique<Reader>()) {
  log_in(address);
}

Connection::~Connection() = default;

void Connection::fail_garbled() { socket_.fail_lost("the answer is no Redis reply"); }

void Connection::fail_error(std::string_view error) {
  if (!is_error_reply(error)) fail_garbled();
  if (error.starts_with("READONLY")) throw ReadOnlyReplica();
  if (auto to = redirection_in(error)) throw Redirected(std::move(*to));
  if (error.starts_with("NOAUTH"))
    fail(Code::permission_denied,
         "the server wants a password: in REDISCLI_AUTH, or as redis://[user]:password@host");
  const bool is_down = error.starts_with("CLUSTERDOWN");
  fail(code_of_reply(error), "the server answers '{}'{}", printable(error),
       is_down ? "; redis-cli --cluster check HOST:PORT says which slots no server has" : "");
}

/// SELECT is sent for other databases than 0 only: users who may not, and clusters, have no other.
void Connection::log_in(const Address& address) {
  Request request;
  if (!address.password.empty()) {
    if (address.user.empty())
      request.add({"AUTH", address.password});
    else
      request.add({"AUTH", address.user, address.password});
  }
  const std::string database = std::to_string(address.database);
  if (address.database != 0) request.add({"SELECT", database});
  if (!request.pieces().empty()) ask(request, [&] { take_log_in(address); });
}

/// The server's text may repeat secrets that it was sent, so only the first word of these errors is
/// shown.
void Connection::take_log_in(const Address& address) {
  if (!address.password.empty()) {
    const RawReply answer = next();
    if (answer.is_error()) {
      const std::string_view word = answer.text().substr(0, answer.text().find(' '));
      const Code code = code_of_reply(answer.text());
      fail(code == Code::internal ? Code::permission_denied : code,
           "the server refuses the user or password ({})", printable(word));
    }
  }
  if (address.database == 0) return;
  const RawReply answer = next();
  if (!answer.is_error()) return;
  if (answer.text().find("out of range") != std::string_view::npos)
    fail(Code::invalid_argument, "the server has no database {}", address.database);
  if (answer.text().find("cluster mode") != std::string_view::npos)
    fail(Code::invalid_argument, "a cluster has no database {}, only 0", address.database);
  fail_error(answer.text());
}

void Connection::begin_trip(const Request& request) {
  socket_.begin();
  if (!input_.is_empty() || !reader_->is_empty())
    socket_.fail_lost("the server has sent more than it was asked for");
  asking_ = request.asking();
  const fmt::format_int number(++trip_);
  std::array<char, 64> end{};
  const auto written =
      fmt::format_to_n(end.data(), end.size(), "*2\r\n$4\r\nECHO\r\n${}\r\n{}\r\n", number.size(),
                       std::string_view(number.data(), number.size()));
  std::vector<iovec> pieces = request.pieces();
  pieces.push_back({end.data(), written.size});
  socket_.send(pieces);
}

void Connection::end_trip() {
  const RawReply end = next_raw();
  // A user who may not ECHO hears so in its place.
  if (end.is_error() && end.text().starts_with("NOPERM")) return;
  if (end.is_error()) fail_error(end.text());
  const fmt::format_int number(trip_);
  if (end.text() != std::string_view(number.data(), number.size()))
    socket_.fail_lost("the answers are those of other commands");
}

void Connection::subscribe(const Request& request) {
  std::vector<iovec> pieces = request.pieces();
  socket_.begin();
  socket_.send(pieces);
}

Connection::RawReply Connection::next() {
  if (asking_)
    if (const RawReply ok = next_raw(); ok.is_error()) fail_error(ok.text());
  return next_raw();
}

Connection::RawReply Connection::next_raw() {
  while (true) {
    std::optional<RawReply> reply = reader_->take();
    if (!reply) fail_garbled();
    if (*reply) return std::move(*reply);
    reader_->feed(input_.some());
  }
}

Reply Connection::checked(const RawReply& raw) {
  if (raw.is_error()) fail_error(raw.text());
  std::optional<Reply> reply = converted(*raw);
  if (!reply) fail_garbled();
  return std::move(*reply);
}

Reply Connection::reply() { return checked(next()); }

Reply Connection::reply_or(std::string_view tolerated) {
  const RawReply raw = next();
  if (raw.is_error() && raw.text().starts_with(tolerated)) return {};
  return checked(raw);
}

Connection::Outcome Connection::outcome() {
  const RawReply raw = next();
  if (raw.is_error() && is_refusal(raw.text())) return Outcome::refused;
  if (raw.is_error() && redirection_in(raw.text())) return Outcome::elsewhere;
  checked(raw);
  return Outcome::done;
}

bool Connection::knows(std::string_view command) {
  Request request;
  request.add({"COMMAND", "INFO", command});
  return ask(request, [&] {
    const RawReply raw = next();
    if (raw.is_error()) return false;  // the user may not ask, perhaps
    const std::optional<Reply> reply = converted(*raw);
    return reply && reply->list.size() == 1 && reply->list[0].kind == Reply::Kind::list;
  });
}

Connection::Place Connection::place() {
  Request request;
  request.add({"CLUSTER", "SLOTS"});
  request.add({"ROLE"});
  return ask(request, [&] {
    Place place;
    const RawReply slots = next();
    // "ERR This instance has cluster support disabled", or what a proxy says.
    if (!slots.is_error() || !(is_refusal(slots.text()) || slots.text().starts_with("ERR ")))
      place.slots = checked(slots);
    const RawReply role = next();
    if (!role.is_error()) place.primary = primary_in(checked(role));
    return place;
  });
}

std::optional<Reply> Connection::told(Deadline deadline) {
  while (true) {
    std::optional<RawReply> reply = reader_->take();
    if (!reply) fail_garbled();
    if (*reply) return checked(*reply);
    if (!socket_.wait_until_readable(deadline)) return {};
    socket_.begin();
    reader_->feed(input_.some());
  }
}

std::optional<Reply> Connection::told_already() {
  if (socket_.is_encrypted()) return told(Deadline::in(0));  // a descriptor tells nothing of these
  std::optional<RawReply> reply = reader_->take();
  if (!reply) fail_garbled();
  return *reply ? std::optional(checked(*reply)) : std::nullopt;
}

std::optional<Buffer> Connection::value() {
  if (asking_)
    if (const std::string_view ok = input_.line(); ok.starts_with('-')) fail_error(ok.substr(1));
  const std::string_view head = input_.line();
  if (head.starts_with('-')) fail_error(head.substr(1));
  const auto bytes = head.starts_with('$') ? to_integer(head.substr(1)) : std::nullopt;
  if (!bytes || *bytes < -1 || *bytes > kLongestValue) fail_garbled();
  if (*bytes == -1) return {};
  Buffer out(static_cast<std::size_t>(*bytes));
  input_.read({out.data(), out.size()});
  if (!input_.line().empty()) fail_garbled();
  return out;
}

}  // namespace lambdaml::storage::redis
