#include "lambdaml/worker/measure_store.h"

#include <algorithm>
#include <cmath>

#include <nlohmann/json.hpp>

#include "lambdaml/base/deadline.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/fibers/background.h"
#include "lambdaml/base/interrupt.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/wait.h"
#include "lambdaml/storage/registry.h"

namespace lambdaml::worker {
namespace {

using nlohmann::json;

/// What is done whatever the limits: PUTs and GETs of small values one after another, each
/// fourth with a list and each fourth with a removal; batches of each kind; waits.
constexpr std::size_t kLeastSmall = 5, kEach = 4, kBatch = 32, kBatches = 2, kNotices = 5;
/// How many of the first kLeastSmall have this remainder.
constexpr std::size_t times_of_each(std::size_t remainder) {
  return (kLeastSmall + kEach - 1 - remainder) / kEach;
}
constexpr std::size_t kMostRequests = 45'000;  ///< about small values
constexpr std::size_t kMostTold = 401;

/// The times of each kind, by their names.
constexpr std::pair<const char*, std::vector<double> StoreMeasure::*> kTimes[] = {
    {"puts", &StoreMeasure::puts},
    {"gets", &StoreMeasure::gets},
    {"lists", &StoreMeasure::lists},
    {"removes", &StoreMeasure::removes}};

class Measurement {
 public:
  Measurement(storage::Storage& store, const MeasureLimits& limits)
      : store_(store), limits_(limits) {}

  StoreMeasure run() {
    try {
      store_.load("key");  // the connection is made
      measure_latencies();
      measure_batches();
      measure_bandwidth();
      measure_notice();
    } catch (const Error& error) {
      out_.ended_by = error.what();
      if (out_.puts.size() < 3 || out_.gets.size() < 3) {
        clear();
        throw;
      }
    }
    clear();
    return std::move(out_);
  }

 private:
  double timed(const std::function<void()>& request) {
    if (limits_.between) limits_.between();
    const Stopwatch clock;
    request();
    ++out_.requests;
    return clock.seconds();
  }

  /// Of a store whose index takes requests of its own, PUTs of keys that are known already are
  /// measured, and no lists: those are several requests.
  void measure_latencies() {
    const bool keeps_index = store_.capabilities().keeps_index;
    const std::size_t most = std::min(
        kMostRequests, limits_.requests - std::min(limits_.requests, kLeastMeasureRequests));
    const Buffer value(limits_.small_bytes);
    for (std::size_t i = 0; out_.puts.size() < kLeastSmall ||
                            (clock_.seconds() < 0.5 * limits_.seconds && out_.requests < most);
         ++i) {
      const std::string key = fmt::format("key/{}", i % 8);
      if (keeps_index) timed([&] { store_.save(key, value); });
      out_.puts.push_back(timed([&] { store_.save(key, value); }));
      out_.gets.push_back(timed([&] { store_.load(key); }));
      if (i % kEach == 0 && !keeps_index) out_.lists.push_back(timed([&] { store_.list("key/"); }));
      if (i % kEach == 1) out_.removes.push_back(timed([&] { store_.remove(key); }));
    }
  }

  void measure_batches() {
    const Buffer value(limits_.small_bytes);
    std::vector<std::string> keys;
    std::vector<storage::Item> items;
    for (std::size_t i = 0; i < kBatch; ++i) keys.push_back(fmt::format("batch/{}", i));
    for (const std::string& key : keys) items.push_back({key, value});
    // The folder of an index is never empty, so that removals are all that takes time.
    if (store_.capabilities().keeps_index) timed([&] { store_.save("batch/kept", value); });
    std::vector<double> saved, loaded, removed;
    for (std::size_t i = 0; i < kBatches; ++i) {
      saved.push_back(timed([&] { store_.save_all(items); }));
      loaded.push_back(timed([&] { store_.load_present(keys); }));
      removed.push_back(timed([&] { store_.remove_all(keys); }));
    }
    out_.requests += kBatches * 3 * (kBatch - 1);
    const auto at_once = [](const std::vector<double>& batches,
                            const std::vector<double>& singles) {
      const double alone_s = kBatch * quantile(singles, 0.5);
      return std::clamp(std::round(alone_s / quantile(batches, 0)), 1.0, double{kBatch});
    };
    out_.parallel = at_once(loaded, out_.gets);
    out_.put_parallel = at_once(saved, out_.puts);
    out_.remove_parallel = at_once(removed, out_.removes);
  }

  void measure_bandwidth() {
    const Buffer value(kLargeValue);
    std::vector<double> up, down;
    while (up.size() < kLeastLargeRequests / 2 ||
           (up.size() < limits_.large_requests / 2 && clock_.seconds() < 0.8 * limits_.seconds &&
            out_.requests < limits_.requests)) {
      up.push_back(timed([&] { store_.save("large", value); }));
      down.push_back(timed([&] { store_.load("large"); }));
    }
    out_.put_per_s = per_s(up, out_.puts);
    out_.get_per_s = per_s(down, out_.gets);
  }

  /// The latency, which may be that of a slow disk in the midst, is at most half of the time.
  static double per_s(const std::vector<double>& large, const std::vector<double>& small) {
    const double all_s = quantile(large, 0.5);
    return kLargeValue / std::max(all_s / 2, all_s - quantile(small, 0.5));
  }

