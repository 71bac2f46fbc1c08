#include "lambdaml/plan/calibration.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <ctime>
#include <filesystem>
#include <functional>
#include <memory>

#include <nlohmann/json.hpp>
#include <yaml-cpp/yaml.h>

#include "lambdaml/base/deadline.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/fibers/background.h"
#include "lambdaml/base/files.h"
#include "lambdaml/base/interrupt.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/own_folder.h"
#include "lambdaml/base/parallel.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/unique_id.h"
#include "lambdaml/base/wait.h"
#include "lambdaml/data/synthetic.h"
#include "lambdaml/job/job.h"
#include "lambdaml/job/options.h"
#include "lambdaml/plan/simulated_job.h"
#include "lambdaml/storage/storage.h"
#include "lambdaml/trigger/trigger.h"

namespace lambdaml::plan {
namespace {

constexpr std::size_t kSmall = 1000, kLarge = 4'000'000, kBatch = 32;
constexpr double kQuantiles[] = {0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1};

/// The store that stands for the folders of runs, and how long it is measured.
constexpr const char* kFolder = "folder";
constexpr double kFolder_s = 0.4;
/// Shorter measurements have no trial jobs.
constexpr double kTrials_s = 2;
/// Of a worker's process, where no finished job says it.
constexpr double kStart_ms = 40;

/// How long the workers of a finished job took to start.
void read_starts(const std::string& run, std::vector<double>& out) {
  const std::filesystem::path file = std::filesystem::path(run) / "workers.jsonl";
  const std::optional<Buffer> lines = read_file(file);
  if (!lines) fail(Code::not_found, "{}: no finished job is there: it has no workers.jsonl", run);
  for (const std::string& line : split(lines->text(), '\n')) {
    if (line.empty()) continue;
    const nlohmann::json report = parse_json(line);
    if (const auto start = report.find("startup_s"); start != report.end() && start->is_number())
      out.push_back(start->get<double>());
  }
}

/// What real jobs on this machine took.
struct Trials {
  double command_s = 0;  ///< see sim::FunctionProfile
  /// What a request of a job takes longer than one of a program that makes nothing else.
  double request_s = 0;
  /// Of a request, that of a shared processor: see sim::StoreProfile.
  double request_processor_s = 0;
  /// Work with a byte, by the time that the store alone takes for it.
  double byte_work = 0;
};

/// The least x ≥ 0 for which `of`, which rises with x, is `wanted`; `step` is its order.
double solved(const std::function<double(double)>& of, double wanted, double step) {
  double below = 0, above = step;
  const double least = of(0);
  if (least >= wanted) return 0;
  constexpr int kDoublings = 12, kHalvings = 10;
  for (int i = 0; i < kDoublings && of(above) < wanted; ++i)
    below = std::exchange(above, 4 * above);
  for (int i = 0; i < kHalvings; ++i) {
    const double middle = (below + above) / 2;
    (of(middle) < wanted ? below : above) = middle;
  }
  return (below + above) / 2;
}

/// Small jobs over the channel, real and simulated by the profile measured so far. What the real
/// ones take longer is, of jobs with more rounds, that of their requests; with more workers than
/// processors, their work; with larger vectors, that of bytes; and what is left is the command's.
class TrialJobs {
 public:
  TrialJobs(Uri channel, double put_per_s) : channel_(std::move(channel)) {
    // Of slow stores, what a round takes is seen with smaller vectors, too.
    constexpr double kLargest = 12e6, kLeast = 1e6, kSave_s = 0.03;
    const double large = std::clamp(kSave_s * put_per_s, kLeast, kLargest);
    small_.rows = std::make_shared<data::Dataset>(
        data::synthesize({.kind = "higgs", .rows = kRows, .features = 8, .seed = 1}));
    small_.model = "lr";
    small_.batch = 20;
    large_.rows = std::make_shared<data::Dataset>(
        data::synthesize({.kind = "rcv1",
                          .rows = 64,
                          .features = static_cast<std::uint64_t>(large / sizeof(float)),
                          .nonzeros = 10,
                          .seed = 1}));
    large_.model = "sparse_lr";
    large_.batch = 8;
    crowd_ = small_;
    crowd_.workers = 4 * static_cast<std::int64_t>(processors());
    crowd_.batch = 4;
  }

