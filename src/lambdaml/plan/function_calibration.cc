#include "lambdaml/plan/function_calibration.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "lambdaml/base/deadline.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/formats/yaml.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/text.h"
#include "lambdaml/control/job_channel.h"
#include "lambdaml/control/stores.h"
#include "lambdaml/cost/cost.h"
#include "lambdaml/faas/host.h"
#include "lambdaml/faas/registry.h"
#include "lambdaml/job/event.h"
#include "lambdaml/job/job.h"
#include "lambdaml/job/running_cost.h"
#include "lambdaml/job/summary.h"
#include "lambdaml/plan/simulated_job.h"
#include "lambdaml/plan/store_entry.h"
#include "lambdaml/sim/profile.h"
#include "lambdaml/storage/registry.h"
#include "lambdaml/trigger/parts_job.h"
#include "lambdaml/trigger/reach.h"
#include "lambdaml/worker/measure_store.h"

namespace lambdaml::plan {
namespace {

/// What is said where its source is.
constexpr const char* kSource = "lambdaml calibrate";

/// What the functions of one measurement say.
struct Fleet {
  std::vector<worker::StoreMeasure> measures;
  std::vector<double> cold_s, warm_s;  ///< from sending an event to its arrival
  double memory_mb = 0;
  std::string architecture;

  double bytes_per_s(double worker::StoreMeasure::*rate) const {
    double all = 0;
    for (const worker::StoreMeasure& one : measures) all += one.*rate;
    return all;
  }
  std::vector<double> times(std::vector<double> worker::StoreMeasure::*of) const {
    std::vector<double> all;
    for (const worker::StoreMeasure& one : measures)
      all.insert(all.end(), (one.*of).begin(), (one.*of).end());
    return all;
  }
};

class FunctionMeasurement {
 public:
  FunctionMeasurement(const FunctionCalibration& wanted, Options options)
      : wanted_(wanted), options_(std::move(options)) {
    const faas::Plugin& platform = faas::registry().get(options_.text("platform"));
    if (!platform.remote)
      fail(Code::invalid_argument,
           "platform {}: its functions run on this machine, which is measured without --platform",
           platform.name);
    options_.set("channel", Option::Value(storage::resolve(options_.text("channel")).text()),
                 "channel");
    trigger::require_platform(options_);
    trigger::require_within_reach(options_, "channel", options_.text("channel"));
    if (!wanted_.profile.empty()) base_of(wanted_.profile);
    functions_ = job::functions_of(options_);
    if (wanted_.budget_usd > 0) require_budget(functions_usd(1) + least_requests_usd());
  }

  Calibration run() {
    Calibration out;
    const bool has_budget = wanted_.budget_usd > 0;
    alone_ = measure(1, has_budget ? worker::kLeastMeasureRequests : kUnlimited);
    out.ended_by = alone_.measures.front().ended_by;
    if (!out.ended_by) out.ended_by = measure_crowd(has_budget);
    out.requests = requests_;
    out.cost_usd = cost_usd_;
    out.profile = yaml(out.ended_by);
    return out;
  }

 private:
  static constexpr std::uint64_t kUnlimited = 0;

  /// What ended it early, if anything did.
  std::optional<std::string> measure_crowd(bool has_budget) {
    const auto workers = static_cast<std::uint32_t>(options_.integer("workers"));
    try {
      const std::uint64_t most = has_budget ? affordable_requests(workers) : kUnlimited;
      const double before_usd = cost_usd_;
      try {
        crowd_ = measure(workers, most);
      } catch (const Error&) {
        // Their reports are lost; they have run.
        cost_usd_ = before_usd + functions_usd(workers);
        throw;
      }
      for (const worker::StoreMeasure& one : crowd_->measures)
        if (one.ended_by) return one.ended_by;
    } catch (const Error& error) {
      return error.what();
    }
    return {};
  }

  /// Of the requests that one function makes at least.
  double least_requests_usd() const {
    const Uri channel = Uri::parse(options_.text("channel"));
    const std::uint64_t max_value_bytes =
        storage::open_plain(channel)->capabilities().max_value_bytes;
    const storage::Usage usage =
        worker::least_measure_usage(storage::registry().get(channel.scheme), max_value_bytes);
    const cost::Prices prices = cost::Prices::current();
    return prices.of_requests({{channel.scheme, usage}}, prices.priced_region(faas::own_region()));
  }

