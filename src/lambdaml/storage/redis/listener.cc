#include "lambdaml/storage/redis/listener.h"

#include <iterator>
#include <string_view>

namespace lambdaml::storage::redis {
namespace {

/// A handle that has waited in more folders drops its subscriptions.
constexpr std::size_t kMostFollowed = 100;

/// The key that a published message names; empty for any other reply.
std::string key_in(Reply& told) {
  const bool published =
      told.kind == Reply::Kind::list && told.list.size() == 3 && told.list[0].text == "message";
  return published ? std::move(told.list[2].text) : std::string();
}

}  // namespace

void Listener::close() {
  connection_.reset();
  followed_.clear();
}

void Listener::forget() {
  if (!connection_) return;
  News ignored;
  try {
    take(Deadline::in(0), ignored);
  } catch (const Error& error) {
    close();
    if (error.code() == Code::cancelled) throw;
  }
}

bool Listener::follow(const std::set<std::string>& channels) {
  if (followed_.size() + channels.size() > kMostFollowed && !followed_.empty()) {
    bool any_new = false;
    for (const std::string& channel : channels) any_new |= !followed_.contains(channel);
    if (any_new) close();
  }
  std::vector<std::string_view> command = {"SUBSCRIBE"};
  for (const std::string& channel : channels)
    if (!followed_.contains(channel)) command.push_back(channel);
  if (command.size() == 1) return false;
  if (!connection_) connection_ = connect_();
  try {
    Request request;
    request.add(command);
    connection_->subscribe(request);
    // One confirmation a channel; messages may come between them.
    std::set<std::string_view> unconfirmed(std::next(command.begin()), command.end());
    while (!unconfirmed.empty()) {
      const Reply told = connection_->reply();
      if (told.list.size() == 3 && told.list[0].text == "subscribe")
        unconfirmed.erase(told.list[1].text);
    }
  } catch (...) {
    close();
    throw;
  }
  followed_.insert(channels.begin(), channels.end());
  return true;
}

void Listener::take(Deadline deadline, News& news) {
  std::optional<Reply> told = connection_->told(deadline);
  while (told) {
    if (std::string key = key_in(*told); !key.empty()) news.keys.push_back(std::move(key));
    told = connection_->told(Deadline::in(0));
  }
}

Listener::News Listener::wait(Deadline deadline) {
  News news;
  try {
    take(deadline, news);
  } catch (const Error& error) {
    close();
    if (error.code() == Code::cancelled) throw;
    // Not a failure of the wait: it polls by itself, which shows whether the server is there.
    news.lost = true;
  }
  return news;
}

}  // namespace lambdaml::storage::redis
