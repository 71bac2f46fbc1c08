#include "lambdaml/storage/storage.h"

#include <algorithm>
#include <filesystem>
#include <map>

#include "lambdaml/base/text.h"
#include "lambdaml/base/unique_id.h"
#include "lambdaml/storage/decorators.h"
#include "lambdaml/storage/own_place.h"
#include "lambdaml/storage/registry.h"
#include "lambdaml/storage/retried.h"
#include "lambdaml/storage/wait.h"

namespace lambdaml::storage {
namespace {

constexpr std::size_t kLongestKey = 200;

bool has_control_characters(std::string_view text) {
  return std::ranges::any_of(text, [](unsigned char c) { return c < 0x20 || c == 0x7F; });
}

/// What is wrong with a key; null if it is valid.
const char* fault_of(std::string_view key) {
  if (key.empty()) return "is empty";
  if (key.size() > kLongestKey) return "is longer than 200 bytes";
  if (has_control_characters(key)) return "has control characters";
  for (std::size_t begin = 0; begin <= key.size();) {
    const std::size_t end = std::min(key.find('/', begin), key.size());
    const std::string_view part = key.substr(begin, end - begin);
    if (part.empty()) return "has an empty part between slashes";
    if (part == "." || part == "..") return "has a part '.' or '..'";
    begin = end + 1;
  }
  return nullptr;
}

/// Throws for a scheme like `pss` of a store whose URIs ask for TLS by an option, so that it is not
/// taken for a slip of the plain one, which would send a password in the clear. `what` begins the
/// message.
void refuse_tls_scheme(std::string_view scheme, std::string_view what) {
  if (!scheme.ends_with('s') || registry().find(scheme) != nullptr) return;
  const Plugin* plain = registry().find(scheme.substr(0, scheme.size() - 1));
  if (plain != nullptr &&
      std::ranges::find(plain->options, "tls", &Option::name) != plain->options.end())
    fail(Code::invalid_argument, "{}: {} over TLS is {}://HOST?tls=1", what, plain->name,
         plain->name);
}

}  // namespace

void check_key(std::string_view key) {
  if (const char* why = fault_of(key))
    fail(Code::invalid_argument, "the key '{}' {}", printable(key), why);
}

void check_text_key(std::string_view key) {
  check_key(key);
  if (!is_utf8(key))
    fail(Code::invalid_argument, "the key '{}' is not UTF-8 text, as keys of this store must be",
         printable(key));
}

bool is_valid_key(std::string_view key) { return fault_of(key) == nullptr; }

void check_count(std::size_t keys, std::string_view store) {
  constexpr std::size_t kMostKeys = 10'000'000;
  if (keys > kMostKeys)
    fail(Code::resource_exhausted,
         "{}: its list of keys has more than {}; give a prefix of its own", store,
         human_count(kMostKeys));
}

Bytes part_of_value(Bytes value, std::uint64_t begin, std::uint64_t bytes) {
  begin = std::min<std::uint64_t>(begin, value.size());
  return value.subspan(begin, std::min<std::uint64_t>(bytes, value.size() - begin));
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

bool Storage::exists(std::string_view key) { return load(key).has_value(); }

std::optional<Buffer> Storage::load_range(std::string_view key, std::uint64_t begin,
                                          std::uint64_t bytes) {
  const std::optional<Buffer> value = load(key);
  if (!value) return {};
  return Buffer(part_of_value(*value, begin, bytes));
}

std::vector<std::optional<Buffer>> Storage::load_present(std::span<const std::string> keys) {
  std::vector<std::optional<Buffer>> values;
  values.reserve(keys.size());
  for (const std::string& key : keys) values.push_back(load(key));
  return values;
}

void Storage::save_gathered(std::string_view key, std::span<const Bytes> pieces) {
  save(key, joined(pieces));
}

void Storage::save_all(std::span<const Item> items) {
  for (const Item& item : items) save(item.key, item.value);
}

void Storage::remove_all(std::span<const std::string> keys) {
  for (const std::string& key : keys) remove(key);
}

void Storage::save_and_remove(std::span<const Item> items, std::span<const std::string> keys) {
  if (items.size() == 1)
    save(items.front().key, items.front().value);
  else
    save_all(items);
  remove_all(keys);
}

void Storage::clear(std::string_view prefix) {
  std::vector<std::string> keys;
  for (Entry& entry : list(prefix)) keys.push_back(std::move(entry.key));
  remove_all(keys);
}

std::vector<Buffer> Storage::load_all(std::span<const std::string> keys, Deadline deadline) {
  if (keys.empty()) return {};
  // A repeated key is loaded once.
  std::vector<std::string> once;
  std::map<std::string_view, std::size_t> place_of;
  std::vector<std::size_t> places;
  for (const std::string& key : keys) {
    const auto [at, is_new] = place_of.try_emplace(key, once.size());
    if (is_new) once.push_back(key);
    places.push_back(at->second);
  }
  const std::size_t n = once.size();
  Wait wait(*this, std::move(once), deadline);
  std::vector<Buffer> values(n);
  while (std::optional<Arrival> arrival = wait.next())
    values[arrival->index] = std::move(arrival->value);
  if (n == keys.size()) return values;
  std::vector<Buffer> out;
  for (const std::size_t place : places) out.emplace_back(values[place].view());
  return out;
}

std::unique_ptr<KeyWatch> Storage::watch(std::vector<std::string> keys) {
  return watch_by_polling(*this, std::move(keys), pacer());
}

void Storage::add_hooks(Wait&) {}

Aggregator* Storage::aggregator() { return nullptr; }

void Storage::take_share(double) {}

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
  if (!uri.host.empty()) refuse_tls_scheme(uri.scheme, uri.display());
  return open_with(registry().get(uri.scheme), uri, std::move(patience));
}

Uri resolve(std::string_view text) {
  if (const Plugin* plugin = registry().find(text)) return plugin->default_uri();
  const bool bare = text.find_first_of("/.:") == std::string_view::npos;
  std::error_code ignored;
  const bool is_a_slip = bare && !text.empty() && !std::filesystem::exists(text, ignored);
  if (is_a_slip) refuse_tls_scheme(text, text);
  if (is_a_slip && !nearest(text, registry().names()).empty())
    fail(Code::invalid_argument, "no store '{}'{} A folder of that name is written ./{}",
         printable(text), did_you_mean(text, registry().names()), printable(text));
  return Uri::parse(text);
}

void require_own_place(const Uri& uri) {
  if (const Plugin& plugin = registry().get(uri.scheme); plugin.require_own)
    plugin.require_own(uri);
}

void require_atomic_create(Storage& store, std::string_view what) {
  const Capabilities capabilities = store.capabilities();
  const auto refuse = [&](const std::string& why) {
    fail(Code::invalid_argument,
         "{}; {} needs conditional writes: choose another store, or a server that has them "
         "(docs/reference/channels.md)",
         why, what);
  };
  if (!capabilities.atomic_create) refuse(store.describe() + " has no atomic create");
  if (!capabilities.create_varies) return;
  const std::string key = "probe-" + unique_id();
  bool is_atomic = false;
  try {
    store.create(key, as_bytes("first"));
    is_atomic = !store.create(key, as_bytes("second"));
  } catch (const Error& error) {
    if (error.code() != Code::invalid_argument) throw;
    fail(Code::invalid_argument, "{} needs conditional writes: {}", what, error.what());
  }
  store.remove(key);
  if (!is_atomic)
    refuse(store.describe() + ": the server ignores the condition of a write (If-None-Match: *)");
}

Object open_object(const Uri& uri) {
  const std::string key = uri.name();
  if (key.empty()) fail(Code::invalid_argument, "{} names a store, not a value", uri.display());
  return {open(uri.parent()), key};
}

}  // namespace lambdaml::storage
