#include "lambdaml/storage/sim/items.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include <fmt/format.h>

namespace lambdaml::storage::sim {
namespace {

using lambdaml::sim::StoreModel;
using lambdaml::sim::Verb;
using lambdaml::sim::World;

bool is_list(std::string_view item) { return item.starts_with('/'); }

/// A list as the model keeps it, with a version that no other has had.
StoreModel::Value list_of(std::string_view text, std::string_view more = {}) {
  static std::atomic<std::uint64_t> last{0};
  const std::uint64_t version = ++last;
  Buffer out(sizeof version + text.size() + more.size());
  std::memcpy(out.data(), &version, sizeof version);
  std::ranges::copy(as_bytes(text), out.data() + sizeof version);
  std::ranges::copy(as_bytes(more), out.data() + sizeof version + text.size());
  return std::make_shared<const Buffer>(std::move(out));
}

std::uint64_t version_of(const Buffer& list) {
  std::uint64_t version = 0;
  std::memcpy(&version, list.data(), sizeof version);
  return version;
}

std::string_view text_of(const Buffer& list) { return list.text().substr(sizeof(std::uint64_t)); }

/// A scale of values' bytes is not about lists.
std::uint64_t unscaled(std::size_t bytes) {
  const World* const world = World::current();
  const double scale = world == nullptr ? 1 : world->byte_scale;
  return static_cast<std::uint64_t>(static_cast<double>(bytes) / scale);
}

}  // namespace

std::string ModelItems::item_of_key(std::string_view key) const { return std::string(key); }
std::string ModelItems::item_of_folder(std::string_view folder) const {
  return fmt::format("/{}", folder);
}

bool ModelItems::change(Verb verb, std::string_view item, std::size_t bytes, const Change& change) {
  bool did = true;
  model_.request(verb, item, unscaled(bytes), {}, [&] {
    const std::lock_guard lock(values_);
    auto& values = model_.values();
    const auto at = values.find(item);
    const std::optional<Value> becomes = change(at == values.end() ? nullptr : at->second);
    did = becomes.has_value();
    if (did && *becomes)
      values.insert_or_assign(std::string(item), *becomes);
    else if (did && at != values.end())
      values.erase(at);
    return std::uint64_t{0};
  });
  return did;
}

bool ModelItems::add(std::string_view item, Bytes value) {
  return change(Verb::put, item, value.size(), [&](const Value& there) -> std::optional<Value> {
    if (there) return {};
    return list_of(as_text(value));
  });
}

bool ModelItems::append(std::string_view item, Bytes value) {
  return change(Verb::put, item, value.size(), [&](const Value& there) -> std::optional<Value> {
    if (!there) return {};
    return list_of(text_of(*there), as_text(value));
  });
}

bool ModelItems::set_if_same(std::string_view item, Bytes value, std::uint64_t version) {
  return change(Verb::put, item, value.size(), [&](const Value& there) -> std::optional<Value> {
    if (!there || version_of(*there) != version) return {};
    return list_of(as_text(value));
  });
}

bool ModelItems::remove_if_same(std::string_view item, std::uint64_t version) {
  return change(Verb::remove, item, 0, [&](const Value& there) -> std::optional<Value> {
    if (!there || version_of(*there) != version) return {};
    return Value();
  });
}

void ModelItems::get(std::span<const std::string> items, const OnFound& on_found) {
  if (items.empty()) return;
  model_.requests(Verb::get, {items.begin(), items.end()}, std::vector<std::uint64_t>(items.size()),
                  {}, [&](std::size_t i) -> std::uint64_t {
                    Value there;
                    {
                      const std::lock_guard lock(values_);
                      const auto at = model_.values().find(items[i]);
                      if (at == model_.values().end()) return 0;
                      there = at->second;
                    }
                    if (!is_list(items[i])) {
                      on_found(i, {}, 0);
                      return there->size();
                    }
                    const std::string_view text = text_of(*there);
                    on_found(i, Buffer(as_bytes(text)), version_of(*there));
                    return unscaled(text.size());
                  });
}

void ModelItems::remove_all(std::span<const std::string> items) {
  if (items.empty()) return;
  model_.requests(Verb::remove, {items.begin(), items.end()},
                  std::vector<std::uint64_t>(items.size()), {}, [&](std::size_t i) {
                    const std::lock_guard lock(values_);
                    if (const auto at = model_.values().find(items[i]); at != model_.values().end())
                      model_.values().erase(at);
                    return std::uint64_t{0};
                  });
}

}  // namespace lambdaml::storage::sim