  /// How long after a save a wait for it ends.
  void measure_notice() {
    std::vector<double> delays;
    for (std::size_t i = 0; i < kNotices; ++i) {
      if (limits_.between) limits_.between();
      out_.requests += 2;  // and polls, if it has to
      const std::string key = fmt::format("notice/{}", i);
      const Stopwatch clock;
      double seen_s = 0;
      Background waiter([&] {
        store_.load_or_wait(key, Deadline::in(10));
        seen_s = clock.seconds();
      });
      pause_for(0.07);
      store_.save(key, {});
      const double saved_s = clock.seconds();
      waiter.get();
      delays.push_back(seen_s - saved_s);
    }
    // Who sums with others at the server is told, too.
    out_.adds = store_.aggregator() != nullptr;
    out_.pushes = out_.adds || (!store_.capabilities().keeps_index &&
                                quantile(delays, 0.5) < 2 * quantile(out_.gets, 0.5) + 0.001);
  }

  void clear() noexcept {
    const Tidying tidying;
    try {
      store_.clear("");
    } catch (const std::exception&) {
      // The next measurement has keys of its own.
    }
  }

  storage::Storage& store_;
  const MeasureLimits& limits_;
  const Stopwatch clock_;
  StoreMeasure out_;
};

/// At most kMostTold of them, which have the same quantiles.
std::vector<double> thinned(std::vector<double> values) {
  std::ranges::sort(values);
  if (values.size() <= kMostTold) return values;
  std::vector<double> out;
  for (std::size_t i = 0; i < kMostTold; ++i)
    out.push_back(values[i * (values.size() - 1) / (kMostTold - 1)]);
  return out;
}

}  // namespace

json StoreMeasure::to_json() const {
  json object{{"put_per_s", put_per_s},
              {"get_per_s", get_per_s},
              {"parallel", parallel},
              {"put_parallel", put_parallel},
              {"remove_parallel", remove_parallel},
              {"pushes", pushes},
              {"adds", adds},
              {"requests", requests}};
  for (const auto& [name, times] : kTimes) object[name] = thinned(this->*times);
  if (ended_by) object["ended_by"] = *ended_by;
  return object;
}

StoreMeasure StoreMeasure::from_json(const json& object, const std::string& what) {
  try {
    StoreMeasure out;
    out.put_per_s = object.at("put_per_s").get<double>();
    out.get_per_s = object.at("get_per_s").get<double>();
    out.parallel = object.at("parallel").get<double>();
    // Functions of older versions measure batches of GETs only.
    out.put_parallel = object.value("put_parallel", out.parallel);
    out.remove_parallel = object.value("remove_parallel", out.parallel);
    out.pushes = object.at("pushes").get<bool>();
    out.adds = object.value("adds", false);
    out.requests = object.at("requests").get<std::size_t>();
    for (const auto& [name, times] : kTimes)
      out.*times = object.at(name).get<std::vector<double>>();
    if (object.contains("ended_by")) out.ended_by = object["ended_by"].get<std::string>();
    if (out.puts.size() < 3 || out.gets.size() < 3)
      fail(Code::data_corrupt, "{}: it measures no requests", what);
    return out;
  } catch (const json::exception&) {
    fail(Code::data_corrupt, "{}: '{}' is no measurement of a store", what,
         printable(json_text(object), 60));
  }
}

double quantile(std::vector<double> values, double p) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  const double at = p * static_cast<double>(values.size() - 1);
  const auto below = static_cast<std::size_t>(at);
  const std::size_t above = std::min(below + 1, values.size() - 1);
  return values[below] + (values[above] - values[below]) * (at - static_cast<double>(below));
}

storage::Usage least_measure_usage(const storage::Plugin& plugin, std::uint64_t max_value_bytes) {
  constexpr double kItem = 50;  // bytes of an item beside its value
  const auto small_bytes = static_cast<double>(MeasureLimits().small_bytes);
  constexpr double kWriteUnit = 1024, kReadUnit = 4096;
  constexpr std::size_t kSaves = kLeastLargeRequests / 2, kIndex = 1;
  const bool in_pieces = kLargeValue > max_value_bytes;
  const std::size_t pieces = in_pieces ? 1 + (kLargeValue - 1) / max_value_bytes : 1;
  const double piece = static_cast<double>(kLargeValue) / static_cast<double>(pieces);
  const std::size_t index = in_pieces ? kIndex : 0;
  const auto requests = [](const BatchLimits& batch, std::size_t n, double bytes) {
    return static_cast<std::uint64_t>(batch.requests(n, bytes));
  };
  const auto small_and_large = [&](const BatchLimits& batch) {
    return kLeastSmall + kBatches * requests(batch, kBatch, small_bytes) +
           kSaves * (requests(batch, pieces, piece) + index) + kNotices;
  };
  const auto units_of = [&](double unit) {
    const auto of = [&](double bytes) { return std::ceil((bytes + kItem) / unit); };
    return (kLeastSmall + kBatches * kBatch) * of(small_bytes) + kNotices * of(0) +
           kSaves * (static_cast<double>(pieces) * of(piece) + static_cast<double>(index) * of(0));
  };
  constexpr std::size_t kRemoved = times_of_each(1);
  const std::size_t left = kLeastSmall - kRemoved + pieces + index + kNotices;

  storage::Usage out;
  out.put.requests = small_and_large(plugin.save_batch);
  out.get.requests = 1 + small_and_large(plugin.load_batch);
  out.list.requests = times_of_each(0) + 1;
  // A value in pieces that is saved again leaves the old ones.
  out.remove.requests = kRemoved + kBatches * requests(plugin.removal_batch, kBatch, 0) +
                        (in_pieces ? (kSaves - 1) * requests(plugin.removal_batch, pieces, 0) : 0) +
                        requests(plugin.removal_batch, left, 0);
  // Removals cost what saves do, and the last list what the large value does.
  out.write_units = 2 * units_of(kWriteUnit);
  out.read_units = units_of(kReadUnit) + kLargeValue / kReadUnit;
  return out;
}

StoreMeasure measure_store(storage::Storage& store, const MeasureLimits& limits) {
  return Measurement(store, limits).run();
}

}  // namespace lambdaml::worker
