#include "lambdaml/storage/file/arrivals.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "lambdaml/base/wait.h"

namespace lambdaml::storage::file {
namespace {

constexpr std::size_t kMostFolders = 256;

}  // namespace

bool reports_arrivals(long file_system_type) {
  // From linux/magic.h and the file systems' own sources.
  constexpr std::array<unsigned, 10> kNetwork = {
      0x6969,      // NFS: EFS, S3 Files
      0x517B,      // SMB
      0xFF534D42,  // CIFS
      0xFE534D42,  // SMB 2
      0x65735546,  // FUSE: sshfs, s3fs, GlusterFS
      0x01021997,  // 9p
      0x5346414F,  // AFS
      0x00C36400,  // Ceph
      0x0BD00BD0,  // Lustre
      0x47504653,  // GPFS
  };
  return std::ranges::find(kNetwork, static_cast<unsigned>(file_system_type)) == kNetwork.end();
}

Arrivals::Arrivals(bool wanted)
    : queue_(wanted ? ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC) : -1), process_(::getpid()) {}

Arrivals::Watching Arrivals::watch(const std::string& folder) {
  if (watch_of_.contains(folder)) return Watching::already;
  if (!queue_) return Watching::refused;
  const int watch =
      ::inotify_add_watch(queue_.get(), folder.c_str(), IN_MOVED_TO | IN_MOVE_SELF | IN_ONLYDIR);
  if (watch < 0) return Watching::refused;
  watch_of_[folder] = watch;
  folder_of_[watch] = folder;
  return Watching::added;
}

Arrivals::News Arrivals::wait(double seconds) {
  News news;
  if (!wait_until_ready(queue_.get(), POLLIN, Deadline::in(seconds))) return news;
  alignas(inotify_event) std::array<char, 16384> events;
  ssize_t bytes = 0;
  while ((bytes = ::read(queue_.get(), events.data(), events.size())) > 0) {
    for (const char* at = events.data(); at < events.data() + bytes;) {
      inotify_event event{};
      std::memcpy(&event, at, sizeof event);
      const char* name = at + sizeof event;
      at = name + event.len;
      const auto folder = folder_of_.find(event.wd);
      if ((event.mask & IN_Q_OVERFLOW) != 0) {
        news.anything = true;
      } else if (folder == folder_of_.end()) {
        continue;
      } else if ((event.mask & IN_MOVE_SELF) != 0) {
        ::inotify_rm_watch(queue_.get(), event.wd);  // IN_IGNORED follows
      } else if ((event.mask & IN_IGNORED) != 0) {
        news.anything = true;
        watch_of_.erase(folder->second);
        folder_of_.erase(folder);
      } else if (event.len > 0) {
        news.names.emplace(folder->second, name);
      }
    }
  }
  return news;
}

bool Arrivals::reusable() const {
  return process_ == ::getpid() && watch_of_.size() <= kMostFolders;
}

std::unique_ptr<Arrivals> ArrivalsPool::take() {
  {
    const std::lock_guard lock(mutex_);
    while (!idle_.empty()) {
      std::unique_ptr<Arrivals> arrivals = std::move(idle_.back());
      idle_.pop_back();
      if (arrivals->reusable()) return arrivals;
    }
  }
  return std::make_unique<Arrivals>(wanted_);
}

void ArrivalsPool::give_back(std::unique_ptr<Arrivals> arrivals) {
  const std::lock_guard lock(mutex_);
  if (arrivals->reusable()) idle_.push_back(std::move(arrivals));
}

}  // namespace lambdaml::storage::file
