#include "lambdaml/plan/trial_jobs.h"

#include <algorithm>
#include <filesystem>
#include <limits>
#include <memory>
#include <optional>
#include <utility>

#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/base/files.h"
#include "lambdaml/base/interrupt.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/own_folder.h"
#include "lambdaml/base/parallel.h"
#include "lambdaml/base/text.h"
#include "lambdaml/data/synthetic.h"
#include "lambdaml/job/job.h"
#include "lambdaml/job/options.h"
#include "lambdaml/plan/simulated_job.h"
#include "lambdaml/trigger/trigger.h"

namespace lambdaml::plan {
namespace {

/// From where to where a number is looked for, and its order.
struct Range {
  double least = 0, most = std::numeric_limits<double>::infinity();
  double step = 1;
};

/// The least x of the range for which `of`, which rises with x, is `wanted`.
double solved(const std::function<double(double)>& of, double wanted, const Range& range) {
  double below = range.least, above = std::max(0.0, range.least) + range.step;
  if (of(below) >= wanted) return below;
  if (range.least < 0 && of(0) >= wanted) above = 0;
  constexpr int kDoublings = 12, kHalvings = 10;
  for (int i = 0; above > 0 && i < kDoublings && of(above) < wanted; ++i)
    below = std::exchange(above, 4 * above);
  for (int i = 0; i < kHalvings; ++i) {
    const double middle = (below + above) / 2;
    (of(middle) < wanted ? below : above) = middle;
  }
  return std::min((below + above) / 2, range.most);
}

class TrialJobs {
 public:
  TrialJobs(Uri channel, const TrialLimits& limits)
      : channel_(std::move(channel)), limits_(limits) {
    // Of slow stores, what a round takes is seen with smaller vectors, too.
    constexpr double kLargest = 12e6, kLeast = 1e6, kSave_s = 0.03;
    const double large = std::clamp(kSave_s * limits_.put_per_s, kLeast, kLargest);
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
    const Range request{.least = -limits_.request_s, .step = kRequest_s};
    find(out.request_s, small_, request);
    find(out.request_processor_s, crowd_, {.step = kRequest_s});
    find(out.request_s, small_, request);
    find(out.byte_work, large_, {.most = limits_.byte_work, .step = kWork});
    out.command_s = std::max(0.0, small_.few_s - simulated_s(small_, small_.few));
  }

 private:
  static constexpr std::uint64_t kRows = 400;
  /// Of a job, and of the epochs that one has more than another.
  static constexpr int kTimes = 5;
  static constexpr double kLong_s = 0.6, kTooLong_s = 3;
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
  void find(double& number, const Kind& kind, const Range& range) const {
    if (kind.many_s <= 0) return;
    const auto more_s = [&](double value) {
      number = value;
      return simulated_s(kind, kind.many) - simulated_s(kind, kind.few);
    };
    number = solved(more_s, kind.many_s - kind.few_s, range);
  }

  const Uri channel_;
  const TrialLimits limits_;
  Kind small_, large_, crowd_;
  double large_per_row_s_ = 0;
  std::function<sim::Profile()> measured_;
};

}  // namespace

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

void run_trials(const Uri& channel, const TrialLimits& limits, std::vector<double>& starts,
                Trials& out, const std::function<std::string()>& measured) {
  TrialJobs(channel, limits).run(starts, out, measured);
}

}  // namespace lambdaml::plan