  /// Adds how long workers took to start. `measured` is asked for the profile with what is known
  /// of the trials.
  void run(std::vector<double>& starts, Trials& out, const std::function<std::string()>& measured) {
    measured_ = [&] { return sim::Profile::parse(measured(), "the measured profile"); };
    for (Kind* const kind : {&small_, &large_, &crowd_}) {
      std::vector<double> ignored;
      measure(*kind, kind == &small_ ? starts : ignored);
    }
    large_per_row_s_ = seconds_per_row(large_);
    constexpr double kRequest_s = 1e-5, kWork = 0.5;
    find(out.request_s, small_, kRequest_s);
    find(out.request_processor_s, crowd_, kRequest_s);
    find(out.request_s, small_, kRequest_s);
    find(out.byte_work, large_, kWork);
    out.command_s = std::max(0.0, small_.few_s - simulated_s(small_, small_.few));
  }

 private:
  static constexpr std::uint64_t kRows = 400;
  /// Of a job, and of the epochs that one has more than another.
  static constexpr int kTimes = 3;
  static constexpr double kLong_s = 0.4, kTooLong_s = 3;
  static constexpr std::int64_t kMostEpochs = 100;

  /// A job with few epochs and with many.
  struct Kind {
    std::shared_ptr<const data::Dataset> rows;
    std::string model;
    std::int64_t workers = 2, batch = 1;
    std::int64_t few = 1, many = 1;
    double few_s = 0, many_s = 0;
  };

  Options job(const Kind& kind, std::int64_t epochs) const {
    Options out = job::job_options();
    const auto set = [&](const char* name, Option::Value value) {
      out.set(name, std::move(value), name);
    };
    set("data", std::string("memory"));
    set("model", kind.model);
    set("optim", std::string("grad_avg"));
    set("epochs", epochs);
    set("workers", kind.workers);
    set("batch_size", kind.batch);
    set("channel", channel_.text());
    return out;
  }

  double real_once_s(const Kind& kind, std::int64_t epochs, std::vector<double>& starts) const {
    throw_if_interrupted();
    const Scratch scratch("lambdaml-calibrate-");
    const std::string folder = (scratch.path() / "run").string();
    Options options = job(kind, epochs);
    options.set("output", Option::Value(folder), "output");
    job::resolve(options);
    trigger::Observer silent;
    trigger::InMemory memory;
    memory.data = *kind.rows;
    const auto summary = trigger::train(options, silent, memory);
    read_starts(folder, starts);
    return summary.at("wall_s").get<double>();
  }

  double real_s(const Kind& kind, std::int64_t epochs, std::vector<double>& starts) const {
    std::vector<double> seconds;
    for (int i = 0; i < kTimes; ++i) seconds.push_back(real_once_s(kind, epochs, starts));
    return quantile(seconds, 0.5);
  }

  /// As many more epochs as take long enough to be seen beside the rest.
  void measure(Kind& kind, std::vector<double>& starts) const {
    constexpr std::int64_t kSome = 4;
    kind.few_s = real_s(kind, kind.few, starts);
    if (kind.few_s > kTooLong_s) return;
    const double some_s = real_once_s(kind, kind.few + kSome, starts);
    const double epoch_s = std::max(1e-4, (some_s - kind.few_s) / kSome);
    kind.many =
        kind.few + std::clamp(static_cast<std::int64_t>(kLong_s / epoch_s), kSome, kMostEpochs);
    kind.many_s = real_s(kind, kind.many, starts);
  }

  SimulatedWorld world_of(const Kind& kind) const {
    SimulatedWorld world;
    world.profile = measured_();
    world.channel = world.profile.stores.front().name;
    world.rows = kind.rows;
    return world;
  }

  double simulated_s(const Kind& kind, std::int64_t epochs) const {
    SimulatedWorld world = world_of(kind);
    if (&kind == &large_) world.seconds_per_row = large_per_row_s_;
    return simulate(in_world(job(kind, epochs), world), world, 1).seconds;
  }

