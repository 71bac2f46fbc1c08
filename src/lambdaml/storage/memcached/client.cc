#include "lambdaml/storage/memcached/client.h"

#include <algorithm>
#include <ctime>
#include <limits>
#include <map>
#include <system_error>

#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"
#include "lambdaml/storage/memcached/library.h"

namespace lambdaml::storage::memcached {
namespace {

constexpr std::uint64_t kConnectTimeoutMs = 5000;
constexpr std::uint64_t kAnswerTimeoutMs = 10'000;
/// Seconds that Memcached takes for a date (more than 30 days), one long past: an item saved with
/// it is gone at once.
constexpr std::time_t kLongPast = 60 * 60 * 24 * 30 + 1;
constexpr std::size_t kBatchItems = 500;

Code code_of(memcached_return_t answer) {
  switch (answer) {
    case MEMCACHED_E2BIG:
    case MEMCACHED_SERVER_MEMORY_ALLOCATION_FAILURE:
    case MEMCACHED_MEMORY_ALLOCATION_FAILURE:
      return Code::resource_exhausted;
    case MEMCACHED_AUTH_PROBLEM:
    case MEMCACHED_AUTH_FAILURE:
      return Code::permission_denied;
    case MEMCACHED_HOST_LOOKUP_FAILURE:
    case MEMCACHED_CONNECTION_FAILURE:
    case MEMCACHED_WRITE_FAILURE:
    case MEMCACHED_READ_FAILURE:
    case MEMCACHED_UNKNOWN_READ_FAILURE:
    case MEMCACHED_PARTIAL_READ:
    case MEMCACHED_SOME_ERRORS:
    case MEMCACHED_ERRNO:
    case MEMCACHED_TIMEOUT:
    case MEMCACHED_SERVER_MARKED_DEAD:
    case MEMCACHED_SERVER_TEMPORARILY_DISABLED:
      return Code::unavailable;
    default:
      return Code::internal;
  }
}

bool is_success(memcached_return_t answer) {
  return answer == MEMCACHED_SUCCESS || answer == MEMCACHED_STORED || answer == MEMCACHED_DELETED;
}

}  // namespace

struct Client::Servers {
  memcached_st memcached;

  Servers() {
    if (lib().create(&memcached) == nullptr) throw std::bad_alloc();
  }
  Servers(const Servers&) = delete;
  Servers& operator=(const Servers&) = delete;
  ~Servers() { lib().free(&memcached); }

  void behave(memcached_behavior_t behavior, std::uint64_t value) {
    if (const memcached_return_t answer = lib().behavior_set(&memcached, behavior, value);
        !is_success(answer))
      fail(Code::internal, "libmemcached refuses option {}: {}", static_cast<int>(behavior),
           lib().strerror(nullptr, answer));
  }

  [[noreturn]] void fail_with(memcached_return_t answer) {
    const int error = lib().last_error_errno(&memcached);
    std::string why;
    if (answer == MEMCACHED_E2BIG)
      why = "the value is too large for the server (start it with a larger -I)";
    else if (answer == MEMCACHED_SERVER_MEMORY_ALLOCATION_FAILURE)
      why = "the server is out of memory (start it with a larger -m)";
    else if (answer == MEMCACHED_HOST_LOOKUP_FAILURE)
      why = "unknown host";
    else if (answer == MEMCACHED_TIMEOUT)
      why = "no answer in time";
    else if (answer == MEMCACHED_CONNECTION_FAILURE)
      why = "cannot connect";
    else if (error != 0)
      why = std::generic_category().message(error);
    else
      why = lib().strerror(nullptr, answer);
    const auto* server = lib().server_get_last_disconnect(&memcached);
    if (server != nullptr && lib().server_count(&memcached) > 1)
      why = fmt::format("{}:{}: {}", lib().server_name(server), lib().server_port(server), why);
    fail(code_of(answer), "{}", printable(why));
  }

  void require(memcached_return_t answer) {
    if (!is_success(answer)) fail_with(answer);
  }

