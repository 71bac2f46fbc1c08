#include "lambdaml/storage/redis/watch.h"

#include <optional>
#include <set>
#include <string_view>

#include "lambdaml/base/service/backoff.h"
#include "lambdaml/base/wait.h"

namespace lambdaml::storage::redis {
namespace {

/// A wait polls this often even without notifications: for values saved by other means than save(),
/// and for notifications lost with a broken connection or between the servers of a cluster.
constexpr double kPollAnyway = 1;
/// Pauses between polls if the server refuses subscriptions.
constexpr double kFirstPause = 0.0002, kLongestPause = 0.02;

class NotifiedWatch final : public ListedKeyWatch {
 public:
  NotifiedWatch(Watched watched, std::vector<std::string> keys)
      : ListedKeyWatch(std::move(keys)), watched_(std::move(watched)) {}
  NotifiedWatch(const NotifiedWatch&) = delete;
  NotifiedWatch& operator=(const NotifiedWatch&) = delete;
  ~NotifiedWatch() override {
    if (listener_) watched_.listeners.give_back(std::move(listener_));
  }

 private:
  void wait(Deadline deadline, std::size_t below) override {
    try {
      const bool begins = !listener_;
      if (begins) {
        // Before the first poll, so that no other wait takes the notifications that come after it.
        listener_ = watched_.listeners.borrow();
        listener_->forget();
      }
      if (reaches_further(below) || begins) poll(missing(below));
      while (!any_found() && !deadline.passed()) sleep_until_told(deadline, below);
    } catch (...) {
      listener_.reset();
      throw;
    }
  }

  void look_up(std::span<const std::size_t> which) override {
    poll_anyway_ = Deadline::in(kPollAnyway);
    take(which);
  }
  void take(std::span<const std::size_t> which) {
    watched_.take(keys(), which, [&](std::size_t i, Buffer value) { found(i, std::move(value)); });
  }

  void sleep_until_told(Deadline deadline, std::size_t below) {
    if (channels_.empty())
      for (const std::string& key : keys()) channels_.insert(watched_.channel_of(key));
    const std::vector<std::size_t> wanted = missing(below);
    if (refused_) {
      sleep_until(Deadline::in(refused_->next_s()).earlier(deadline));
      return poll(wanted);
    }
    try {
      if (listener_->follow(channels_)) return poll(wanted);
    } catch (const Redirected&) {
      watched_.on_moved();
      channels_.clear();
      sleep_until(Deadline::in(kLongestPause).earlier(deadline));
      return poll(wanted);
    } catch (const Error& error) {
      if (error.code() == Code::permission_denied || error.code() == Code::internal) {
        refused_.emplace(kFirstPause, kLongestPause);
        return watched_.on_refused();
      }
      fail_doing({watched_.store, "waiting for", key(wanted.front()), wanted.size()}, error);
    }
    const Listener::News news = listener_->wait(deadline.earlier(poll_anyway_));
    if (news.lost || poll_anyway_.passed()) {
      channels_.clear();  // keys may have moved to other servers
      return poll(wanted);
    }
    const std::set<std::string_view> saved(news.keys.begin(), news.keys.end());
    std::vector<std::size_t> there;
    for (const std::size_t i : wanted)
      if (saved.contains(key(i))) there.push_back(i);
    timed([&] { take(there); });
  }

  Watched watched_;
  std::unique_ptr<Listener> listener_;
  std::set<Channel> channels_;
  Deadline poll_anyway_ = Deadline::in(kPollAnyway);
  std::optional<Backoff> refused_;
};

}  // namespace

std::unique_ptr<KeyWatch> watch_notified(Watched watched, std::vector<std::string> keys) {
  return std::make_unique<NotifiedWatch>(std::move(watched), std::move(keys));
}

}  // namespace lambdaml::storage::redis