  /// Of large vectors, whose steps take the time of all numbers.
  double seconds_per_row(const Kind& kind) const {
    SimulatedWorld world = world_of(kind);
    measure_work(in_world(job(kind, kind.many), world), world, 1);
    return world.seconds_per_row;
  }

  /// Sets a number of the profile so that more epochs take as much longer as they did.
  void find(double& number, const Kind& kind, double step) const {
    if (kind.many_s <= 0) return;
    const auto more_s = [&](double value) {
      number = value;
      return simulated_s(kind, kind.many) - simulated_s(kind, kind.few);
    };
    number = solved(more_s, kind.many_s - kind.few_s, step);
  }

  const Uri channel_;
  Kind small_, large_, crowd_;
  double large_per_row_s_ = 0;
  std::function<sim::Profile()> measured_;
};

class Measurement {
 public:
  Measurement(const std::string& channel, double seconds, std::vector<double> starts)
      : starts_(std::move(starts)),
        uri_(storage::resolve(channel)),
        place_(uri_ / ("calibrate-" + unique_id())),
        store_(storage::open(place_)),
        seconds_(seconds) {
    store_->load("key");  // the connection is made
  }

  Calibration run() {
    Calibration out;
    try {
      measure_latencies(0.5 * seconds_);
      measure_batches();
      measure_bandwidth(0.8 * seconds_);
      if (seconds_ >= kTrials_s) measure_sharing();
      measure_notice();
    } catch (const Error& error) {
      out.ended_by = error.what();
      if (puts_.size() < 3 || gets_.size() < 3) {
        clear();
        throw;
      }
    }
    clear();
    if (!out.ended_by && seconds_ >= kTrials_s) try {
        measure_folder();
        TrialJobs(uri_, put_per_s_).run(starts_, trials_, [this] { return yaml({}); });
      } catch (const Error& error) {
        out.ended_by = error.what();
      }
    out.requests = requests_;
    out.profile = yaml(out.ended_by);
    return out;
  }

 private:
  double timed(const std::function<void()>& request) {
    throw_if_interrupted();
    const Stopwatch clock;
    request();
    ++requests_;
    return clock.seconds();
  }

