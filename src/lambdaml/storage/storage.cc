#include "lambdaml/storage/storage.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"
#include "lambdaml/storage/registry.h"

namespace lambdaml::storage {

void check_key(std::string_view key) {
  const auto bad = [&](std::string_view why) {
    fail(Code::invalid_argument, "key '{}': {}", printable(key), why);
  };
  if (key.empty()) bad("a key must not be empty");
  if (key.size() > 200) bad("a key has at most 200 bytes");
  if (key.find('\0') != std::string_view::npos) bad("a key holds no zero byte");
  for (const std::string& part : split(key, '/'))
    if (part.empty() || part == "." || part == "..")
      bad("no part between slashes may be empty, '.' or '..'");
}

void fail_missing(const std::string& store, const std::vector<std::string>& missing,
                  double waited_s) {
  std::vector<std::string> shown(
      missing.begin(),
      missing.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(missing.size(), 5)));
  if (missing.size() > shown.size())
    shown.push_back(fmt::format("and {} more", missing.size() - shown.size()));
  fail(Code::deadline_exceeded, "waiting {} in {} for {}", human_seconds(waited_s), store,
       join(shown, ", "));
}

void Storage::save_all(std::span<const Item> items) {
  for (const Item& item : items) save(item.key, item.value);
}

void Storage::remove_all(std::span<const std::string> keys) {
  for (const std::string& key : keys) remove(key);
}

void Storage::clear(std::string_view prefix) {
  std::vector<std::string> keys;
  for (Entry& entry : list(prefix)) keys.push_back(std::move(entry.key));
  remove_all(keys);
}

std::vector<Buffer> Storage::load_all(std::span<const std::string> keys, Deadline deadline) {
  const Stopwatch clock;
  std::vector<std::optional<Buffer>> found(keys.size());
  double pause_s = 1e-4;
  while (true) {
    std::vector<std::string> missing;
    for (std::size_t i = 0; i < keys.size(); ++i)
      if (!found[i] && !(found[i] = load(keys[i]))) missing.push_back(keys[i]);
    if (missing.empty()) break;
    if (deadline.passed()) fail_missing(describe(), missing, clock.seconds());
    std::this_thread::sleep_for(
        std::chrono::duration<double>(std::min(pause_s, deadline.seconds_left())));
    pause_s = std::min(pause_s * 2, longest_poll());
  }
  std::vector<Buffer> values;
  for (std::optional<Buffer>& value : found) values.push_back(std::move(*value));
  return values;
}

Buffer Storage::load_or_wait(std::string_view key, Deadline deadline) {
  const std::string wanted(key);
  return std::move(load_all({&wanted, 1}, deadline).front());
}

Uri resolve(std::string_view text) {
  if (const Plugin* plugin = registry().find(text)) return plugin->default_uri();
  const bool bare_word = text.find_first_of("/.:") == std::string_view::npos;
  if (bare_word) registry().get(text);  // throws, naming the nearest
  Uri uri = Uri::parse(text);
  registry().get(uri.scheme);
  return uri;
}

std::shared_ptr<Storage> open(std::string_view text) { return open(resolve(text)); }

std::shared_ptr<Storage> open(const Uri& uri) { return registry().get(uri.scheme).open(uri); }

Object open_object(const Uri& uri) {
  if (uri.name().empty()) fail(Code::invalid_argument, "{}: names no object", uri.display());
  return {open(uri.parent()), uri.name()};
}

}  // namespace lambdaml::storage
