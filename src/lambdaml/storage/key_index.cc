#include "lambdaml/storage/key_index.h"

#include <algorithm>

#include "lambdaml/base/error.h"
#include "lambdaml/base/rng.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/unique_id.h"
#include "lambdaml/base/wait.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::storage {
namespace {

/// After appending this much, a handle checks which names still have values.
constexpr std::size_t kTidyBytes = 8 << 10;
/// Attempts at operations that concurrent writers can make fail.
constexpr int kTries = 10;

std::string new_generation() { return fmt::format("/{:016x}\n", unique_number()); }

/// Calls on_name for each line except the generation.
template <class OnName>
void each_name(std::string_view text, OnName&& on_name) {
  for (std::size_t begin = 0, end = 0; (end = text.find('\n', begin)) != std::string_view::npos;
       begin = end + 1) {
    const std::string_view name = text.substr(begin, end - begin);
    if (!name.empty() && !name.starts_with('/')) on_name(name);
  }
}

std::string line_of(std::string_view name) { return std::string(name) + "\n"; }

bool is_folder(std::string_view name) { return name.ends_with('/'); }
/// `a`, `b/` → `a/b`.
std::string folder_at(std::string_view folder, std::string_view name) {
  return join_key(folder, name.substr(0, name.size() - 1));
}

/// The server's contents are untrusted: another program may have written them.
bool is_good(const std::string& key) {
  try {
    check_text_key(key);
    return true;
  } catch (const Error&) {
    return false;
  }
}

/// The root, `a`, `a/b` for the prefixes `a/b/` and `a/b/c`.
std::vector<std::string> folders_above(std::string_view prefix) {
  std::vector<std::string> out = {""};
  for (std::size_t slash = 0; (slash = prefix.find('/', slash)) != std::string_view::npos; ++slash)
    out.emplace_back(prefix.substr(0, slash));
  return out;
}

}  // namespace

std::pair<std::string_view, std::string_view> split_key(std::string_view key) {
  const std::size_t slash = key.rfind('/');
  if (slash == std::string_view::npos) return {{}, key};
  return {key.substr(0, slash), key.substr(slash + 1)};
}

std::string join_key(std::string_view folder, std::string_view name) {
  return folder.empty() ? std::string(name) : fmt::format("{}/{}", folder, name);
}

void KeyIndex::count_put(std::size_t bytes) const {
  if (meter_) meter_->count_put(1, bytes);
}
void KeyIndex::count_remove(std::size_t keys) const {
  if (meter_) meter_->count_remove(keys);
}

bool KeyIndex::knows(std::string_view key) const {
  const auto [folder, name] = split_key(key);
  const std::lock_guard lock(mutex_);
  const auto at = folders_.find(folder);
  return at != folders_.end() && at->second.names.contains(name);
}

// ---- noting ----

void KeyIndex::note_around(Items& store, std::span<const std::string_view> keys,
                           const std::function<void()>& save) {
  std::map<std::string, std::string> lines;
  for (const std::string_view key : keys) {
    const auto [folder, name] = split_key(key);
    lines[std::string(folder)] += line_of(name);
  }
  const auto each_folder = [&](const auto& call) {
    const std::lock_guard lock(mutex_);
    for (const auto& [folder, text] : lines) call(folders_[folder], text);
  };
  each_folder([](Folder& folder, const std::string&) { ++folder.saving; });
  const auto end = [&](bool saved) {
    each_folder([&](Folder& folder, const std::string& text) {
      --folder.saving;
      if (saved) each_name(text, [&](std::string_view name) { folder.names.emplace(name); });
    });
  };
  try {
    const Stopwatch clock;
    for (const auto& [folder, text] : lines) note(store, folder, text);
    save();
    if (clock.seconds() >= kLease)
      for (const auto& [folder, text] : lines) note(store, folder, text);
  } catch (...) {
    end(false);
    throw;
  }
  end(true);
}

void KeyIndex::note(Items& store, std::string_view folder, const std::string& lines) {
  const std::string item = store.item_of_folder(folder);
  for (int i = 0; i < kTries; ++i) {
    count_put(lines.size());
    if (store.append(item, as_bytes(lines))) return noted(folder, lines, nullptr);
    // No list: the folder is new or was cleared, so its name may be missing from its parent's list.
    // Add it there first, so that a crash leaves no list that cannot be found.
    const auto [parent, name] = split_key(folder);
    const std::string line = line_of(std::string(name) + "/");
    const Stopwatch clock;
    if (!folder.empty()) note(store, parent, line);
    const std::string text = new_generation() + lines;
    count_put(text.size());
    if (store.add(item, as_bytes(text))) {
      if (!folder.empty() && clock.seconds() >= kLease) note(store, parent, line);
      return noted(folder, lines, &text);
    }
    // Another writer was faster; or the list is full, which the server reports like an absent item.
    if (i > 0) make_room(store, folder);
  }
  fail(Code::resource_exhausted,
       "the folder '{}' has more keys than its list can hold (start the server with a larger -I)",
       printable(folder));
}

