#include "lambdaml/ps/server/keys.h"

#include <mutex>

#include "lambdaml/base/clock.h"
#include "lambdaml/base/deadline.h"
#include "lambdaml/base/own_folder.h"
#include "lambdaml/ps/server/archive.h"

namespace lambdaml::ps {
namespace {

namespace fs = std::filesystem;

/// An empty key could not be listed, because pages begin after the last key of the one before.
void check_name(const std::string& key) {
  constexpr std::size_t kLongest = 4096;
  if (key.empty() || key.size() > kLongest)
    fail(Code::invalid_argument, "a key has from 1 to {} bytes, not {}", kLongest, key.size());
}

std::int64_t ticks() { return time_now().time_since_epoch().count(); }

}  // namespace

Keys::Keys(fs::path folder, Environment& environment)
    : folder_(std::move(folder)), environment_(environment) {
  if (folder_.empty()) return;
  make_own_folder(folder_);
  read_archives(folder_, FileKind::key, [&](Reader& in, const fs::path& path) {
    const std::string key = in.get_text();
    if (file_of(folder_, key) != path) fail(Code::data_corrupt, "it has another's name");
    keys_[key] = keep(key, Buffer(in.get_bytes()), {});
  });
}

std::shared_ptr<Keys::Kept> Keys::keep(const std::string& key, Buffer value, Charge charge) {
  auto kept = std::make_shared<Kept>();
  charge.resize(environment_.budget, key.size() + value.size() + sizeof(Kept));
  kept->charge = std::move(charge);
  kept->value = std::move(value);
  kept->touched = ticks();
  return kept;
}

void Keys::write(const std::string& key, const Kept& kept) const {
  if (folder_.empty()) return;
  Writer out;
  out.put(key);
  out.put(kept.value.view());
  write_archive(file_of(folder_, key), FileKind::key, out);
}

void Keys::erase_file(const std::string& key) const {
  if (folder_.empty()) return;
  std::error_code ignored;
  fs::remove(file_of(folder_, key), ignored);
}

void Keys::put(const std::string& key, Buffer value, Charge charge) {
  check_name(key);
  std::shared_ptr<Kept> kept = keep(key, std::move(value), std::move(charge));
  const std::unique_lock lock(mutex_);
  write(key, *kept);
  keys_.insert_or_assign(key, std::move(kept));
}

bool Keys::create(const std::string& key, Buffer value, Charge charge) {
  check_name(key);
  std::shared_ptr<Kept> kept = keep(key, std::move(value), std::move(charge));
  const std::unique_lock lock(mutex_);
  if (keys_.contains(key)) return false;
  write(key, *kept);
  keys_.emplace(key, std::move(kept));
  return true;
}

std::shared_ptr<const Buffer> Keys::get(const std::string& key) {
  const std::shared_lock lock(mutex_);
  const auto at = keys_.find(key);
  if (at == keys_.end()) return nullptr;
  at->second->touched = ticks();
  return {at->second, &at->second->value};
}

void Keys::remove(const std::string& key) {
  const std::unique_lock lock(mutex_);
  if (keys_.erase(key) > 0) erase_file(key);
}

std::vector<std::pair<std::string, std::uint64_t>> Keys::find(const std::string& prefix,
                                                              const std::string& after,
                                                              std::size_t most) const {
  const std::shared_lock lock(mutex_);
  constexpr std::size_t kMostBytes = 1 << 20;
  std::vector<std::pair<std::string, std::uint64_t>> out;
  std::size_t bytes = 0;
  auto at = after.empty() ? keys_.lower_bound(prefix) : keys_.upper_bound(after);
  for (; at != keys_.end() && at->first.starts_with(prefix) && out.size() < most &&
         bytes < kMostBytes;
       ++at) {
    out.emplace_back(at->first, at->second->value.size());
    bytes += at->first.size();
  }
  return out;
}

void Keys::clear(const std::string& prefix) {
  const std::unique_lock lock(mutex_);
  for (auto at = keys_.lower_bound(prefix); at != keys_.end() && at->first.starts_with(prefix);) {
    erase_file(at->first);
    at = keys_.erase(at);
  }
}

std::size_t Keys::size() const {
  const std::shared_lock lock(mutex_);
  return keys_.size();
}

void Keys::add_idle_times(std::map<std::string, double>& idle_s) const {
  const std::shared_lock lock(mutex_);
  for (const auto& [key, kept] : keys_) {
    const TimePoint::duration since(ticks() - kept->touched);
    const double seconds = std::chrono::duration<double>(since).count();
    const auto [at, is_new] = idle_s.try_emplace(group_of(key), seconds);
    at->second = std::min(at->second, seconds);
  }
}

}  // namespace lambdaml::ps
