#include "lambdaml/storage/storage.h"

#include <algorithm>
#include <deque>
#include <filesystem>
#include <numeric>

#include "lambdaml/base/text.h"
#include "lambdaml/base/wait.h"
#include "lambdaml/storage/decorators.h"
#include "lambdaml/storage/own_place.h"
#include "lambdaml/storage/registry.h"
#include "lambdaml/storage/retried.h"

namespace lambdaml::storage {
namespace {

constexpr std::size_t kLongestKey = 200;

/// Whether the bytes are well-formed UTF-8 without control characters.
bool is_plain_utf8(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = utf8_length(text, at);
    const auto first = static_cast<unsigned char>(text[at]);
    if (length == 0 || first < 0x20 || first == 0x7F) return false;
    at += length;
  }
  return true;
}

/// What is wrong with a key; null when it is good.
const char* fault_of(std::string_view key) {
  if (key.empty()) return "is empty";
  if (key.size() > kLongestKey) return "is longer than 200 bytes";
  if (!is_plain_utf8(key)) return "is not UTF-8 text without control characters";
  for (std::size_t begin = 0; begin <= key.size();) {
    const std::size_t end = std::min(key.find('/', begin), key.size());
    const std::string_view part = key.substr(begin, end - begin);
    if (part.empty()) return "has an empty part between slashes";
    if (part == "." || part == "..") return "has a part '.' or '..'";
    begin = end + 1;
  }
  return nullptr;
}

}  // namespace

void check_key(std::string_view key) {
  if (const char* why = fault_of(key))
    fail(Code::invalid_argument, "the key '{}' {}", printable(key), why);
}

bool is_valid_key(std::string_view key) { return fault_of(key) == nullptr; }

void check_count(std::size_t keys, std::string_view store) {
  constexpr std::size_t kMostKeys = 10'000'000;
  if (keys > kMostKeys)
    fail(Code::resource_exhausted,
         "{}: its list of keys has more than {}; give a prefix of its own", store,
         human_count(kMostKeys));
}

void fail_missing(const std::string& store, const std::vector<std::string>& missing,
                  double waited_s) {
  constexpr std::size_t kNamed = 5;
  std::string names;
  for (std::size_t i = 0; i < std::min(missing.size(), kNamed); ++i)
    names += fmt::format("{}'{}'", i == 0 ? "" : ", ", missing[i]);
  if (missing.size() > kNamed) names += fmt::format(" and {} more", missing.size() - kNamed);
  throw MissingKeys(fmt::format("waiting in {} for {}: not there after {}", store, names,
                                human_seconds(waited_s)),
                    missing);
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
  if (keys.empty()) return {};
  const Stopwatch waited;
  std::vector<Buffer> values(keys.size());
  std::deque<std::size_t> missing(keys.size());
  std::iota(missing.begin(), missing.end(), 0);
  Pacer::Wait wait = pacer().wait_for(keys.front());
  while (true) {
    const double pause = wait.next_look_s() - waited.seconds();
    if (pause > 0) sleep_until(Deadline::in(pause).earlier(deadline));
    const bool last_look = deadline.passed();
    // The wait ends with the last key, whichever it is: one that is missing tells as much as all.
    while (!missing.empty()) {
      std::optional<Buffer> value = load(keys[missing.front()]);
      if (!value) break;
      values[missing.front()] = std::move(*value);
      missing.pop_front();
    }
    if (missing.empty()) {
      wait.found(waited.seconds());
      return values;
    }
    wait.in_vain(waited.seconds());
    if (!last_look) continue;
    std::vector<std::string> names = {keys[missing.front()]};
    missing.pop_front();
    for (const std::size_t i : missing)
      if (!load(keys[i])) names.push_back(keys[i]);
    fail_missing(describe(), names, waited.seconds());
  }
}

Aggregator* Storage::aggregator() { return nullptr; }

bool Storage::count_into(std::shared_ptr<Meter>) { return false; }

Pacer& Storage::pacer() { return pacer_; }

Buffer Storage::load_or_wait(std::string_view key, Deadline deadline) {
  const std::string one(key);
  return std::move(load_all({&one, 1}, deadline).front());
}

std::shared_ptr<Storage> open(std::string_view uri, std::shared_ptr<Meter> meter,
                              std::shared_ptr<Patience> patience) {
  return open(resolve(uri), std::move(meter), std::move(patience));
}

std::shared_ptr<Storage> open(const Uri& uri, std::shared_ptr<Meter> meter,
                              std::shared_ptr<Patience> patience) {
  if (!patience) patience = std::make_shared<Patience>();
  const RetryPolicy policy;
  std::shared_ptr<Storage> store = retried(
      *patience, policy, [&] { return uri.display(); }, {.key = "opening", .answers = false},
      [&] { return open_plain(uri, patience); }, [] {});
  if (meter) store = with_meter(std::move(store), std::move(meter));
  return with_chunks(with_retry(std::move(store), policy, std::move(patience)));
}

std::shared_ptr<Storage> open_plain(const Uri& uri, std::shared_ptr<Patience> patience) {
  if (!patience) patience = std::make_shared<Patience>();
  return registry().get(uri.scheme).open(uri, std::move(patience));
}

Uri resolve(std::string_view text) {
  if (const Plugin* plugin = registry().find(text)) return plugin->default_uri();
  const bool bare = text.find_first_of("/.") == std::string_view::npos;
  std::error_code ignored;
  if (bare && !text.empty() && !std::filesystem::exists(text, ignored) &&
      !nearest(text, registry().names()).empty())
    fail(Code::invalid_argument, "no store '{}'{} A folder of that name is written ./{}",
         printable(text), did_you_mean(text, registry().names()), printable(text));
  return Uri::parse(text);
}

void require_own_place(const Uri& uri) {
  if (const Plugin& plugin = registry().get(uri.scheme); plugin.require_own)
    plugin.require_own(uri);
}

Object open_object(const Uri& uri) {
  const std::string key = uri.name();
  if (key.empty()) fail(Code::invalid_argument, "{} names a store, not a value", uri.display());
  return {open(uri.parent()), key};
}

}  // namespace lambdaml::storage