/// Remembers that `lines` were appended, or that the whole list was `added`.
void KeyIndex::noted(std::string_view folder, const std::string& lines, const std::string* added) {
  const std::lock_guard lock(mutex_);
  Folder& known = folders_[std::string(folder)];
  if (added != nullptr)
    known.own = *added;
  else if (known.own)
    *known.own += lines;
  if (known.own && known.own->size() > kTidyBytes) known.own.reset();
  known.appended += lines.size();
  each_name(lines, [&](std::string_view name) {
    if (is_folder(name)) known.names.emplace(name);
  });
}

/// For a list that has reached the maximum item size.
void KeyIndex::make_room(Items& store, std::string_view folder) {
  const std::optional<List> full = list(store, folder);
  if (!full) return;
  sleep_until(Deadline::in(kLease));
  drop_lost(store, folder, full->text);
}

// ---- forgetting ----

void KeyIndex::forget(std::span<const std::string> keys) {
  const std::lock_guard lock(mutex_);
  for (const std::string& key : keys) {
    const auto [folder, name] = split_key(key);
    const auto at = folders_.find(folder);
    if (at == folders_.end()) continue;
    if (const auto known = at->second.names.find(name); known != at->second.names.end())
      at->second.names.erase(known);
  }
}

void KeyIndex::remove_emptied(Items& store, std::span<const std::string> keys) {
  std::set<std::string> folders;
  for (const std::string& key : keys) folders.emplace(split_key(key).first);
  // Longest first, so that children come before their parents.
  while (!folders.empty()) {
    const std::string folder = std::move(
        folders
            .extract(std::ranges::max_element(folders, {}, [](const auto& f) { return f.size(); }))
            .value());
    std::string own;
    {
      const std::lock_guard lock(mutex_);
      const auto at = folders_.find(folder);
      if (at == folders_.end()) continue;
      Folder& known = at->second;
      if (!known.own || !known.names.empty() || known.saving > 0) continue;
      own = *known.own;
      folders_.erase(at);
    }
    // Equal texts show that no other writer has noted anything; the version ensures that this stays
    // so.
    const std::optional<List> there = list(store, folder);
    if (!there || there->text != own) continue;
    count_remove(1);
    if (!store.remove_if_same(store.item_of_folder(folder), there->version) || folder.empty())
      continue;
    const auto [parent, name] = split_key(folder);
    const std::lock_guard lock(mutex_);
    if (const auto at = folders_.find(parent); at != folders_.end()) {
      at->second.names.erase(std::string(name) + "/");
      folders.emplace(parent);
    }
  }
}

void KeyIndex::tidy(Items& store, std::string_view key) {
  const std::string_view folder = split_key(key).first;
  std::optional<std::string> settled;
  {
    const std::lock_guard lock(mutex_);
    const auto at = folders_.find(folder);
    if (at == folders_.end()) return;
    Folder& known = at->second;
    if (known.seen) {
      if (!known.settled.passed()) return;
      settled = std::exchange(known.seen, std::nullopt);
    } else if (known.appended < kTidyBytes) {
      return;
    } else {
      known.appended = 0;
    }
  }
  if (settled) return drop_lost(store, folder, *settled);
  if (std::optional<List> now = list(store, folder)) {
    const std::lock_guard lock(mutex_);
    Folder& known = folders_[std::string(folder)];
    known.seen = std::move(now->text);
    known.settled = Deadline::in(kLease);
  }
}

/// Drops the names that were in the list `seen` kLease or longer ago and have no value now.
/// Assumes, without a request, that keys that this handle saved and did not remove have values.
void KeyIndex::drop_lost(Items& store, std::string_view folder, const std::string& seen) {
  std::vector<std::string> names;
  std::vector<std::string> items;
  each_name(seen, [&](std::string_view name) {
    if (!is_folder(name) && knows(join_key(folder, name))) return;
    names.emplace_back(name);
    items.push_back(is_folder(name) ? store.item_of_folder(folder_at(folder, name))
                                    : store.item_of_key(join_key(folder, name)));
  });
  if (meter_) meter_->count_get(items.size(), 0);
  std::set<std::string, std::less<>> lost(names.begin(), names.end());
  store.get(items, [&](std::size_t i, const Buffer&, std::uint64_t) { lost.erase(names[i]); });
  if (!lost.empty())
    drop(store, folder, seen, [&](std::string_view name) { return lost.contains(name); });
}

