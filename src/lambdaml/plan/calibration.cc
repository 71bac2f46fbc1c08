#include "lambdaml/plan/calibration.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <filesystem>
#include <memory>

#include "lambdaml/base/deadline.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/interrupt.h"
#include "lambdaml/base/own_folder.h"
#include "lambdaml/base/parallel.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/unique_id.h"
#include "lambdaml/plan/store_entry.h"
#include "lambdaml/plan/trial_jobs.h"
#include "lambdaml/storage/meter.h"
#include "lambdaml/storage/registry.h"
#include "lambdaml/storage/storage.h"
#include "lambdaml/worker/measure_store.h"

namespace lambdaml::plan {
namespace {

/// The store that stands for the folders of runs, and how long it is measured.
constexpr const char* kFolder = "folder";
constexpr double kFolder_s = 0.8;
/// Shorter measurements have no trial jobs.
constexpr double kTrials_s = 2;
/// Of a worker's process, where no finished job says it.
constexpr double kStart_ms = 40;
/// Of functions, which share the machine's: any number will do.
constexpr double kMemory_mb = 1;

/// A store, what was measured of it, and what all clients of this machine move of large values.
struct Measured {
  storage::Capabilities capabilities;
  worker::StoreMeasure measure;
  double shared_per_s = 0;       ///< bytes a second; 0: not measured
  BatchLimits put, get, remove;  ///< of batches
  PartLimits parts;

  YAML::Node entry(const std::string& scheme, const Trials& trials) const {
    YAML::Node out;
    out["scheme"] = scheme;
    set_measured(out, measure, kMemory_mb, trials.request_s);
    set_splits(out, put, get, remove, parts);
    if (shared_per_s > 0) out["server"]["mb_per_s"] = number(shared_per_s / 1e6);
    if (trials.request_processor_s > 0 || trials.byte_work > 0) {
      out["host"]["request_ms"] = number(1e3 * trials.request_processor_s);
      out["host"]["put_mb_ms"] = number(1e9 * trials.byte_work / measure.put_per_s);
      out["host"]["get_mb_ms"] = number(1e9 * trials.byte_work / measure.get_per_s);
    }
    set_capabilities(out, capabilities);
    return out;
  }

  /// Of a folder of this machine, whose requests are work of its processors from begin to end.
  YAML::Node folder_entry() const {
    YAML::Node out = entry("file", {});
    out["host"]["request_ms"] = number(1e3 * worker::quantile(measure.gets, 0.5));
    out["host"]["put_ms"] = number(1e3 * worker::quantile(measure.puts, 0.5));
    out["host"]["put_mb_ms"] = number(1e9 / measure.put_per_s);
    out["host"]["get_mb_ms"] = number(1e9 / measure.get_per_s);
    return out;
  }

 private:
  static std::string number(double value) { return fmt::format("{:.6g}", value); }
};

class Measurement {
 public:
  Measurement(const std::string& channel, double seconds, std::vector<double> starts)
      : starts_(std::move(starts)), uri_(storage::resolve(channel)), seconds_(seconds) {}

  Calibration run() {
    Calibration out;
    const Uri place = uri_ / ("calibrate-" + unique_id());
    store_ = measured(place, {.seconds = seconds_, .between = throw_if_interrupted});
    out.ended_by = store_.measure.ended_by;
    if (!out.ended_by) try {
        count_keys(place);
        if (seconds_ >= kTrials_s) measure_jobs(place);
      } catch (const Error& error) {
        out.ended_by = error.what();
      }
    out.requests = requests_;
    out.profile = yaml(out.ended_by);
    return out;
  }

 private:
  struct Clearing {
    const Uri& place;
    ~Clearing() {
      const Tidying tidying;
      try {
        storage::open(place)->clear("");
      } catch (const std::exception&) {
        // The next measurement has keys of its own.
      }
    }
  };

  /// What else matters for jobs on this machine.
  void measure_jobs(const Uri& place) {
    measure_sharing(place);
    measure_folder();
    measure_threads();
    run_trials(uri_, limits(), starts_, trials_, [this] { return yaml({}); });
  }

  Measured measured(const Uri& place, const worker::MeasureLimits& limits) {
    const std::shared_ptr<storage::Storage> store = storage::open(place);
    Measured out;
    out.capabilities = storage::open_plain(place)->capabilities();
    const storage::Plugin& plugin = storage::registry().get(place.scheme);
    out.put = plugin.save_batch;
    out.get = plugin.load_batch;
    out.remove = plugin.removal_batch;
    out.parts = plugin.parts;
    out.measure = worker::measure_store(*store, limits);
    requests_ += out.measure.requests;
    return out;
  }

  /// Corrects what the plug-in says of batches: a key may take several requests, and a server may
  /// have no requests for several keys.
  void count_keys(const Uri& place) {
    // Each key is one request; those of the index are simulated one by one.
    if (store_.capabilities.keeps_index) return;
    const Clearing clearing{place};
    constexpr std::size_t kKeys = 100;
    const auto meter = std::make_shared<storage::Meter>();
    const std::shared_ptr<storage::Storage> store = storage::open(place, meter);
    std::vector<std::string> keys;
    std::vector<storage::Item> items;
    for (std::size_t i = 0; i < kKeys; ++i) keys.push_back(fmt::format("keys/{}", i));
    for (const std::string& key : keys) items.push_back({key, {}});
    store->save_all(items);
    store->remove_all(keys);
    const storage::Usage batch = meter->usage();
    constexpr std::size_t kAlone = 20;
    for (std::size_t i = 0; i < kAlone; ++i) store->save(fmt::format("alone/{}", i), {});
    for (std::size_t i = 0; i < kAlone; ++i) store->remove(fmt::format("alone/{}", i));
    const storage::Usage all = meter->usage();
    const auto correct = [&](auto kind, BatchLimits& limits) {
      const auto together = static_cast<double>((batch.*kind).requests);
      const double alone = (static_cast<double>((all.*kind).requests) - together) / kAlone;
      if (alone > 1.5)
        limits = {.keys = 1 / std::round(alone)};
      else if (together >= kKeys)
        limits = {};
    };
    correct(&storage::Usage::put, store_.put);
    correct(&storage::Usage::remove, store_.remove);
    requests_ += all.requests();
  }

