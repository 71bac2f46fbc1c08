#include "lambdaml/storage/wait.h"

#include <algorithm>

#include "lambdaml/base/wait.h"

namespace lambdaml::storage {

// ---- watches ----

ListedKeyWatch::ListedKeyWatch(std::vector<std::string> keys)
    : keys_(std::move(keys)), there_(keys_.size()) {
  for (const std::string& key : keys_) check_key(key);
}

std::vector<Arrival> ListedKeyWatch::next(Deadline deadline, std::size_t below) {
  if (found_.empty() && first_missing_ < std::min(below, keys_.size())) wait(deadline, below);
  return std::exchange(found_, {});
}

std::vector<Arrival> ListedKeyWatch::poll_all() {
  if (const std::vector<std::size_t> all = missing(keys_.size()); !all.empty()) poll(all);
  return std::exchange(found_, {});
}

void ListedKeyWatch::load_from(Storage& store, std::span<const std::size_t> which) {
  std::vector<std::string> asked;
  for (const std::size_t i : which) asked.push_back(key(i));
  std::vector<std::optional<Buffer>> values = store.load_present(asked);
  for (std::size_t i = 0; i < which.size(); ++i)
    if (values[i]) found(which[i], std::move(*values[i]));
}

std::vector<std::size_t> ListedKeyWatch::missing(std::size_t below, std::size_t most) const {
  std::vector<std::size_t> out;
  for (std::size_t i = first_missing_; i < std::min(below, keys_.size()) && out.size() < most; ++i)
    if (!there_[i]) out.push_back(i);
  return out;
}

void ListedKeyWatch::found(std::size_t index, Buffer value) {
  there_[index] = true;
  while (first_missing_ < keys_.size() && there_[first_missing_]) ++first_missing_;
  found_.push_back({index, std::move(value)});
}

bool ListedKeyWatch::reaches_further(std::size_t below) {
  below = std::min(below, keys_.size());
  return std::exchange(reached_, std::max(reached_, below)) < below;
}

namespace {

class PollingWatch final : public ListedKeyWatch {
 public:
  PollingWatch(Storage& store, std::vector<std::string> keys, Pacer& pacer,
               std::size_t keys_at_once)
      : ListedKeyWatch(std::move(keys)),
        store_(store),
        pace_(pacer.wait_for(this->keys().empty() ? "" : key(0), keys_at_once)) {}

 private:
  void wait(Deadline deadline, std::size_t below) override {
    while (true) {
      const double pause_s = pace_.next_poll_s() - waited_.seconds();
      if (pause_s > 0) {
        const Deadline next_poll = Deadline::in(pause_s);
        sleep_until(next_poll.earlier(deadline));
        if (deadline.passed() && !next_poll.passed()) return;
      }
      const bool all = poll_in_order(below);
      if (missing(keys().size(), 1).empty())
        pace_.found(waited_.seconds());
      else if (!all)
        pace_.in_vain(waited_.seconds());
      if (any_found() || deadline.passed()) return;
    }
  }

  /// Polls batches while the first missing key keeps arriving. Returns whether all up to `below`
  /// have.
  bool poll_in_order(std::size_t below) {
    std::size_t n = pace_.poll_size();
    while (true) {
      const std::vector<std::size_t> asked = missing(below, n);
      if (asked.empty()) return true;
      poll(asked);
      const auto first = missing(below, 1);
      const bool all_there = first.empty() || first.front() > asked.back();
      n = pace_.size_after(n, asked.size(), all_there);
      if (!all_there) return false;
    }
  }

  void look_up(std::span<const std::size_t> which) override {
    if (which.size() == 1) {
      if (std::optional<Buffer> value = store_.load(key(which.front())))
        found(which.front(), std::move(*value));
      return;
    }
    load_from(store_, which);
  }

  Storage& store_;
  Stopwatch waited_;
  Pacer::Wait pace_;
};

}  // namespace

std::unique_ptr<KeyWatch> watch_by_polling(Storage& store, std::vector<std::string> keys,
                                           Pacer& pacer, std::size_t keys_at_once) {
  return std::make_unique<PollingWatch>(store, std::move(keys), pacer, keys_at_once);
}

// ---- the loop ----

Wait::Wait(Storage& store, std::vector<std::string> keys, Deadline end)
    : store_(store),
      keys_(std::move(keys)),
      end_(end),
      there_(keys_.size()),
      n_missing_(keys_.size()),
      kept_(keys_.size()) {
  store_.add_hooks(*this);
}

void Wait::add_hook(WaitHook hook) {
  const double first_s = hook.first_s;
  hooks_.push_back({std::move(hook), first_s, Deadline::in(first_s)});
}

void Wait::run_hooks() {
  for (Hook& hook : hooks_) {
    if (!hook.due.passed()) continue;
    if (!hook.hook.call()) is_ended_ = true;
    hook.pause_s = std::min(2 * hook.pause_s, hook.hook.longest_s);
    hook.due = Deadline::in(hook.pause_s);
    if (is_ended_) return;
  }
}

void Wait::poll_the_last_time() {
  if (!std::exchange(is_last_poll_done_, true))
    for (Arrival& arrival : watch_->poll_all()) ready_.push_back(std::move(arrival));
  if (!ready_.empty()) return;
  std::vector<std::string> names;
  for (std::size_t i = 0; i < keys_.size(); ++i)
    if (!there_[i] && std::ranges::find(names, keys_[i]) == names.end()) names.push_back(keys_[i]);
  fail_missing(store_.describe(), names, waited_.seconds());
}

std::optional<Arrival> Wait::next() {
  while (ready_.empty()) {
    if (n_missing_ == 0 || is_ended_) return {};
    if (!watch_) watch_ = store_.watch(keys_);
    if (end_.passed()) {
      poll_the_last_time();
      break;
    }
    Deadline wake = end_;
    for (const Hook& hook : hooks_) wake = wake.earlier(hook.due);
    const std::size_t room = keys_.size() - first_missing_;
    for (Arrival& arrival : watch_->next(wake, first_missing_ + std::min(room, window_)))
      ready_.push_back(std::move(arrival));
    if (ready_.empty()) run_hooks();
  }
  Arrival arrival = std::move(ready_.front());
  ready_.pop_front();
  there_[arrival.index] = true;
  --n_missing_;
  while (first_missing_ < keys_.size() && there_[first_missing_]) ++first_missing_;
  return arrival;
}

std::vector<Buffer> Wait::next_in_order() {
  std::vector<Buffer> out;
  while (taken_ < keys_.size()) {
    // Values that have already arrived are handed over together.
    while (!ready_.empty() || !kept_[taken_]) {
      std::optional<Arrival> arrival = next();
      if (!arrival) return out;
      kept_[arrival->index] = std::move(arrival->value);
    }
    while (taken_ < keys_.size() && kept_[taken_]) {
      out.push_back(std::move(*kept_[taken_]));
      kept_[taken_++].reset();
    }
    return out;
  }
  return out;
}

}  // namespace lambdaml::storage
