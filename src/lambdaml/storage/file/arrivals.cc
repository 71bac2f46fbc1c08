#include "lambdaml/storage/file/arrivals.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstring>
#include <thread>

#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

namespace lambdaml::storage::file {
namespace {

constexpr double kShortestPause = 2e-4;
constexpr double kLongestPause = 0.02;
/// Even a watched folder is looked at this often: events of another machine's writes never come.
constexpr double kLongestSleep = 0.25;

}  // namespace

struct Arrivals::Watch::Instance {
  FileDescriptor inotify{::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)};
  std::map<std::string, int> folders;
  double pause_s = kShortestPause;

  /// Takes what has been told so far; forgets watches whose folder is gone.
  void drain() {
    alignas(inotify_event) std::array<char, 16384> bytes;
    while (true) {
      const ssize_t n = ::read(inotify.get(), bytes.data(), bytes.size());
      if (n <= 0) return;
      for (ssize_t at = 0; at < n;) {
        inotify_event event{};
        std::memcpy(&event, bytes.data() + at, sizeof event);
        if ((event.mask & IN_IGNORED) != 0)
          std::erase_if(folders, [&](const auto& folder) { return folder.second == event.wd; });
        at += static_cast<ssize_t>(sizeof event + event.len);
      }
    }
  }
};

Arrivals::Arrivals() = default;
Arrivals::~Arrivals() = default;

Arrivals::Watch Arrivals::begin() {
  std::unique_ptr<Watch::Instance> instance;
  {
    const std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      instance = std::move(idle_.back());
      idle_.pop_back();
    }
  }
  if (!instance) instance = std::make_unique<Watch::Instance>();
  instance->drain();
  instance->pause_s = kShortestPause;
  return Watch(*this, std::move(instance));
}

Arrivals::Watch::Watch(Arrivals& owner, std::unique_ptr<Instance> instance)
    : owner_(&owner), instance_(std::move(instance)) {}

Arrivals::Watch::~Watch() {
  if (!instance_ || !instance_->inotify) return;
  const std::lock_guard lock(owner_->mutex_);
  owner_->idle_.push_back(std::move(instance_));
}

bool Arrivals::Watch::folder(const std::filesystem::path& path) const {
  if (!instance_->inotify) return false;
  if (instance_->folders.contains(path.string())) return true;
  const int watch = ::inotify_add_watch(instance_->inotify.get(), path.c_str(),
                                        IN_MOVED_TO | IN_DELETE_SELF | IN_ONLYDIR);
  if (watch < 0) return false;
  instance_->folders[path.string()] = watch;
  return true;
}

void Arrivals::Watch::wait(bool watched, double at_most_s) const {
  Instance& instance = *instance_;
  if (!watched) {
    std::this_thread::sleep_for(
        std::chrono::duration<double>(std::min(instance.pause_s, at_most_s)));
    instance.pause_s = std::min(instance.pause_s * 1.5, kLongestPause);
    return;
  }
  pollfd poll_for{instance.inotify.get(), POLLIN, 0};
  const double sleep_s = std::min(at_most_s, kLongestSleep);
  ::poll(&poll_for, 1, static_cast<int>(std::ceil(sleep_s * 1000)));
  instance.drain();
}

}  // namespace lambdaml::storage::file
