#include "lambdaml/storage/memcached/client.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <map>
#include <optional>

#include "lambdaml/base/error.h"
#include "lambdaml/base/service/socket.h"
#include "lambdaml/base/text.h"
#include "lambdaml/storage/memcached/library.h"
#include "lambdaml/storage/memcached/names.h"

namespace lambdaml::storage::memcached {
namespace {

/// An expiry time that Memcached takes for a date (more than 30 days), one long past: an item saved
/// with it expires at once.
constexpr std::int64_t kLongPast = 60 * 60 * 24 * 30 + 1;
/// Limits a request, because all its replies must fit into the buffers of the connection: they are
/// read only after the whole request was sent.
constexpr std::size_t kBatchItems = 500;
/// Memcached's own limit (-I) is 1 GB.
constexpr std::int64_t kLargestValue = 1LL << 30;
/// What it is unless -I says otherwise.
constexpr std::uint64_t kUsualItemSizeMax = 1 << 20;

/// The first words of a line; empty where there are fewer.
using Words = std::array<std::string_view, 5>;
Words words_of(std::string_view line) {
  Words words;
  for (std::string_view& word : words) {
    line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
    word = line.substr(0, line.find(' '));
    line.remove_prefix(word.size());
  }
  return words;
}

std::optional<std::uint64_t> to_version(std::string_view text) {
  std::uint64_t version = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), version);
  if (error != std::errc() || end != text.data() + text.size()) return {};
  return version;
}

[[noreturn]] void fail_server(std::string_view line) {
  if (line.find("too large") != std::string_view::npos)
    fail(Code::resource_exhausted,
         "the value is too large for the server (start it with a larger -I)");
  if (line.find("out of memory") != std::string_view::npos)
    fail(Code::resource_exhausted, "the server is out of memory (start it with a larger -m)");
  if (line.find("auth") != std::string_view::npos)
    fail(Code::permission_denied, "the server wants a user: memcached://USER:PASSWORD@host");
  fail(Code::internal, "the server answers '{}'", printable(line, 200));
}

}  // namespace

/// A connection to one server.
class Client::Server {
 public:
  Server(const Address& address, std::size_t place, std::shared_ptr<Patience> patience)
      : socket_(address.servers[place].host, address.servers[place].port, std::move(patience),
                tls_of(address)),
        input_(socket_) {
    if (!address.user.empty()) log_in(address);
  }

  void send(std::span<iovec> pieces) {
    begin();
    socket_.send(pieces);
  }
  void send(std::string_view request) {
    begin();
    socket_.send(request);
  }

  /// The next line that is no error.
  std::string_view line() {
    const std::string_view line = input_.line();
    if (line.starts_with("SERVER_ERROR") || line.starts_with("CLIENT_ERROR") || line == "ERROR")
      fail_server(line);
    return line;
  }
  /// The next line; an error line is allowed, from a server that does not know the command.
  std::string_view line_or_error() {
    const std::string_view line = input_.line();
    if (line.starts_with("SERVER_ERROR") || line.starts_with("CLIENT_ERROR")) fail_server(line);
    return line;
  }
  [[noreturn]] void fail_garbled() { socket_.fail_lost("the answer is no Memcached reply"); }

  /// What `get` answers for one item.
  struct Found {
    std::string item;
    Buffer value;
    std::uint64_t version = 0;
  };
  /// nullopt at the end of the answer.
  std::optional<Found> found() {
    const std::string_view head = line();
    if (head == "END") return {};
    const auto [kind, item, flags, size, cas] = words_of(head);
    const auto bytes = to_integer(size);
    const auto version = to_version(cas);
    if (kind != "VALUE") fail_garbled();
    if (!bytes || *bytes < 0 || *bytes > kLargestValue || !version) fail_garbled();
    Found out{std::string(item), Buffer(static_cast<std::size_t>(*bytes)), *version};
    input_.read({out.value.data(), out.value.size()});
    if (!input_.line().empty()) fail_garbled();
    return out;
  }

 private:
  static std::optional<TlsOptions> tls_of(const Address& address) {
    if (!address.tls) return {};
    return TlsOptions{.ca = address.ca,
                      .about_trust = "; ?ca=FILE says whom to trust",
                      .about_server = "; a server without TLS is memcached://"};
  }