/// Removes the names that match `gone` from the part of the list that was `seen`, and the list
/// itself if nothing is left. Concurrent appends are kept. Returns false, changing nothing, if
/// others have modified that part or keep interfering.
bool KeyIndex::drop(Items& store, std::string_view folder, const std::string& seen,
                    const Gone& gone) const {
  const std::string item = store.item_of_folder(folder);
  for (int i = 0; i < kTries; ++i) {
    const std::optional<List> now = list(store, folder);
    if (!now) return true;
    if (!now->text.starts_with(seen)) return false;
    std::set<std::string_view> kept;
    each_name(seen, [&](std::string_view name) {
      if (!gone(name)) kept.insert(name);
    });
    const std::string_view appended = std::string_view(now->text).substr(seen.size());
    if (kept.empty() && appended.empty()) {
      count_remove(1);
      if (store.remove_if_same(item, now->version)) return true;
      continue;
    }
    std::string text = now->text.substr(0, now->text.find('\n') + 1);
    for (const std::string_view name : kept) text += line_of(name);
    text += appended;
    if (text.size() == now->text.size()) return true;
    count_put(text.size());
    if (store.set_if_same(item, as_bytes(text), now->version)) return true;
  }
  return false;
}

// ---- looking ----

std::vector<std::optional<KeyIndex::List>> KeyIndex::lists(
    Items& store, std::span<const std::string> folders) const {
  std::vector<std::string> items;
  for (const std::string& folder : folders) items.push_back(store.item_of_folder(folder));
  if (meter_) meter_->count_list(items.size());
  std::vector<std::optional<List>> out(folders.size());
  store.get(items, [&](std::size_t i, const Buffer& text, std::uint64_t version) {
    out[i] = List{std::string(text.text()), version};
  });
  return out;
}

std::optional<KeyIndex::List> KeyIndex::list(Items& store, std::string_view folder) const {
  const std::string one(folder);
  return std::move(lists(store, {&one, 1}).front());
}

KeyIndex::Tree KeyIndex::walk(Items& store, std::string_view prefix) const {
  Tree tree;
  std::set<std::string> keys;
  std::vector<std::string> level = folders_above(prefix);
  std::set<std::string> met(level.begin(), level.end());
  while (!level.empty()) {
    const std::vector<std::optional<List>> found = lists(store, level);
    std::vector<std::string> next;
    for (std::size_t i = 0; i < level.size(); ++i) {
      if (!found[i]) continue;
      each_name(found[i]->text, [&](std::string_view name) {
        std::string full = join_key(level[i], name);
        if (!full.starts_with(prefix)) return;
        tree.empty = false;
        const bool folder = is_folder(name);
        if (folder) full.pop_back();
        if (!is_good(full)) return;
        if (!folder)
          keys.insert(std::move(full));
        else if (met.insert(full).second)
          next.push_back(std::move(full));
      });
      tree.lists.emplace_back(level[i], found[i]->text);
    }
    level = std::move(next);
  }
  tree.keys.assign(keys.begin(), keys.end());
  return tree;
}

std::vector<std::string> KeyIndex::keys(Items& store, std::string_view prefix) const {
  return walk(store, prefix).keys;
}

void KeyIndex::remove_values(Items& store, std::span<const std::string> keys) const {
  std::vector<std::string> items;
  for (const std::string& key : keys) items.push_back(store.item_of_key(key));
  count_remove(items.size());
  store.remove_all(items);
}

void KeyIndex::clear(Items& store, std::string_view prefix) {
  {
    const std::lock_guard lock(mutex_);
    std::erase_if(folders_, [&](const auto& known) {
      return known.second.saving == 0 && (known.first + "/").starts_with(prefix);
    });
  }
  for (int i = 0; i < kTries; ++i) {
    const Tree tree = walk(store, prefix);
    if (tree.empty) return;
    const Deadline settled = Deadline::in(kLease);
    remove_values(store, tree.keys);
    sleep_until(settled);
    // Values that arrived after their names were read.
    remove_values(store, tree.keys);
    bool done = true;
    for (auto at = tree.lists.rbegin(); at != tree.lists.rend(); ++at) {
      const auto& folder = at->first;
      const auto& seen = at->second;
      // Names under the prefix, and the folders that lead to it.
      const auto concerned = [&](std::string_view name) {
        const std::string full = join_key(folder, name);
        return full.starts_with(prefix) || (is_folder(name) && prefix.starts_with(full));
      };
      std::vector<std::string> names;
      std::vector<std::string> below;
      each_name(seen, [&](std::string_view name) {
        if (!is_folder(name) || !concerned(name)) return;
        names.emplace_back(name);
        below.push_back(folder_at(folder, name));
      });
      std::set<std::string, std::less<>> still_there;
      if (!below.empty()) {
        const std::vector<std::optional<List>> found = lists(store, below);
        for (std::size_t k = 0; k < found.size(); ++k)
          if (found[k]) still_there.insert(names[k]);
      }
      done &= drop(store, folder, seen, [&](std::string_view name) {
        return concerned(name) && !still_there.contains(name);
      });
    }
    if (done) return;
  }
}

}  // namespace lambdaml::storage