  /// Of `workers` functions at work for one measurement.
  double functions_usd(std::uint32_t workers) const {
    constexpr double kMore_s = 2;  // batches and waits
    return workers * job::running_cost(options_.text("platform"), 1, functions_.memory_mb,
                                       functions_.architecture)
                         .after(wanted_.seconds + kMore_s);
  }

  void require_budget(double usd) const {
    if (usd > wanted_.budget_usd)
      fail(Code::invalid_argument, "budget {}: one function alone costs about ${:.3g}; give more",
           wanted_.budget_usd, usd);
  }

  /// Of each of so many functions, by what those of the first one cost.
  std::uint64_t affordable_requests(std::uint32_t workers) const {
    const double left = wanted_.budget_usd - cost_usd_ - functions_usd(workers);
    const double each = requests_usd_ / static_cast<double>(std::max<std::size_t>(1, requests_));
    const double most = each > 0 ? left / each / workers : left > 0 ? 1e9 : -1;
    if (most < worker::kLeastMeasureRequests)
      fail(Code::limit_reached,
           "budget {}: ${:.3g} are spent, and {} functions at once would cost about ${:.3g} more",
           wanted_.budget_usd, cost_usd_, workers,
           functions_usd(workers) + each * worker::kLeastMeasureRequests * workers);
    return static_cast<std::uint64_t>(most);
  }

  Fleet measure(std::uint32_t workers, std::uint64_t most_requests) {
    job::CalibrateEvent event;
    event.job_id = "calibrate-" + job::new_job_id();
    event.workers = workers;
    event.channel = options_.text("channel");
    event.remote = job::is_remote(options_);
    event.seconds = wanted_.seconds;
    event.most_requests = most_requests;
    event.sent_ms = epoch_ms();
    std::vector<std::string> events;
    for (; event.worker < workers; ++event.worker) events.push_back(job::to_json(event));
    control::Stores stores;
    control::JobChannel channel(stores, event.channel, event.job_id, false,
                                control::JobChannel::Stop::patient);
    const std::vector<std::string> reports = channel.use([&] {
      return trigger::run_parts_job({options_, channel, event.job_id, std::move(events), true});
    });
    return fleet_of(reports);
  }

  Fleet fleet_of(const std::vector<std::string>& reports) {
    const cost::Prices prices = cost::Prices::current();
    const std::string region = prices.priced_region(faas::own_region());
    Fleet out;
    for (std::size_t i = 0; i < reports.size(); ++i) {
      const std::string what = fmt::format("worker {}", i);
      const nlohmann::json report = parse_json(reports[i]);
      if (!report.is_object() || !report.contains("measure"))
        fail(Code::data_corrupt, "{}: '{}' is not what a measuring worker says in the end", what,
             printable(reports[i], 60));
      out.measures.push_back(worker::StoreMeasure::from_json(report["measure"], what));
      const auto stats = job::WorkerStats::from_json(report);
      (report.value("cold", false) ? out.cold_s : out.warm_s).push_back(stats.startup_s);
      out.memory_mb = static_cast<double>(stats.memory_mb);
      out.architecture = stats.architecture;
      const double requests_usd = prices.of_requests(stats.usage, region);
      requests_usd_ += requests_usd;
      cost_usd_ += requests_usd + job::dollars_of_function(stats, options_, prices, region);
      requests_ += out.measures.back().requests;
    }
    if (out.memory_mb == 0) out.memory_mb = static_cast<double>(functions_.memory_mb);
    return out;
  }

  /// The entries of a profile, with the one of the channel's store. Throws invalid_argument.
  YAML::Node base_of(const std::string& name) const {
    const std::string text = sim::Profile::text_of(name);
    const sim::Profile profile = sim::Profile::parse(text, "profile " + printable(name));
    YAML::Node root = load_yaml(text, name);
    YAML::Node first(YAML::NodeType::Map);
    // The measured store is the profile's first.
    const std::string store = store_for_channel(profile, options_.text("channel"));
    first[store] = root["stores"][store];
    for (const auto& item : root["stores"])
      if (item.first.as<std::string>() != store) first[item.first] = item.second;
    root["stores"] = first;
    return root;
  }

  std::string base_name() const {
    if (!wanted_.profile.empty()) return wanted_.profile;
    return sim::Profile::built_in_for(alone_.architecture);
  }