  void measure_latencies(double until_s) {
    const Buffer value(kSmall);
    for (std::size_t i = 0; puts_.size() < 5 || clock_.seconds() < until_s; ++i) {
      const std::string key = fmt::format("key/{}", i % 8);
      puts_.push_back(timed([&] { store_->save(key, value); }));
      gets_.push_back(timed([&] { store_->load(key); }));
      if (i % 4 == 0) lists_.push_back(timed([&] { store_->list("key/"); }));
      if (i % 4 == 1) removes_.push_back(timed([&] { store_->remove(key); }));
      if (puts_.size() > 20'000) break;
    }
  }

  /// Of runs in the current folder, where jobs on this machine save their checkpoints.
  void measure_folder() {
    const Scratch place("lambdaml-calibrate-", std::filesystem::current_path());
    auto folder =
        std::make_unique<Measurement>(place.path().string(), kFolder_s, std::vector<double>());
    folder->measure_latencies(kFolder_s);
    folder->measure_bandwidth(kFolder_s);
    folder->clear();
    requests_ += folder->requests_;
    folder_ = std::move(folder);
  }

  void measure_batches() {
    const Buffer value(kSmall);
    std::vector<std::string> keys;
    std::vector<storage::Item> items;
    for (std::size_t i = 0; i < kBatch; ++i) keys.push_back(fmt::format("batch/{}", i));
    for (const std::string& key : keys) items.push_back({key, value});
    std::vector<double> batches;
    for (int i = 0; i < 3; ++i) {
      store_->save_all(items);
      batches.push_back(timed([&] { store_->load_present(keys); }));
    }
    requests_ += 6 * kBatch;
    const double alone_s = kBatch * quantile(gets_, 0.5);
    parallel_ = std::clamp(std::round(alone_s / quantile(batches, 0.5)), 1.0, double{kBatch});
  }

  void measure_bandwidth(double until_s) {
    const Buffer value(kLarge);
    std::vector<double> up, down;
    while (up.size() < 3 || (up.size() < 20 && clock_.seconds() < until_s)) {
      up.push_back(timed([&] { store_->save("large", value); }));
      down.push_back(timed([&] { store_->load("large"); }));
    }
    put_per_s_ = per_s(up, puts_);
    get_per_s_ = per_s(down, gets_);
  }

  /// What all together move of large values, where several do so at once.
  void measure_sharing() {
    constexpr double kShared_s = 0.3;
    constexpr std::size_t kValue = 3 * kLarge;  // more than caches hold
    const std::size_t clients = 2 * processors();
    std::atomic<std::size_t> moved = 0;
    const Stopwatch clock;
    parallel_for(clients, clients, [&](std::size_t i) {
      const auto store = storage::open(place_);
      const std::string key = fmt::format("shared/{}", i);
      const Buffer value(kValue);
      while (clock.seconds() < kShared_s) {
        store->save(key, value);
        store->load(key);
        moved += 2;
      }
    });
    shared_per_s_ = kValue * static_cast<double>(moved) / clock.seconds();
    requests_ += moved;
  }

  /// The latency, which may be that of a slow disk in the midst, is at most half of the time.
  static double per_s(const std::vector<double>& large, const std::vector<double>& small) {
    const double all_s = quantile(large, 0.5);
    return kLarge / std::max(all_s / 2, all_s - quantile(small, 0.5));
  }

  /// How long after a save a wait for it ends.
  void measure_notice() {
    std::vector<double> delays;
    for (int i = 0; i < 5; ++i) {
      const std::string key = fmt::format("notice/{}", i);
      const Stopwatch clock;
      double seen_s = 0;
      Background waiter([&] {
        store_->load_or_wait(key, Deadline::in(10));
        seen_s = clock.seconds();
      });
      pause_for(0.07);
      store_->save(key, {});
      const double saved_s = clock.seconds();
      waiter.get();
      delays.push_back(seen_s - saved_s);
    }
    // Who sums with others at the server is told, too.
    pushes_ =
        store_->aggregator() != nullptr || quantile(delays, 0.5) < 2 * quantile(gets_, 0.5) + 0.001;
  }

  void clear() noexcept {
    const Tidying tidying;
    try {
      store_->clear("");
    } catch (const std::exception&) {
      // The next calibration has keys of its own.
    }
  }

  static void emit(YAML::Emitter& out, const char* name, const std::vector<double>& seconds,
                   double more_s = 0) {
    if (seconds.empty()) return;
    out << YAML::Key << name << YAML::Value << YAML::Flow << YAML::BeginMap;
    for (const double p : kQuantiles)
      out << YAML::Key << fmt::format("p{:g}", 100 * p) << YAML::Value
          << std::round(1e6 * (quantile(seconds, p) + more_s)) / 1e3;
    out << YAML::EndMap;
  }

  static void emit_constant(YAML::Emitter& out, const char* name, double ms) {
    out << YAML::Key << name << YAML::Value << YAML::Flow << YAML::BeginMap << YAML::Key << "always"
        << YAML::Value << ms << YAML::EndMap;
  }

  void emit_store(YAML::Emitter& out, const std::string& name) const {
    const storage::Capabilities capabilities = store_->capabilities();
    out << YAML::Key << name << YAML::Value << YAML::BeginMap;
    out << YAML::Key << "scheme" << YAML::Value << uri_.scheme;
    emit(out, "put", puts_, trials_.request_s);
    emit(out, "get", gets_, trials_.request_s);
    emit(out, "list", lists_);
    emit(out, "remove", removes_);
    const auto rate = [&](const char* verb, double per_s) {
      if (per_s <= 0) return;
      out << YAML::Key << verb << YAML::Value << YAML::Flow << YAML::BeginMap << YAML::Key << 1
          << YAML::Value << std::round(per_s / 1e4) / 100 << YAML::EndMap;
    };
    rate("put_mb_per_s", put_per_s_);
    rate("get_mb_per_s", get_per_s_);
    out << YAML::Key << "parallel" << YAML::Value << parallel_;
    if (shared_per_s_ > 0)
      out << YAML::Key << "server" << YAML::Value << YAML::Flow << YAML::BeginMap << YAML::Key
          << "mb_per_s" << YAML::Value << std::round(shared_per_s_ / 1e4) / 100 << YAML::EndMap;
    if (trials_.request_processor_s > 0 || trials_.byte_work > 0)
      out << YAML::Key << "host" << YAML::Value << YAML::Flow << YAML::BeginMap << YAML::Key
          << "request_ms" << YAML::Value << 1e3 * trials_.request_processor_s << YAML::Key
          << "put_mb_ms" << YAML::Value << 1e9 * trials_.byte_work / put_per_s_ << YAML::Key
          << "get_mb_ms" << YAML::Value << 1e9 * trials_.byte_work / get_per_s_ << YAML::EndMap;
    out << YAML::Key << "pushes" << YAML::Value << pushes_;
    out << YAML::Key << "polling_is_expensive" << YAML::Value << capabilities.polling_is_expensive;
    if (capabilities.polling_is_quick)
      out << YAML::Key << "polling_is_quick" << YAML::Value << true;
    out << YAML::Key << "durable" << YAML::Value << capabilities.durable;
    out << YAML::EndMap;
  }

  std::string yaml(const std::optional<std::string>& ended_by) const {
    const std::time_t now = std::chrono::system_clock::to_time_t(wall_now());
    std::tm utc{};
    ::gmtime_r(&now, &utc);
    const std::string date =
        fmt::format("{:04}-{:02}-{:02}", 1900 + utc.tm_year, 1 + utc.tm_mon, utc.tm_mday);
    YAML::Emitter out;
    out.SetDoublePrecision(6);
    out << YAML::Comment(
        fmt::format("Measured by lambdaml calibrate with {} requests{}", requests_,
                    ended_by ? "; ended early: " + printable(*ended_by) : std::string(".")));
    out << YAML::BeginMap;
    out << YAML::Key << "name" << YAML::Value << "measured";
    out << YAML::Key << "date" << YAML::Value << date;
    out << YAML::Key << "stores" << YAML::Value << YAML::BeginMap;
    emit_store(out, uri_.scheme);
    if (folder_) folder_->emit_store(out, kFolder);
    out << YAML::EndMap;
    if (folder_) out << YAML::Key << "checkpoints" << YAML::Value << kFolder;
    out << YAML::Key << "functions" << YAML::Value << YAML::BeginMap;
    out << YAML::Key << "least_mb" << YAML::Value << 1;
    out << YAML::Key << "most_mb" << YAML::Value << 1048576;
    out << YAML::Key << "mb_per_processor" << YAML::Value << 1024;
    // Functions are processes here, and share its processors.
    out << YAML::Key << "host_processors" << YAML::Value << processors();
    emit_constant(out, "invoke", 1);
    if (starts_.empty())
      emit_constant(out, "cold_start", kStart_ms);
    else
      emit(out, "cold_start", starts_);
    out << YAML::Key << "longest_s" << YAML::Value << 1e6;
    out << YAML::Key << "command_s" << YAML::Value << trials_.command_s;
    out << YAML::Key << "gb_second" << YAML::Value << 0;
    out << YAML::Key << "request" << YAML::Value << 0;
    out << YAML::EndMap << YAML::EndMap;
    return std::string(out.c_str()) + "\n";
  }

  std::vector<double> starts_;
  Trials trials_;
  std::unique_ptr<Measurement> folder_;
  const Uri uri_, place_;
  const std::shared_ptr<storage::Storage> store_;
  const double seconds_;
  const Stopwatch clock_;
  std::size_t requests_ = 0;
  std::vector<double> puts_, gets_, lists_, removes_;
  double parallel_ = 1, put_per_s_ = 0, get_per_s_ = 0, shared_per_s_ = 0;
  bool pushes_ = false;
};

}  // namespace

Calibration calibrate(const std::string& channel, double seconds,
                      const std::vector<std::string>& runs) {
  std::vector<double> starts;
  for (const std::string& run : runs) read_starts(run, starts);
  return Measurement(channel, seconds, std::move(starts)).run();
}

}  // namespace lambdaml::plan
