#include "lambdaml/storage/redis/listener.h"

#include <cerrno>
#include <string_view>

#include <poll.h>
#include <sys/epoll.h>

#include "lambdaml/base/wait.h"

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
  lines_.clear();
  any_readable_.reset();
}

void Listener::forget() {
  News ignored;
  try {
    take(Deadline::in(0), ignored);
  } catch (const Error& error) {
    close();
    if (error.code() == Code::cancelled) throw;
  }
}

bool Listener::follow(const std::set<Channel>& channels) {
  std::size_t followed = 0;
  for (const auto& [server, line] : lines_) followed += line.followed.size();
  std::map<Endpoint, std::set<std::string>> more;
  for (const Channel& channel : channels) {
    const auto line = lines_.find(channel.server);
    if (line == lines_.end() || !line->second.followed.contains(channel.name))
      more[channel.server].insert(channel.name);
  }
  if (more.empty()) return false;
  if (followed + channels.size() > kMostFollowed && followed > 0) {
    close();
    return follow(channels);
  }
  try {
    for (const auto& [server, names] : more) subscribe(server, names);
  } catch (...) {
    close();
    throw;
  }
  return true;
}

void Listener::subscribe(const Endpoint& server, const std::set<std::string>& channels) {
  Line& line = lines_[server];
  if (!line.connection) {
    line.connection = connect_(server);
    if (!any_readable_) any_readable_ = FileDescriptor(::epoll_create1(EPOLL_CLOEXEC));
    epoll_event readable{.events = EPOLLIN, .data = {}};
    if (::epoll_ctl(any_readable_.get(), EPOLL_CTL_ADD, line.connection->descriptor(), &readable) !=
        0)
      fail_errno(errno, "waiting for several servers");
  }
  std::vector<std::string_view> command = {"SUBSCRIBE"};
  command.insert(command.end(), channels.begin(), channels.end());
  Request request;
  request.add(command);
  line.connection->subscribe(request);
  // One confirmation a channel; messages may come between them.
  std::set<std::string_view> unconfirmed(channels.begin(), channels.end());
  while (!unconfirmed.empty()) {
    const Reply told = line.connection->reply();
    if (told.list.size() == 3 && told.list[0].text == "subscribe")
      unconfirmed.erase(told.list[1].text);
  }
  line.followed.insert(channels.begin(), channels.end());
}

void Listener::drain(Connection& connection, Deadline deadline, News& news) {
  std::optional<Reply> told = connection.told(deadline);
  while (told) {
    if (std::string key = key_in(*told); !key.empty()) news.keys.push_back(std::move(key));
    told = connection.told(Deadline::in(0));
  }
}

void Listener::take(Deadline deadline, News& news) {
  if (lines_.size() == 1) return drain(*lines_.begin()->second.connection, deadline, news);
  const auto drain_all = [&] {
    for (auto& [server, line] : lines_) drain(*line.connection, Deadline::in(0), news);
  };
  drain_all();
  while (news.keys.empty() && !lines_.empty() &&
         wait_until_ready(any_readable_.get(), POLLIN, deadline) && !deadline.passed())
    drain_all();
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