  /// What many at once show: the times of their requests, or, where those are longer than one
  /// alone's, how many the store takes in a second.
  void set_crowd(YAML::Node store, worker::StoreMeasure& all) const {
    constexpr double kSlower = 1.5, kNarrower = 0.7;
    const worker::StoreMeasure& alone = alone_.measures.front();
    const auto n = static_cast<double>(crowd_->measures.size());
    const auto add = [&](std::vector<double> worker::StoreMeasure::*of, const char* rate) {
      const std::vector<double> times = crowd_->times(of);
      const double median_s = quantile(times, 0.5);
      const bool is_slower = n > 1 && median_s > kSlower * quantile(alone.*of, 0.5);
      // Each saves and loads in turn, so that this many of each kind were seen in a second.
      const double seen_per_s = n / (quantile(crowd_->times(&worker::StoreMeasure::puts), 0.5) +
                                     quantile(crowd_->times(&worker::StoreMeasure::gets), 0.5));
      if (is_slower)
        store[rate] = fmt::format("{:.4g}", n / median_s);
      else if (store[rate] && store[rate].as<double>() < seen_per_s)
        store[rate] = fmt::format("{:.4g}", seen_per_s);
      if (!is_slower) (all.*of).insert((all.*of).end(), times.begin(), times.end());
    };
    add(&worker::StoreMeasure::puts, "put_per_s");
    add(&worker::StoreMeasure::gets, "get_per_s");
    const double together = crowd_->bytes_per_s(&worker::StoreMeasure::put_per_s) +
                            crowd_->bytes_per_s(&worker::StoreMeasure::get_per_s);
    if (n > 1 && together < kNarrower * n * (alone.put_per_s + alone.get_per_s)) {
      // Each saves and loads in turn.
      YAML::Node server(YAML::NodeType::Map);
      server["mb_per_s"] = fmt::format("{:.4g}", together / 2 / 1e6);
      store["server"] = server;
    }
  }

  void set_starts(YAML::Node functions) const {
    std::vector<double> cold = alone_.cold_s, warm = alone_.warm_s;
    if (crowd_) {
      cold.insert(cold.end(), crowd_->cold_s.begin(), crowd_->cold_s.end());
      warm.insert(warm.end(), crowd_->warm_s.begin(), crowd_->warm_s.end());
    }
    if (!warm.empty()) functions["invoke"] = said(latency_entry(warm));
    if (cold.empty()) return;
    const double invoke_s = warm.empty() ? 0 : quantile(warm, 0.5);
    if (warm.empty()) functions["invoke"] = said(constant_entry(0));
    for (double& seconds : cold) seconds = std::max(0.0, seconds - invoke_s);
    functions["cold_start"] = said(latency_entry(cold));
    functions.remove("starts_s");
  }

  static YAML::Node said(YAML::Node entry) {
    entry["source"] = kSource;
    entry["date"] = today();
    return entry;
  }

  std::string yaml(const std::optional<std::string>& ended_by) const {
    const std::string base = base_name();
    YAML::Node root = base_of(base);
    root["name"] = "measured";
    root["date"] = today();
    YAML::Node store = root["stores"].begin()->second;
    worker::StoreMeasure all = alone_.measures.front();
    if (crowd_) set_crowd(store, all);
    set_measured(store, all, alone_.memory_mb);
    for (const char* name : {"put", "get", "list", "remove"})
      if (store[name]) said(store[name]);
    const Uri channel = Uri::parse(options_.text("channel"));
    set_capabilities(store, storage::open_plain(channel)->capabilities());
    const storage::Plugin& plugin = storage::registry().get(channel.scheme);
    set_splits(store, plugin.save_batch, plugin.load_batch, plugin.removal_batch, plugin.parts);
    set_starts(root["functions"]);
    return profile_text(
        root, fmt::format("Measured by lambdaml calibrate with {} requests from {} of {:g} MB, "
                          "for ${:.3g}; the rest is from the profile {}{}",
                          requests_,
                          crowd_ && crowd_->measures.size() > 1
                              ? fmt::format("{} functions", crowd_->measures.size())
                              : std::string("one function"),
                          alone_.memory_mb, cost_usd_, printable(base),
                          ended_by ? "; ended early: " + printable(*ended_by) : "."));
  }

  const FunctionCalibration& wanted_;
  Options options_;
  job::Functions functions_;
  Fleet alone_;
  std::optional<Fleet> crowd_;
  std::size_t requests_ = 0;
  double cost_usd_ = 0, requests_usd_ = 0;
};

}  // namespace

Calibration calibrate_from_functions(const FunctionCalibration& wanted, Options options) {
  return FunctionMeasurement(wanted, std::move(options)).run();
}

}  // namespace lambdaml::plan
