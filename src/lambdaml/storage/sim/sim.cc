#include <algorithm>
#include <any>
#include <cmath>
#include <limits>
#include <map>
#include <mutex>

#include "lambdaml/base/wait.h"
#include "lambdaml/sim/world.h"
#include "lambdaml/storage/aggregator.h"
#include "lambdaml/storage/decorators.h"
#include "lambdaml/storage/key_index.h"
#include "lambdaml/storage/meter.h"
#include "lambdaml/storage/registry.h"
#include "lambdaml/storage/sim/items.h"
#include "lambdaml/storage/sim/models.h"
#include "lambdaml/storage/sim/sums.h"
#include "lambdaml/storage/wait.h"

/// A store of a simulation (sim/world.h): `sim://NAME` is the store NAME of its profile, whose
/// requests take virtual time, fail and cost as the profile and the simulation's faults say. A
/// process that was killed has no store: its calls throw sim::Killed, and those of its destructors
/// do nothing. Outside a simulation, each name is a store within this process that takes no time.
namespace lambdaml::storage::sim {
namespace {

using lambdaml::sim::Simulation;
using lambdaml::sim::StoreModel;
using lambdaml::sim::StoreProfile;
using lambdaml::sim::Verb;
using lambdaml::sim::World;
using Value = StoreModel::Value;

/// Values that have arrived are found among so many missing keys.
constexpr std::size_t kLookedThrough = 256;

class Sim final : public Storage, public Aggregator {
 public:
  Sim(std::string name, std::shared_ptr<StoreModel> model)
      : name_(std::move(name)),
        model_(std::move(model)),
        pacer_(Pacer::tuning(model_->profile().polling_is_expensive,
                             model_->profile().polling_is_quick)),
        index_(model_->profile().keeps_index ? std::make_unique<KeyIndex>() : nullptr) {}

  Capabilities capabilities() const override {
    const StoreProfile& profile = model_->profile();
    return {.max_value_bytes = profile.max_value_bytes,
            .cross_process = false,
            .durable = profile.durable,
            .polling_is_expensive = profile.polling_is_expensive,
            .polling_is_quick = profile.polling_is_quick,
            .keeps_index = profile.keeps_index,
            .writes_per_s = profile.put_per_s > 0 ? profile.put_per_s
                                                  : std::numeric_limits<double>::infinity()};
  }
  std::string describe() const override { return "sim://" + name_; }
  Aggregator* aggregator() override { return model_->profile().adds ? this : nullptr; }

  void save(std::string_view key, Bytes value) override {
    save_all(std::vector<Item>{{key, value}});
  }
  std::optional<Buffer> load(std::string_view key) override {
    const std::string one(key);
    return std::move(load_present({&one, 1}).front());
  }
  std::optional<Buffer> load_range(std::string_view key, std::uint64_t begin,
                                   std::uint64_t bytes) override {
    if (index_) return Storage::load_range(key, begin, bytes);  // Memcached has no ranges
    check(key);
    std::optional<Buffer> part;
    model_->request(Verb::get, key, 0, counted_, [&]() -> std::uint64_t {
      if (const Value value = find(key)) part.emplace(part_of_value(value->view(), begin, bytes));
      return part ? part->size() : 0;
    });
    return part;
  }
  bool exists(std::string_view key) override {
    check(key);
    bool found = false;
    model_->request(Verb::get, key, 0, counted_, [&] {
      found = find(key) != nullptr;
      return std::uint64_t{0};
    });
    return found;
  }
  bool create(std::string_view key, Bytes value) override {
    check(key);
    check_size(key, value.size());
    bool created = false;
    auto copy = std::make_shared<const Buffer>(value);
    const auto request = [&] {
      model_->request(Verb::put, key, value.size(), counted_, [&] {
        const std::lock_guard lock(mutex());
        created = model_->values().try_emplace(std::string(key), std::move(copy)).second;
        return std::uint64_t{0};
      });
    };
    if (index_)
      index_->note_around(items_, {&key, 1}, request);
    else
      request();
    return created;
  }
  void remove(std::string_view key) override {
    const std::string one(key);
    remove_all({&one, 1});
  }
  std::vector<Entry> list(std::string_view prefix) override {
    std::vector<Entry> entries;
    if (index_) {
      const std::vector<std::string> keys = index_->keys(items_, prefix);
      const std::vector<std::optional<Buffer>> values = load_present(keys);
      for (std::size_t i = 0; i < keys.size(); ++i)
        if (values[i]) entries.push_back({keys[i], values[i]->size()});
      std::ranges::sort(entries, {}, &Entry::key);
      return entries;
    }
    model_->request(Verb::list, prefix, 0, counted_, [&] {
      const std::lock_guard lock(mutex());
      const auto& values = model_->values();
      for (auto at = values.lower_bound(prefix);
           at != values.end() && at->first.starts_with(prefix); ++at)
        entries.push_back({at->first, at->second->size()});
      return std::uint64_t{0};
    });
    return entries;
  }