  /// For requests with a condition: whether it held.
  bool held(memcached_return_t answer) {
    if (answer == MEMCACHED_NOTSTORED || answer == MEMCACHED_DATA_EXISTS ||
        answer == MEMCACHED_NOTFOUND)
      return false;
    require(answer);
    return true;
  }
};

Client::Client(const Address& address) : servers_(std::make_unique<Servers>()) {
  servers_->behave(MEMCACHED_BEHAVIOR_TCP_NODELAY, 1);
  servers_->behave(MEMCACHED_BEHAVIOR_SUPPORT_CAS, 1);
  servers_->behave(MEMCACHED_BEHAVIOR_CONNECT_TIMEOUT, kConnectTimeoutMs);
  servers_->behave(MEMCACHED_BEHAVIOR_POLL_TIMEOUT, kAnswerTimeoutMs);
  if (address.servers.size() > 1) servers_->behave(MEMCACHED_BEHAVIOR_KETAMA, 1);
  for (const Address::Server& server : address.servers)
    servers_->require(lib().server_add(&servers_->memcached, server.host.c_str(), server.port));
}

Client::~Client() = default;

void Client::set(std::string_view item, Bytes value) {
  servers_->require(lib().set(&servers_->memcached, item.data(), item.size(), as_text(value).data(),
                              value.size(), 0, 0));
}
bool Client::add(std::string_view item, Bytes value) {
  return servers_->held(lib().add(&servers_->memcached, item.data(), item.size(),
                                  as_text(value).data(), value.size(), 0, 0));
}
bool Client::replace(std::string_view item, Bytes value) {
  return servers_->held(lib().replace(&servers_->memcached, item.data(), item.size(),
                                      as_text(value).data(), value.size(), 0, 0));
}
bool Client::append(std::string_view item, Bytes value) {
  return servers_->held(lib().append(&servers_->memcached, item.data(), item.size(),
                                     as_text(value).data(), value.size(), 0, 0));
}
bool Client::set_if_same(std::string_view item, Bytes value, std::uint64_t version) {
  return servers_->held(lib().cas(&servers_->memcached, item.data(), item.size(),
                                  as_text(value).data(), value.size(), 0, 0, version));
}
bool Client::remove_if_same(std::string_view item, std::uint64_t version) {
  return servers_->held(
      lib().cas(&servers_->memcached, item.data(), item.size(), "", 0, kLongPast, 0, version));
}

void Client::get(std::span<const std::string> items, const OnFound& on_found) {
  memcached_st* memcached = &servers_->memcached;
  for (std::size_t begin = 0; begin < items.size(); begin += kBatchItems) {
    const auto batch = items.subspan(begin, std::min(kBatchItems, items.size() - begin));
    std::vector<const char*> texts;
    std::vector<std::size_t> sizes;
    std::multimap<std::string_view, std::size_t> index_of;
    for (std::size_t i = 0; i < batch.size(); ++i) {
      const bool asked = index_of.contains(batch[i]);
      index_of.emplace(batch[i], begin + i);
      if (asked) continue;
      texts.push_back(batch[i].data());
      sizes.push_back(batch[i].size());
    }
    servers_->require(lib().mget(memcached, texts.data(), sizes.data(), texts.size()));
    // It passes over servers that it cannot reach, and only leaves word of it.
    servers_->require(lib().last_error(memcached));
    memcached_result_st result;
    lib().result_create(memcached, &result);
    const std::unique_ptr<memcached_result_st, void (*)(memcached_result_st*)> freed(
        &result, lib().result_free);
    memcached_return_t answer = MEMCACHED_SUCCESS;
    while (lib().fetch_result(memcached, &result, &answer) != nullptr) {
      const std::string_view item(lib().result_key_value(&result),
                                  lib().result_key_length(&result));
      const auto [first, last] = index_of.equal_range(item);
      if (first == last) fail(Code::internal, "the server answers with an item not asked for");
      const Bytes value = as_bytes({lib().result_value(&result), lib().result_length(&result)});
      for (auto at = first; at != last; ++at)
        on_found(at->second, value, lib().result_cas(&result));
    }
    if (answer != MEMCACHED_END && answer != MEMCACHED_NOTFOUND) servers_->require(answer);
  }
}

void Client::remove(std::string_view item) {
  servers_->held(lib().remove(&servers_->memcached, item.data(), item.size(), 0));
}

void Client::remove_all(std::span<const std::string> items) {
  constexpr std::size_t kOneByOne = 2;
  if (items.size() <= kOneByOne) {
    for (const std::string& item : items) remove(item);
    return;
  }
  servers_->behave(MEMCACHED_BEHAVIOR_NOREPLY, 1);
  for (const std::string& item : items) remove(item);
  servers_->behave(MEMCACHED_BEHAVIOR_NOREPLY, 0);
  // A server takes the requests of a connection in turn: when it answers this one, all are done.
  get(items, [](std::size_t, Bytes, std::uint64_t) {});
}

std::uint64_t Client::item_size_max() {
  std::uint64_t smallest = std::numeric_limits<std::uint64_t>::max();
  const auto take = [](const memcached_instance_st*, const char* key, std::size_t key_size,
                       const char* value, std::size_t value_size, void* out) {
    if (std::string_view(key, key_size) == "item_size_max")
      if (const auto bytes = to_integer({value, value_size}); bytes && *bytes > 0) {
        auto& least = *static_cast<std::uint64_t*>(out);
        least = std::min(least, static_cast<std::uint64_t>(*bytes));
      }
    return MEMCACHED_SUCCESS;
  };
  servers_->require(lib().stat_execute(&servers_->memcached, "settings", take, &smallest));
  if (smallest == std::numeric_limits<std::uint64_t>::max())
    fail(Code::internal, "the server does not tell its item_size_max");
  return smallest;
}

}  // namespace lambdaml::storage::memcached
