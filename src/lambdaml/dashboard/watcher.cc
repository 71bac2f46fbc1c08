#include "lambdaml/dashboard/watcher.h"

#include <algorithm>
#include <csignal>
#include <set>

#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/wait.h"

namespace lambdaml::dashboard {
namespace {

constexpr double kTick_s = 1;
/// Between two searches for new jobs.
constexpr double kFindHere_s = 3, kFindElsewhere_s = 30;

}  // namespace

Watcher::Watcher(std::string where, Board& board) : where_(std::move(where)), board_(board) {
  // Signals are left to the host program.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

Watcher::~Watcher() {
  cancellation_.cancel();
  thread_.join();
}

std::uint64_t Watcher::wake() {
  const std::lock_guard lock(mutex_);
  woken_ = true;
  changed_.notify_all();
  // One that has begun may have read something before now.
  return polls_ + (is_polling_ ? 2 : 1);
}

void Watcher::wait_for(std::uint64_t number, Deadline end) {
  std::unique_lock lock(mutex_);
  wait_until(changed_, lock, end, [&] { return polls_ >= number; });
}

void Watcher::run() {
  const Cancellation::Scope scope(&cancellation_);
  try {
    while (true) {
      {
        std::unique_lock lock(mutex_);
        wait_until(changed_, lock, Deadline::in(kTick_s), [this] { return woken_; });
        // One that was not woken has no one to read for, unless somebody still looks.
        is_polling_ = board_.is_looked_at();
        woken_ = false;
        if (!is_polling_) continue;
      }
      if (clock_.seconds() >= next_find_s_) find();
      poll();
      const std::lock_guard lock(mutex_);
      is_polling_ = false;
      ++polls_;
      changed_.notify_all();
    }
  } catch (const Error& error) {
    if (error.code() != Code::cancelled) log::error("{}: {}", where_, error.what());
  }
}

void Watcher::find() {
  const Found found = find_places(where_);
  is_remote_ = found.remote;
  next_find_s_ = clock_.seconds() + (is_remote_ ? kFindElsewhere_s : kFindHere_s);
  board_.note(where_, found.note);
  // A store that cannot be listed now has not lost its jobs.
  if (found.places.empty() && !found.note.empty() && found.remote) return;
  const std::set<Place> there(found.places.begin(), found.places.end());
  std::erase_if(rows_, [&](const auto& entry) {
    if (there.contains(entry.first)) return false;
    if (!entry.second.id.empty()) board_.remove(entry.second.id);
    return true;
  });
  for (const Place& place : there)
    if (!rows_.contains(place)) rows_[place].watched = watch(place, is_remote_);
}

void Watcher::poll() {
  for (auto& [place, row] : rows_) {
    throw_if_interrupted();
    const Watched::News news = row.watched->poll(clock_.seconds());
    if (news.changed)
      row.id = board_.put(place, row.watched->row(), news.epochs);
    else
      board_.add_epochs(row.id, news.epochs);
  }
}

}  // namespace lambdaml::dashboard