  /// As the stores that it stands for: those that are polled count their requests themselves, polls
  /// in vain among them; of others a decorator counts what they are asked for, but for sums.
  bool count_into(std::shared_ptr<Meter> meter) override {
    meter_ = std::move(meter);
    if (World::current() == nullptr || model_->profile().pushes || model_->profile().adds)
      return false;
    if (index_) index_->count_into(meter_);
    counted_ = [meter = meter_](Verb verb, std::uint64_t requests, std::uint64_t bytes) {
      switch (verb) {
        case Verb::put:
          return meter->count_put(requests, bytes);
        case Verb::get:
          return meter->count_get(requests, bytes);
        case Verb::list:
          return meter->count_list(requests);
        case Verb::remove:
          return meter->count_remove(requests);
      }
    };
    return true;
  }

  /// A store that adds up has its own request for it, as a parameter server does.
  void clear(std::string_view prefix) override {
    if (index_) return index_->clear(items_, prefix);
    if (!model_->profile().adds) return Storage::clear(prefix);
    model_->request(Verb::list, prefix, 0, counted_, [&] {
      const auto is_below = [&](const auto& item) { return item.first.starts_with(prefix); };
      std::erase_if(sums(), is_below);
      const std::lock_guard lock(mutex());
      std::erase_if(model_->values(), is_below);
      return std::uint64_t{0};
    });
  }

  SumAnswer push_pull(const SumRequest& request, std::span<double> totals, std::span<float> values,
                      Deadline deadline) override {
    check(request.key);
    require_finite(totals, values);
    const std::string key(request.key);
    // A wait in pieces sends its part once, and then asks.
    const auto delivered = delivered_.find(key);
    const bool is_there = delivered != delivered_.end() && delivered->second == request.round;
    const std::uint64_t bytes =
        is_there ? 0 : totals.size_bytes() + (request.last ? 0 : values.size_bytes());
    if (meter_) meter_->count_put(1, bytes);
    std::optional<Sum::Answer> answer;
    const bool in_time = model_->exchange(
        key, bytes,
        [&] {
          return sums()[key].add(request,
                                 {{totals.begin(), totals.end()}, {values.begin(), values.end()}});
        },
        [&]() -> std::optional<std::uint64_t> {
          answer = sums()[key].answer(request);
          if (!answer) return {};
          return answer->sum ? answer->sum->bytes() : 0;
        },
        deadline);
    if (!in_time) {
      delivered_[key] = request.round;
      throw MissingWorkers(fmt::format("{}: summing '{}', round {}: workers are missing",
                                       describe(), key, request.round),
                           sums()[key].missing(request));
    }
    delivered_.erase(key);
    if (meter_) meter_->count_get(1, answer->sum ? answer->sum->bytes() : 0);
    if (answer->sum) answer->sum->copy_to(totals, values);
    return {answer->merged, answer->generation};
  }

