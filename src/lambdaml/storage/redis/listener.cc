#include "lambdaml/storage/redis/listener.h"

#include <array>
#include <cerrno>
#include <string_view>
#include <utility>

#include <poll.h>
#include <sys/epoll.h>

#include "lambdaml/base/wait.h"

namespace lambdaml::storage::redis {
namespace {

/// A handle that has waited in more folders drops its subscriptions.
constexpr std::size_t kMostFollowed = 100;

/// The key that a published message names; empty for any other reply. Throws unavailable if the
/// server has ended the subscription, because the channel's slot has moved.
std::string key_in(Reply& told) {
  if (told.kind != Reply::Kind::list || told.list.size() != 3) return {};
  const std::string& kind = told.list[0].text;
  if (kind == "sunsubscribe") fail(Code::unavailable, "the cluster moves its slots");
  return kind == "message" || kind == "smessage" ? std::move(told.list[2].text) : std::string();
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
  std::map<Endpoint, std::set<Channel>> more;
  for (const Channel& channel : channels) {
    const auto line = lines_.find(channel.server);
    if (line == lines_.end() || !line->second.followed.contains(channel.name))
      more[channel.server].insert(channel);
  }
  if (more.empty()) return false;
  if (followed + channels.size() > kMostFollowed && followed > 0) {
    close();
    return follow(channels);
  }
  try {
    for (const auto& [server, its_channels] : more) subscribe(server, its_channels);
  } catch (...) {
    close();
    throw;
  }
  return true;
}

void Listener::subscribe(const Endpoint& server, const std::set<Channel>& channels) {
  Line& line = lines_[server];
  if (!line.connection) {
    line.connection = connect_(server);
    if (!any_readable_) any_readable_ = FileDescriptor(::epoll_create1(EPOLL_CLOEXEC));
    epoll_event readable{.events = EPOLLIN, .data = {.ptr = line.connection.get()}};
    if (::epoll_ctl(any_readable_.get(), EPOLL_CTL_ADD, line.connection->descriptor(), &readable) !=
        0)
      fail_errno(errno, "waiting for several servers");
  }
  std::set<std::string_view> unconfirmed;
  for (const Channel& channel : channels) unconfirmed.insert(channel.name);
  // Sharded ones are in one slot of the server.
  const bool sharded = channels.begin()->sharded;
  std::vector<std::string_view> command = {sharded ? "SSUBSCRIBE" : "SUBSCRIBE"};
  command.insert(command.end(), unconfirmed.begin(), unconfirmed.end());
  Request request;
  request.add(command);
  line.connection->subscribe(request);
  // One confirmation a channel; messages may come between them.
  while (!unconfirmed.empty()) {
    const Reply told = line.connection->reply();
    if (told.list.size() == 3 && told.list[0].text == (sharded ? "ssubscribe" : "subscribe"))
      unconfirmed.erase(told.list[1].text);
  }
  for (const Channel& channel : channels) line.followed.insert(channel.name);
  has_new_lines_ = true;
}

void Listener::drain(Connection& connection, Deadline deadline, News& news) {
  std::optional<Reply> told = connection.told(deadline);
  while (told) {
    if (std::string key = key_in(*told); !key.empty()) news.keys.push_back(std::move(key));
    told = connection.told_already();
  }
}

void Listener::take(Deadline deadline, News& news) {
  if (lines_.size() == 1) return drain(*lines_.begin()->second.connection, deadline, news);
  // What came with the confirmation of a subscription is no longer in the socket.
  if (std::exchange(has_new_lines_, false))
    for (auto& [server, line] : lines_) drain(*line.connection, Deadline::in(0), news);
  drain_readable(news);
  while (news.keys.empty() && !lines_.empty() &&
         wait_until_ready(any_readable_.get(), POLLIN, deadline) && !deadline.passed())
    drain_readable(news);
}

void Listener::drain_readable(News& news) {
  if (lines_.empty()) return;
  std::array<epoll_event, 16> events{};
  const int n =
      ::epoll_wait(any_readable_.get(), events.data(), static_cast<int>(events.size()), 0);
  for (int i = 0; i < n; ++i)
    drain(*static_cast<Connection*>(events[static_cast<std::size_t>(i)].data.ptr), Deadline::in(0),
          news);
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
