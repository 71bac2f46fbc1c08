#include "lambdaml/ps/server/state.h"

#include <algorithm>
#include <limits>

#include "lambdaml/base/files.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/own_folder.h"

namespace lambdaml::ps {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLongestId = 400;
constexpr const char* kRegisteredAnew = "registered anew";

fs::path part_of(const fs::path& folder, const char* name) {
  return folder.empty() ? fs::path() : folder / name;
}

}  // namespace

State::State(fs::path folder, Limits limits)
    : folder_(part_of(folder, "models")),
      limits_(limits),
      environment_{.budget = Budget(limits.memory_bytes),
                   .longest = std::min<std::uint64_t>(limits.vector_bytes / sizeof(float),
                                                      std::numeric_limits<std::uint32_t>::max())},
      keys_(part_of(folder, "keys"), environment_) {
  if (folder_.empty()) return;
  make_own_folder(folder_);
  read_archives(folder_, FileKind::model, [&](Reader& in, const fs::path& path) {
    const std::shared_ptr<Entry> entry = Entry::load(in, environment_);
    if (file_of(folder_, entry->id()) != path) fail(Code::data_corrupt, "it has another's name");
    saved_[entry->id()] = entry->version();
    entries_[entry->id()] = entry;
  });
  if (!entries_.empty() || keys_.size() > 0)
    log::info("{}: {} models and sums, {} keys", folder.string(), entries_.size(), keys_.size());
}

std::shared_ptr<Entry> State::find(const std::string& id) const {
  const std::shared_lock lock(mutex_);
  const auto at = entries_.find(id);
  return at == entries_.end() ? nullptr : at->second;
}

std::shared_ptr<Entry> State::get(const std::string& id) const {
  std::shared_ptr<Entry> entry = find(id);
  if (!entry) fail(Code::not_found, "there is no model '{}': register it first", printable(id));
  return entry;
}

/// Under the lock, for an entry that does not exist yet.
void State::check_room_for(const std::string& id) const {
  if (id.empty() || id.size() > kLongestId)
    fail(Code::invalid_argument, "a model's id has from 1 to {} bytes, not {}", kLongestId,
         id.size());
  if (entries_.size() >= limits_.models)
    fail(Code::resource_exhausted,
         "there are {} models already, the server's limit (--models); delete some", limits_.models);
}

std::shared_ptr<Entry> State::get_or_make(const std::string& id) {
  if (std::shared_ptr<Entry> entry = find(id)) return entry;
  const std::unique_lock lock(mutex_);
  if (const auto at = entries_.find(id); at != entries_.end()) return at->second;
  check_room_for(id);
  auto entry = std::make_shared<Entry>(id, environment_);
  entries_.emplace(id, entry);
  return entry;
}

std::shared_ptr<Entry> State::declare(const std::string& id, std::uint64_t length,
                                      std::uint32_t workers, Rule rule, bool zeros) {
  std::shared_ptr<Entry> entry = find(id);
  if (!entry) {
    const auto fresh = std::make_shared<Entry>(id, environment_);
    fresh->declare(length, workers, rule, zeros);
    const std::unique_lock lock(mutex_);
    const auto at = entries_.find(id);
    if (at == entries_.end()) {
      check_room_for(id);
      entries_.emplace(id, fresh);
      return fresh;
    }
    entry = at->second;
  }
  entry->declare(length, workers, std::move(rule), zeros);
  return entry;
}

std::shared_ptr<Entry> State::register_model(const std::string& id, std::uint64_t length,
                                             std::uint32_t workers,
                                             const std::shared_ptr<const Caller>& caller) {
  std::shared_ptr<Entry> entry = find(id);
  if (!entry || entry->takes_registration(length, workers, caller))
    return declare(id, length, workers, {}, false);
  return start_anew(std::move(entry), length, workers);
}