  std::vector<std::optional<Buffer>> load_present(std::span<const std::string> keys) override {
    for (const std::string& key : keys) check(key);
    std::vector<std::optional<Buffer>> out(keys.size());
    if (keys.empty()) return out;
    model_->requests(Verb::get, {keys.begin(), keys.end()}, std::vector<std::uint64_t>(keys.size()),
                     counted_, [&](std::size_t i) -> std::uint64_t {
                       if (const Value value = find(keys[i])) out[i].emplace(value->view());
                       return out[i] ? out[i]->size() : 0;
                     });
    return out;
  }
  void save_all(std::span<const Item> items) override {
    std::vector<std::string_view> keys;
    std::vector<std::uint64_t> bytes;
    for (const Item& item : items) {
      check(item.key);
      check_size(item.key, item.value.size());
      keys.push_back(item.key);
      bytes.push_back(item.value.size());
    }
    if (items.empty()) return;
    if (index_) return save_noted(items);
    model_->requests(Verb::put, keys, bytes, counted_, [&](std::size_t i) {
      auto copy = std::make_shared<const Buffer>(items[i].value);
      const std::lock_guard lock(mutex());
      model_->values().insert_or_assign(std::string(items[i].key), std::move(copy));
      return std::uint64_t{0};
    });
  }
  void save_gathered(std::string_view key, std::span<const Bytes> parts) override {
    check(key);
    std::uint64_t bytes = 0;
    for (const Bytes part : parts) bytes += part.size();
    check_size(key, bytes);
    if (index_) return Storage::save_gathered(key, parts);
    // Joined only when it takes effect: thousands of workers may save at once.
    model_->requests(Verb::put, {key}, {bytes}, counted_, [&](std::size_t) {
      auto value = std::make_shared<const Buffer>(joined(parts));
      const std::lock_guard lock(mutex());
      model_->values().insert_or_assign(std::string(key), std::move(value));
      return std::uint64_t{0};
    });
  }
  void remove_all(std::span<const std::string> keys) override {
    for (const std::string& key : keys) check(key);
    if (keys.empty()) return;
    if (index_) index_->forget(keys);
    model_->requests(Verb::remove, {keys.begin(), keys.end()},
                     std::vector<std::uint64_t>(keys.size()), counted_, [&](std::size_t i) {
                       const std::lock_guard lock(mutex());
                       const auto at = model_->values().find(keys[i]);
                       if (at != model_->values().end()) model_->values().erase(at);
                       return std::uint64_t{0};
                     });
    if (index_) index_->remove_emptied(items_, keys);
  }

  std::unique_ptr<KeyWatch> watch(std::vector<std::string> keys) override;

 private:
  friend class PushWatch;

  Value find(std::string_view key) const {
    const std::lock_guard lock(mutex());
    const auto at = model_->values().find(key);
    return at == model_->values().end() ? nullptr : at->second;
  }
  /// An index lists keys of text only.
  void check(std::string_view key) const {
    if (index_)
      check_text_key(key);
    else
      check_key(key);
  }
  void check_size(std::string_view key, std::uint64_t bytes) const {
    if (bytes > model_->profile().max_value_bytes)
      fail(Code::resource_exhausted, "{}: '{}' has {} bytes, the limit is {}", describe(), key,
           bytes, model_->profile().max_value_bytes);
  }
  using Sums = std::map<std::string, Sum, std::less<>>;
  /// Of all handles to the store. It needs no lock: only stores of a simulation add up, whose
  /// fibers run in one thread, and none of them waits while it uses the sums.
  Sums& sums() const {
    std::any& all = model_->annotation;
    if (!all.has_value()) all = std::make_shared<Sums>();
    return *std::any_cast<const std::shared_ptr<Sums>&>(all);
  }
  void require_finite(std::span<const double> totals, std::span<const float> values) const {
    const auto is_finite = [](auto number) { return std::isfinite(number); };
    if (!std::ranges::all_of(totals, is_finite) || !std::ranges::all_of(values, is_finite))
      fail(Code::diverged, "{}: a number to sum is not finite", describe());
  }

  /// As a handle to the store that this one stands for: keys that it knows are replaced, those that
  /// are new or gone are noted before they are saved.
  void save_noted(std::span<const Item> all) {
    std::vector<Item> known, fresh;
    for (const Item& item : all) (index_->knows(item.key) ? known : fresh).push_back(item);
    put(known, [&](const Item& item, bool exists) {
      if (!exists) fresh.push_back(item);
      return exists;
    });
    if (fresh.empty()) return;
    std::vector<std::string_view> keys;
    for (const Item& item : fresh) keys.push_back(item.key);
    index_->note_around(items_, keys, [&] { put(fresh, [](auto&&...) { return true; }); });
    for (const std::string_view key : keys) index_->tidy(items_, key);
  }
  /// Saves those of the items for which may(item, whether its key exists).
  template <class May>
  void put(std::span<const Item> all, const May& may) {
    if (all.empty()) return;
    std::vector<std::string_view> keys;
    std::vector<std::uint64_t> bytes;
    for (const Item& item : all) {
      keys.push_back(item.key);
      bytes.push_back(item.value.size());
    }
    model_->requests(Verb::put, keys, bytes, counted_, [&](std::size_t i) {
      const std::lock_guard lock(mutex());
      auto& values = model_->values();
      const auto at = values.find(keys[i]);
      if (may(all[i], at != values.end()))
        values.insert_or_assign(std::string(keys[i]), std::make_shared<const Buffer>(all[i].value));
      return std::uint64_t{0};
    });
  }