  /// ASCII authentication: the value of the first `set`, whatever its item, is user and password.
  /// The server's text is not shown, as it may repeat them.
  void log_in(const Address& address) {
    const std::string who = address.user + " " + address.password;
    send(fmt::format("set lambdaml 0 0 {}\r\n{}\r\n", who.size(), who));
    const std::string_view line = input_.line();
    if (line.starts_with("CLIENT_ERROR") || line.starts_with("SERVER_ERROR") || line == "ERROR")
      fail(Code::permission_denied, "the server refuses the user or password");
    if (line != "STORED") fail_garbled();
  }

  /// Most answers do not say what they answer, so one too many would be taken for the next
  /// request's.
  void begin() {
    socket_.begin();
    if (!input_.is_empty() || socket_.has_unread())
      socket_.fail_lost("the server has closed the connection, or sent more than it was asked for");
  }

  Socket socket_;
  SocketInput input_;
};

/// Which server stores an item.
class Client::Spread {
 public:
  explicit Spread(const Address& address) {
    if (lib().create(&memcached_) == nullptr) throw std::bad_alloc();
    need(lib().behavior_set(&memcached_, MEMCACHED_BEHAVIOR_KETAMA, 1));
    for (const Address::Server& server : address.servers)
      need(lib().server_add(&memcached_, server.host.c_str(), server.port));
  }
  Spread(const Spread&) = delete;
  Spread& operator=(const Spread&) = delete;
  ~Spread() { lib().free(&memcached_); }

  std::size_t place_of(std::string_view item) const {
    return lib().generate_hash(&memcached_, item.data(), item.size());
  }

 private:
  static void need(memcached_return_t answer) {
    if (answer != MEMCACHED_SUCCESS)
      fail(Code::internal, "libmemcached does not spread items: error {}",
           static_cast<int>(answer));
  }
  memcached_st memcached_;
};

/// The condition for saving a value.
struct Client::Condition {
  std::int64_t expires = 0;
  std::optional<std::uint64_t> version = {};
};

Client::Client(const Address& address, std::shared_ptr<Patience> patience)
    : address_(address),
      patience_(std::move(patience)),
      spread_(address.servers.size() > 1 ? std::make_unique<Spread>(address) : nullptr),
      servers_(address.servers.size()) {}

Client::~Client() = default;

std::string Client::item_of_key(std::string_view key) const { return memcached::item_of_key(key); }
std::string Client::item_of_folder(std::string_view folder) const {
  return memcached::item_of_folder(folder);
}

std::size_t Client::place_of(std::string_view item) const {
  return spread_ ? spread_->place_of(item) : 0;
}

template <class Use>
auto Client::with(std::size_t place, Use&& use) {
  try {
    std::unique_ptr<Server>& server = servers_.at(place);
    if (!server) server = std::make_unique<Server>(address_, place, patience_);
    return use(*server);
  } catch (const Error& error) {
    if (servers_.size() == 1) throw;
    fail(error.code(), "{}: {}", address_.servers[place].text(), error.what());
  }
}

template <class Use>
void Client::for_each_place(std::span<const std::string> items, Use&& use) const {
  std::vector<std::vector<std::size_t>> at(servers_.size());
  for (std::size_t i = 0; i < items.size(); ++i) at[place_of(items[i])].push_back(i);
  for (std::size_t place = 0; place < at.size(); ++place)
    if (!at[place].empty()) use(place, std::span<const std::size_t>(at[place]));
}

// ---- saving ----

bool Client::store(std::string_view command, std::string_view item, Bytes value,
                   const Condition& condition) {
  return with(place_of(item), [&](Server& server) {
    std::string head = fmt::format("{} {} 0 {} {}", command, item, condition.expires, value.size());
    if (condition.version) head += fmt::format(" {}", *condition.version);
    head += "\r\n";
    std::string end = "\r\n";
    std::array<iovec, 3> pieces{{{head.data(), head.size()},
                                 {const_cast<std::byte*>(value.data()), value.size()},
                                 {end.data(), end.size()}}};
    server.send(pieces);
    const std::string_view line = server.line();
    if (line == "STORED") return true;
    if (line != "NOT_STORED" && line != "EXISTS" && line != "NOT_FOUND") server.fail_garbled();
    return false;
  });
}