  /// Of runs in the current folder, where jobs on this machine save their checkpoints: values of
  /// some KB, with computing in between, after which a file system takes twice as long for one.
  void measure_folder() {
    constexpr std::size_t kCheckpoint = 32'000, kCache = 16 << 20;
    constexpr double kStep_s = 2e-3;
    std::vector<std::size_t> numbers(kCache / sizeof(std::size_t));
    const auto compute = [&] {
      throw_if_interrupted();
      for (const Stopwatch clock; clock.seconds() < kStep_s;)
        for (volatile std::size_t& number : numbers) number = number + 1;
    };
    const Scratch place("lambdaml-calibrate-", std::filesystem::current_path());
    folder_ = measured(Uri::parse(place.path().string()),
                       {.seconds = kFolder_s, .small_bytes = kCheckpoint, .between = compute});
    if (folder_->measure.ended_by) throw Error(Code::unavailable, *folder_->measure.ended_by);
  }

  /// What work on several threads takes longer than its longest part.
  void measure_threads() {
    constexpr int kTimes = 51;
    constexpr double kPart_s = 100e-6, kBetween_s = 20e-6;
    const auto work_for = [](double seconds) {
      const Stopwatch clock;
      while (clock.seconds() < seconds) {
      }
    };
    std::vector<double> seconds;
    for (int i = 0; i < kTimes; ++i) {
      work_for(kBetween_s);  // threads fall asleep meanwhile, as they do between the steps of a job
      const Stopwatch clock;
      parallel_for(processors(), processors(), [&](std::size_t) { work_for(kPart_s); });
      seconds.push_back(clock.seconds() - kPart_s);
    }
    threads_s_ = std::max(0.0, worker::quantile(seconds, 0.5));
  }

  /// Of a store with long pauses between polls, which trials would take for work with bytes: those
  /// that all together move take no more than all processors.
  TrialLimits limits() const {
    const worker::StoreMeasure& alone = store_.measure;
    TrialLimits out{.put_per_s = alone.put_per_s, .request_s = worker::quantile(alone.gets, 0.5)};
    const double byte_s = (1 / alone.put_per_s + 1 / alone.get_per_s) / 2;
    if (store_.capabilities.polling_is_expensive)
      out.byte_work = static_cast<double>(processors()) / (byte_s * store_.shared_per_s);
    return out;
  }

  /// What all together move of large values, where several do so at once.
  void measure_sharing(const Uri& place) {
    constexpr double kShared_s = 0.3;
    constexpr std::size_t kValue = 3 * worker::kLargeValue;  // more than caches hold
    const std::size_t clients = 2 * processors();
    std::atomic<std::size_t> moved = 0;
    const Clearing clearing{place};
    const Stopwatch clock;
    parallel_for(clients, clients, [&](std::size_t i) {
      const auto store = storage::open(place);
      const std::string key = fmt::format("shared/{}", i);
      const Buffer value(kValue);
      while (clock.seconds() < kShared_s) {
        store->save(key, value);
        store->load(key);
        moved += 2;
      }
    });
    store_.shared_per_s = kValue * static_cast<double>(moved) / clock.seconds();
    requests_ += moved;
  }

  std::string yaml(const std::optional<std::string>& ended_by) const {
    YAML::Node root;
    root["name"] = "measured";
    root["date"] = today();
    root["stores"][uri_.scheme] = store_.entry(uri_.scheme, trials_);
    if (folder_) {
      root["stores"][kFolder] = folder_->folder_entry();
      root["checkpoints"] = kFolder;
    }
    YAML::Node functions = root["functions"];
    functions["least_mb"] = 1;
    functions["most_mb"] = 1048576;
    functions["mb_per_processor"] = 1024;
    // Functions are processes here, and share its processors.
    functions["host_processors"] = processors();
    functions["threads_ms"] = fmt::format("{:.6g}", 1e3 * threads_s_);
    functions["invoke"] = constant_entry(1);
    functions["cold_start"] = starts_.empty() ? constant_entry(kStart_ms) : latency_entry(starts_);
    functions["longest_s"] = 1000000;
    functions["command_s"] = fmt::format("{:.6g}", trials_.command_s);
    functions["gb_second"] = 0;
    functions["request"] = 0;
    return profile_text(
        root, fmt::format("Measured by lambdaml calibrate with {} requests{}", requests_,
                          ended_by ? "; ended early: " + printable(*ended_by) : std::string(".")));
  }

  std::vector<double> starts_;
  double threads_s_ = 0;
  Trials trials_;
  const Uri uri_;
  const double seconds_;
  std::size_t requests_ = 0;
  Measured store_;
  std::optional<Measured> folder_;
};

}  // namespace

Calibration calibrate(const std::string& channel, double seconds,
                      const std::vector<std::string>& runs) {
  std::vector<double> starts;
  for (const std::string& run : runs) read_starts(run, starts);
  return Measurement(channel, seconds, std::move(starts)).run();
}

}  // namespace lambdaml::plan