  Pacer& pacer() override { return pacer_; }
  /// Of the values, which threads share outside a simulation. Held for moments only, never over a
  /// wait.
  static std::mutex& mutex() {
    static std::mutex all;
    return all;
  }

  std::string name_;
  std::shared_ptr<StoreModel> model_;
  Pacer pacer_;
  std::unique_ptr<KeyIndex> index_;  ///< null if the store can list
  ModelItems items_{*model_, mutex()};
  std::shared_ptr<Meter> meter_;
  StoreModel::Counted counted_;
  std::map<std::string, std::uint64_t, std::less<>> delivered_;  ///< by sum: the round of the part
};

/// Of a store that tells who waits: a value is asked for once it is there.
class PushWatch final : public ListedKeyWatch {
 public:
  PushWatch(Sim& store, std::vector<std::string> keys)
      : ListedKeyWatch(std::move(keys)), store_(store) {}

 private:
  void wait(Deadline deadline, std::size_t below) override {
    Simulation& simulation = World::current()->simulation();
    while (true) {
      const std::vector<std::size_t> wanted = missing(below, kLookedThrough);
      std::vector<std::size_t> there;
      for (const std::size_t i : wanted)
        if (store_.find(key(i)) && there.size() < store_.model_->profile().parallel)
          there.push_back(i);
      if (!there.empty()) {
        poll(there);
        if (any_found()) return;
      }
      if (wanted.empty() || deadline.passed()) return;
      if (there.empty())
        simulation.wait_for(store_.model_->tag_of(key(wanted.front())), deadline.time());
    }
  }
  void look_up(std::span<const std::size_t> which) override { load_from(store_, which); }

  Sim& store_;
};

std::unique_ptr<KeyWatch> Sim::watch(std::vector<std::string> keys) {
  const World* const world = World::current();
  if (model_->profile().pushes && world != nullptr && Simulation::current()->in_fiber())
    return std::make_unique<PushWatch>(*this, std::move(keys));
  // A store with an index stands for one of Memcached, whose client polls so.
  if (index_) return watch_all_by_polling(*this, std::move(keys));
  return watch_by_polling(*this, std::move(keys), pacer_, model_->profile().parallel);
}

std::shared_ptr<Storage> open(const Uri& uri, const Options&, const std::shared_ptr<Patience>&) {
  if (uri.port || !uri.query.empty())
    fail(Code::invalid_argument, "{}: a simulated store takes a name only: sim://name",
         uri.display());
  World* const world = World::current();
  auto store = std::make_shared<Sim>(
      uri.host, world != nullptr ? world->store(uri.host) : model_outside(uri.host));
  if (uri.path.empty()) return store;
  return with_prefix(std::move(store), uri.path + "/");
}

}  // namespace

std::shared_ptr<StoreModel> model_outside(const std::string& name, bool keeps_index) {
  static std::mutex mutex;
  static std::map<std::string, std::shared_ptr<StoreModel>> models;
  const std::lock_guard lock(mutex);
  std::shared_ptr<StoreModel>& model = models[name];
  if (!model) {
    StoreProfile profile;
    profile.name = name;
    profile.keeps_index = keeps_index;
    model = std::make_shared<StoreModel>(profile, nullptr);
  }
  return model;
}

void register_plugin(Registry& registry) {
  registry.add({.name = "sim",
                .help = "a store of a simulation; see lambdaml simulate",
                .open = open,
                .reach = Reach::machine,
                .default_uri = [] { return Uri::parse("sim://default"); }});
}

}  // namespace lambdaml::storage::sim