std::shared_ptr<Entry> State::start_anew(std::shared_ptr<Entry> old, std::uint64_t length,
                                         std::uint32_t workers) {
  const std::string id = old->id();
  auto fresh = std::make_shared<Entry>(id, environment_);
  try {
    fresh->declare(length, workers, {}, false);
  } catch (const Error& error) {
    if (error.code() != Code::resource_exhausted || length > environment_.longest) throw;
    // There is no memory for both.
    old.reset();
    remove(id, kRegisteredAnew);
    return declare(id, length, workers, {}, false);
  }
  {
    const std::unique_lock lock(mutex_);
    const auto at = entries_.find(id);
    if (at != entries_.end() && at->second == old)
      at->second = fresh;
    else
      fresh.reset();
  }
  if (!fresh) return declare(id, length, workers, {}, false);
  old->remove(kRegisteredAnew);
  erase_file(id);
  log::info("'{}': registered anew: {} values for {} workers", printable(id), length, workers);
  return fresh;
}

void State::erase_file(const std::string& id) {
  if (folder_.empty()) return;
  const std::lock_guard lock(saving_);
  saved_.erase(id);
  std::error_code ignored;
  fs::remove(file_of(folder_, id), ignored);
}

void State::remove(const std::string& id, const char* how) {
  std::shared_ptr<Entry> entry;
  {
    const std::unique_lock lock(mutex_);
    const auto at = entries_.find(id);
    if (at == entries_.end()) return;
    entry = at->second;
    entries_.erase(at);
  }
  entry->remove(how);
  erase_file(id);
}

void State::clear(const std::string& prefix) {
  std::vector<std::string> ids;
  {
    const std::shared_lock lock(mutex_);
    for (auto at = entries_.lower_bound(prefix);
         at != entries_.end() && at->first.starts_with(prefix); ++at)
      ids.push_back(at->first);
  }
  for (const std::string& id : ids) remove(id);
  keys_.clear(prefix);
}

std::size_t State::models() const {
  const std::shared_lock lock(mutex_);
  std::size_t n = 0;
  for (const auto& [id, entry] : entries_) n += entry->has_model() ? 1 : 0;
  return n;
}

std::size_t State::sums() const {
  const std::size_t all = [&] {
    const std::shared_lock lock(mutex_);
    return entries_.size();
  }();
  return all - std::min(all, models());
}

std::size_t State::expire(double longest_s) {
  std::map<std::string, double> idle_s;
  keys_.add_idle_times(idle_s);
  {
    const std::shared_lock lock(mutex_);
    for (const auto& [id, entry] : entries_) {
      const auto [at, is_new] = idle_s.try_emplace(group_of(id), entry->idle_s());
      at->second = std::min(at->second, entry->idle_s());
    }
  }
  std::size_t expired = 0;
  for (const auto& [group, seconds] : idle_s) {
    if (seconds < longest_s) continue;
    log::info("'{}': not used for {}: removed", printable(group), human_seconds(seconds));
    remove(group);
    keys_.remove(group);
    clear(group + "/");
    ++expired;
  }
  return expired;
}

void State::interrupt() {
  const std::shared_lock lock(mutex_);
  for (const auto& [id, entry] : entries_) entry->interrupt();
}

void State::save() {
  if (folder_.empty()) return;
  std::vector<std::shared_ptr<Entry>> entries;
  {
    const std::shared_lock lock(mutex_);
    for (const auto& [id, entry] : entries_) entries.push_back(entry);
  }
  for (const std::shared_ptr<Entry>& entry : entries) {
    const std::lock_guard lock(saving_);
    const std::uint64_t version = entry->version();
    const auto saved = saved_.find(entry->id());
    if (saved != saved_.end() && saved->second == version) continue;
    if (find(entry->id()) != entry) continue;
    Writer out;
    entry->save(out);
    write_archive(file_of(folder_, entry->id()), FileKind::model, out);
    saved_[entry->id()] = version;
    ++environment_.stats.snapshots;
    environment_.stats.snapshot_bytes += out.bytes().size();
  }
}

}  // namespace lambdaml::ps