void Client::set(std::string_view item, Bytes value) { store("set", item, value, {}); }
bool Client::add(std::string_view item, Bytes value) { return store("add", item, value, {}); }
bool Client::replace(std::string_view item, Bytes value) {
  return store("replace", item, value, {});
}
bool Client::append(std::string_view item, Bytes value) { return store("append", item, value, {}); }
bool Client::set_if_same(std::string_view item, Bytes value, std::uint64_t version) {
  return store("cas", item, value, {.version = version});
}
bool Client::remove_if_same(std::string_view item, std::uint64_t version) {
  return store("cas", item, {}, {.expires = kLongPast, .version = version});
}

// ---- getting ----

void Client::get(std::span<const std::string> items, const OnFound& on_found) {
  for (std::size_t begin = 0; begin < items.size(); begin += kBatchItems) {
    const auto batch = items.subspan(begin, std::min(kBatchItems, items.size() - begin));
    std::multimap<std::string_view, std::size_t> index_of;
    std::vector<std::size_t> asked;
    // Send to all servers before reading the first answer.
    for_each_place(batch, [&](std::size_t place, std::span<const std::size_t> there) {
      std::string request = "gets";
      for (const std::size_t i : there) {
        const bool known = index_of.contains(batch[i]);
        index_of.emplace(batch[i], begin + i);
        if (!known) request.append(" ").append(batch[i]);
      }
      request += "\r\n";
      with(place, [&](Server& server) { server.send(request); });
      asked.push_back(place);
    });
    for (const std::size_t place : asked)
      with(place, [&](Server& server) {
        while (std::optional<Server::Found> found = server.found()) {
          const auto [first, last] = index_of.equal_range(found->item);
          if (first == last) server.fail_garbled();
          for (auto at = std::next(first); at != last; ++at)
            on_found(at->second, Buffer(found->value.view()), found->version);
          on_found(first->second, std::move(found->value), found->version);
        }
      });
  }
}

bool Client::exists(std::string_view item) {
  const std::optional<bool> there =
      with(place_of(item), [&](Server& server) -> std::optional<bool> {
        server.send(fmt::format("mg {}\r\n", item));
        const std::string_view line = server.line_or_error();
        if (line == "ERROR") return {};  // an older server
        const std::string_view word = line.substr(0, 2);
        if (word != "HD" && word != "EN") server.fail_garbled();
        return word == "HD";
      });
  if (there) return *there;
  bool found = false;
  const std::string one(item);
  get({&one, 1}, [&](std::size_t, const Buffer&, std::uint64_t) { found = true; });
  return found;
}

// ---- removing ----

void Client::remove(std::string_view item) {
  const std::string one(item);
  remove_all({&one, 1});
}

void Client::remove_all(std::span<const std::string> items) {
  for (std::size_t begin = 0; begin < items.size(); begin += kBatchItems) {
    const auto batch = items.subspan(begin, std::min(kBatchItems, items.size() - begin));
    std::vector<std::pair<std::size_t, std::size_t>> asked;  // places, and how many answers of each
    for_each_place(batch, [&](std::size_t place, std::span<const std::size_t> there) {
      std::string request;
      for (const std::size_t i : there) request.append("delete ").append(batch[i]).append("\r\n");
      with(place, [&](Server& server) { server.send(request); });
      asked.emplace_back(place, there.size());
    });
    for (const auto& [place, answers] : asked)
      with(place, [&, n = answers](Server& server) {
        for (std::size_t i = 0; i < n; ++i)
          if (const std::string_view line = server.line(); line != "DELETED" && line != "NOT_FOUND")
            server.fail_garbled();
      });
  }
}

std::uint64_t Client::item_size_max() {
  std::uint64_t smallest = std::numeric_limits<std::uint64_t>::max();
  for (std::size_t place = 0; place < servers_.size(); ++place)
    with(place, [&](Server& server) {
      server.send("stats settings\r\n");
      bool told = false;
      while (true) {
        const std::string_view line = server.line_or_error();
        if (line == "END") break;
        if (line == "ERROR") {  // a service without such statistics
          smallest = std::min(smallest, kUsualItemSizeMax);
          return;
        }
        const Words words = words_of(line);
        if (words[0] != "STAT") server.fail_garbled();
        if (words[1] != "item_size_max") continue;
        const auto bytes = to_integer(words[2]);
        if (!bytes || *bytes <= 0) server.fail_garbled();
        smallest = std::min(smallest, static_cast<std::uint64_t>(*bytes));
        told = true;
      }
      if (!told) fail(Code::internal, "the server does not tell its item_size_max");
    });
  return smallest;
}

}  // namespace lambdaml::storage::memcached
