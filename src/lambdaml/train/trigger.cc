#include "lambdaml/train/trigger.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <numeric>

#include <nlohmann/json.hpp>

#include "lambdaml/base/deadline.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/interrupt.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/text.h"
#include "lambdaml/comm/registry.h"
#include "lambdaml/model/registry.h"
#include "lambdaml/optim/registry.h"
#include "lambdaml/train/channel.h"
#include "lambdaml/train/checkpoint.h"
#include "lambdaml/train/cost.h"
#include "lambdaml/train/event.h"
#include "lambdaml/train/figures.h"
#include "lambdaml/train/job.h"
#include "lambdaml/train/job_view.h"
#include "lambdaml/train/platform.h"
#include "lambdaml/train/remote.h"
#include "lambdaml/train/run_folder.h"
#include "lambdaml/train/staging.h"
#include "lambdaml/train/superseded.h"
#include "lambdaml/train/worker.h"

namespace lambdaml::train {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

/// Of its part of the data, while a worker puts the rows in order.
constexpr std::uint64_t kCopiesOfData = 2;

/// Makes the model and the optimizer as the workers will, so that what cannot work is said before
/// anything is started.
void rehearse(const Options& options, const StagedData& staged) {
  const data::Manifest& data = staged.data;
  const std::optional<data::Manifest>& test = staged.test;
  const std::string what = Uri::parse(options.text("data")).display();
  const model::Plugin& plugin = model::registry().get(options.text("model"));
  if (plugin.needs_labels && data.labels.empty())
    fail(Code::invalid_argument, "{}: it has no labels, and {} learns from labels", what,
         plugin.name);
  const model::Shape shape{data.features,
                           plugin.needs_labels ? data.labels : std::vector<std::int32_t>(),
                           staged.definition};
  std::unique_ptr<model::Model> model;
  try {
    model = plugin.make(shape, options);
  } catch (...) {
    rethrow_with(what);
  }
  if (test && plugin.needs_labels && test->labels.empty())
    fail(Code::invalid_argument, "{}: it has no labels, so {} cannot be tested on it",
         Uri::parse(options.text("test_data")).display(), plugin.name);
  if (data.rows() < model->minimum_rows())
    fail(Code::invalid_argument, "{}: its {} rows are too few: {} with these options needs {}",
         what, data.rows(), plugin.name, model->minimum_rows());
  const auto rows = std::min(static_cast<std::uint64_t>(options.integer("batch_size")),
                             *std::max_element(data.part_rows.begin(), data.part_rows.end()));
  const std::uint64_t training = model->training_bytes(rows);
  const std::uint64_t needed = training + data.bytes / data.parts() * kCopiesOfData;
  if (training > 0 && needed > static_cast<std::uint64_t>(options.integer("memory_mb")) << 20)
    fail(Code::invalid_argument,
         "{} needs about {} for batches of {} rows and its part of the data, and a function may "
         "use {} MB: use a smaller --batch-size, more --workers or a larger --memory-mb",
         plugin.name, human_bytes(needed), rows, options.integer("memory_mb"));
  const auto alone = comm::registry().get(options.text("sync_mode")).make({});
  optim::Problem problem{*model, *alone};
  problem.rows_per_round = {1.0};
  problem.rows = problem.own_rows = 1;
  optim::registry().get(options.text("optim")).make(problem, options);
}

model::Totals totals_from(const json& triple) {
  return {triple.at(0).get<double>(), triple.at(1).get<double>(), triple.at(2).get<double>()};
}

constexpr std::string_view kTriggersClaim = "trigger";

/// The job's channel as its trigger uses it, and what that costs.
struct Channel {
  /// Throws when the channel cannot be reached: then there is nothing to clear either.
  Channel(const std::string& uri, const std::string& job_id)
      : store(open_channel(uri, job_id, meters.of(uri))) {
    store->load(keys::kJob);
  }
  /// After the channel was cleared.
  ~Channel() {
    if (!stop_workers) return;
    try {
      store->save(keys::kStop, {});
    } catch (const std::exception& error) {
      log::warning("telling the workers to stop: {}", error.what());
    }
  }
  Channel(const Channel&) = delete;

  /// For a job that goes on. Workers of its earlier trigger may still be at work: from now on none
  /// of them counts, so none begins to save another checkpoint, and those that are there can be
  /// chosen from. A PUT a worker.
  void take_over(const Options& options) const {
    store->clear("");
    std::vector<std::string> names;
    for (std::int64_t worker = 0; worker < options.integer("workers"); ++worker)
      names.push_back(keys::tenure(static_cast<std::uint32_t>(worker)));
    std::vector<storage::Item> claims;
    for (const std::string& name : names) claims.push_back({name, as_bytes(kTriggersClaim)});
    store->save_all(claims);
  }

  Meters meters;
  std::shared_ptr<storage::Storage> store;
  /// Workers run that the platform does not end: the mark that they look for is left when the job
  /// goes.
  bool stop_workers = false;
};

/// A job while it runs.
class Run {
 public:
  Run(Options options, RunFolder& folder, Channel& channel, Observer& observer)
      : options_(std::move(options)),
        folder_(folder),
        channel_(*channel.store),
        meters_(channel.meters),
        stop_workers_(channel.stop_workers),
        observer_(observer) {}

  std::string run(const StagedData& staged, bool resuming) {
    const Stopwatch wall;
    const optim::Plugin& optimizer = optim::registry().get(options_.text("optim"));
    observer_.starting(folder_.job_id(), staged.data.rows(), staged.data.features, workers(),
                       static_cast<std::uint64_t>(options_.integer(optimizer.epochs_option)));
    TrainEvent event = make_event(staged);
    if (resuming) find_common_checkpoint(event);
    const std::string& checkpoints = options_.text("checkpoint");
    JobRecord record(storage::open(checkpoints, meters_.of(checkpoints)), folder_.job_id());
    record.begin(options_);
    channel_.save(keys::kJob, {});
    start(event);
    stop_workers_ = is_remote(options_);
    const double limit_s = options_.real("deadline");
    const Deadline limit = limit_s > 0 ? Deadline::in(limit_s) : Deadline::never();
    // Where looks are dear, once a second is often enough to show people how far the job is.
    const double pause_s = channel_.capabilities().dear_looks ? 1 : 0;
    double next_look_s = pause_s;
    const std::vector<std::string> responses = wait_for_all(*invocations_, [&] {
      tell_failures();
      if (wall.seconds() >= next_look_s) {
        next_look_s = wall.seconds() + pause_s;
        look_for_metrics();
        look_for_progress();
        if (channel_.load(keys::kStop))
          fail(Code::cancelled, "job {}: stopped by lambdaml stop", folder_.job_id());
      }
      tell_progress();
      if (limit.passed())
        fail(Code::limit_reached, "job {}: stopped after {} s, as --deadline says",
             folder_.job_id(), limit_s);
    });
    tell_failures();
    if (std::ranges::find(responses, kJobIsOver) != responses.end())
      fail(Code::unavailable, "channel {}: it has lost what this job wrote", channel_.describe());
    look_for_metrics();
    std::string summary = collect(staged, wall);
    stop_workers_ = false;
    record.finish(summary);
    return summary;
  }

 private:
  std::uint32_t workers() const { return static_cast<std::uint32_t>(options_.integer("workers")); }
  UsageByStore own_usage() const { return meters_.usage(); }

  TrainEvent make_event(const StagedData& staged) {
    TrainEvent event;
    event.job_id = folder_.job_id();
    event.options = options_;
    event.data = staged.data;
    event.data_uri = staged.data_uri;
    event.test = staged.test;
    event.test_uri = staged.test_uri;
    event.sent_ms = epoch_ms();
    return event;
  }

  /// The newest round at which every worker has a checkpoint; asynchronous workers each go on from
  /// their own.
  void find_common_checkpoint(TrainEvent& event) {
    const auto store =
        storage::open(options_.text("checkpoint"), meters_.of(options_.text("checkpoint")));
    std::vector<Progress> common;
    std::size_t with_any = 0;
    for (std::uint32_t worker = 0; worker < workers(); ++worker) {
      std::vector<Progress> own =
          Checkpoints(store, folder_.job_id(), "", worker, workers()).available();
      with_any += own.empty() ? 0 : 1;
      if (worker == 0)
        common = own;
      else if (options_.text("sync_mode") != "async")
        std::erase_if(common, [&](const Progress& progress) {
          return std::find(own.begin(), own.end(), progress) == own.end();
        });
    }
    if (with_any < workers() || common.empty()) {
      log::warning("run {}: no checkpoint that all workers have; starting over", folder_.job_id());
      forget_checkpoints_after(store, 0);
      folder_.rewind(0, "");
      return;
    }
    event.resume = true;
    if (options_.text("sync_mode") != "async") {
      event.resume_round = common.front().round;
      forget_checkpoints_after(store, common.front().epoch);
    }
    next_metrics_ = common.front().epoch + 1;
    folder_.rewind(
        common.front().epoch,
        Checkpoints(store, folder_.job_id(), "", 0, workers()).note(common.front()).metrics);
    log::info("going on after epoch {}", common.front().epoch);
  }

  void forget_checkpoints_after(const std::shared_ptr<storage::Storage>& store,
                                std::uint64_t epoch) const {
    for (std::uint32_t worker = 0; worker < workers(); ++worker)
      Checkpoints(store, folder_.job_id(), "", worker, workers()).forget_after(epoch);
  }

  void start(TrainEvent& event) {
    const Platform platform(options_.text("platform"), channel_);
    faas::Function function = platform.function();
    function.memory_mb = static_cast<int>(options_.integer("memory_mb"));
    function.timeout_s = options_.real("timeout_s");
    function.retries = static_cast<int>(options_.integer("retries"));
    function.environment["LAMBDAML_LOG_LEVEL"] = options_.text("log_level");
    function.log_folder = folder_.log_folder();
    function.name = options_.text("function");
    function.all_at_once = comm::registry().get(options_.text("sync_mode")).bulk_synchronous;
    if (is_remote(options_)) function.outcome = outcome_of_workers();
    function.goes_on = [](const std::string& response) { return response == kToBeContinued; };
    std::vector<std::string> payloads;
    for (event.worker = 0; event.worker < workers(); ++event.worker)
      payloads.push_back(to_json(event));
    invocations_ = platform.invoke_all(
        function, std::move(payloads),
        [this](std::size_t worker, const faas::EventStatus& status, bool again) {
          const std::lock_guard lock(failures_mutex_);
          failures_.push_back({worker, status, again});
        });
  }

  /// How workers stand, by what they leave in the channel; called from the invoker's thread.
  std::function<std::optional<faas::EventStatus>(std::size_t)> outcome_of_workers() {
    const std::string& uri = options_.text("channel");
    std::shared_ptr<storage::Storage> channel =
        open_channel(uri, folder_.job_id(), meters_.of(uri));
    return [this, channel, heard = std::map<std::size_t, std::uint64_t>()](
               std::size_t worker) mutable -> std::optional<faas::EventStatus> {
      using State = faas::EventStatus::State;
      faas::EventStatus status;
      const auto index = static_cast<std::uint32_t>(worker);
      if (const std::optional<Buffer> report = channel->load(keys::result(index))) {
        status.state = State::succeeded;
        status.response = report->text();
        return status;
      }
      if (const std::optional<Buffer> text = channel->load(keys::failure(index))) {
        const json failure = parse_json(text->text());
        status.state = State::failed;
        status.error_type = failure.is_object() ? failure.value("type", "") : "";
        status.error_message = fmt::format("worker {}: {}", worker,
                                           failure.is_object() ? failure.value("message", "") : "");
        return status;
      }
      // Bulk-synchronous workers only get on together: news of one are of all.
      const std::uint64_t news = news_;
      if (heard[worker] == news) return {};
      heard[worker] = news;
      status.state = State::running;
      return status;
    };
  }

  /// Failures come on the invoker's thread; the observer is told on this one.
  void tell_failures() {
    std::vector<FailedTry> failures;
    {
      const std::lock_guard lock(failures_mutex_);
      failures.swap(failures_);
    }
    for (const FailedTry& failed : failures)
      observer_.worker_failed(failed.worker, failed.status, failed.again);
  }

  void look_for_metrics() {
    while (const std::optional<Buffer> text = channel_.load(keys::metrics(next_metrics_))) {
      const EpochMetrics metrics = EpochMetrics::from_json(text->text());
      folder_.add(metrics);
      observer_.epoch_done(metrics);
      ++next_metrics_;
      ++news_;
    }
  }

  void look_for_progress() {
    const std::optional<Buffer> text = channel_.load(keys::kProgress);
    if (!text) return;
    const json at = parse_json(text->text());
    if (!at.is_object()) return;
    const auto before = std::pair(at_.epoch, at_.round);
    at_.epoch = at.value("epoch", std::uint64_t{0});
    at_.round = at.value("round", std::uint64_t{0});
    if (before != std::pair(at_.epoch, at_.round)) ++news_;
    at_.rounds = at.value("rounds", std::uint64_t{0});
  }

  void tell_progress() {
    std::uint32_t alive = 0;
    for (const faas::EventStatus& status : invocations_->status())
      alive += status.state == faas::EventStatus::State::running ? 1 : 0;
    observer_.tick(alive, at_.epoch, at_.round, at_.rounds);
  }

  std::string collect(const StagedData& staged, const Stopwatch& wall) {
    constexpr double kPatienceSeconds = 30;
    std::vector<std::string> wanted;
    for (std::uint32_t worker = 0; worker < workers(); ++worker)
      wanted.push_back(keys::result(worker));
    const std::vector<Buffer> reports = channel_.load_all(wanted, Deadline::in(kPatienceSeconds));
    const Buffer model = channel_.load_or_wait(keys::kModel, Deadline::in(kPatienceSeconds));

    model::Totals train, valid, test;
    Figures all_figures;
    const Prices prices = Prices::current();
    const std::string region = prices.priced_region(billing_region());
    Cost cost;
    std::uint64_t rounds = 0, epochs = 0;
    std::string ended_by;
    for (const Buffer& text : reports) {
      const json report = parse_json(text.text());
      train += totals_from(report.at("train"));
      valid += totals_from(report.at("valid"));
      test += totals_from(report.at("test"));
      const Figures figures = Figures::from_json(text.text());
      all_figures += figures;
      const auto memory_mb = static_cast<double>(options_.integer("memory_mb"));
      cost.functions +=
          prices.of_function(figures.run_s, memory_mb, region) +
          static_cast<double>(figures.invocations - 1) * prices.of_function(0, memory_mb, region);
      rounds = std::max(rounds, report.at("rounds").get<std::uint64_t>());
      epochs = std::max(epochs, report.at("epochs").get<std::uint64_t>());
      if (ended_by.empty()) ended_by = report.at("ended_by").get<std::string>();
    }
    ordered_json summary{{"job_id", folder_.job_id()}};
    for (const char* name : {"model", "optim", "sync_mode"}) summary[name] = options_.text(name);
    summary["channel"] = Uri::parse(options_.text("channel")).display();
    summary["workers"] = workers();
    summary["epochs"] = epochs;
    summary["ended_by"] = ended_by;
    summary["rows"] = staged.data.rows();
    summary["features"] = staged.data.features;
    if (model::registry().get(options_.text("model")).needs_labels) {
      std::map<std::string, double> values;
      add_supervised("train", train, values);
      add_supervised("valid", valid, values);
      add_supervised("test", test, values);
      for (const char* name : {"train_loss", "train_accuracy", "valid_loss", "valid_accuracy",
                               "test_loss", "test_accuracy"})
        if (values.contains(name)) summary[name] = values[name];
    } else {
      summary["inertia"] = train.loss;
      if (test.rows > 0) summary["test_inertia"] = test.loss;
    }
    const double n = workers();
    summary["wall_s"] = wall.seconds() + prepared_s_;
    summary["startup_s"] = all_figures.startup_s / n;
    summary["load_s"] = all_figures.load_s / n;
    summary["compute_s"] = all_figures.compute_s / n;
    summary["comm_s"] = all_figures.comm_s / n;
    summary["invocations"] = all_figures.invocations;
    summary["rounds"] = rounds;
    UsageByStore usage = own_usage();
    add(usage, all_figures.usage);
    cost.requests = prices.of_requests(usage, region);
    storage::Usage all;
    for (const auto& [scheme, used] : usage) all += used;
    summary["requests"] = {{"put", all.put.requests},
                           {"get", all.get.requests},
                           {"list", all.list.requests},
                           {"delete", all.remove.requests}};
    summary["bytes_sent"] = all_figures.bytes_sent;
    summary["bytes_received"] = all_figures.bytes_received;
    summary["cost_usd"] = cost.total();
    summary["cost"] = {{"functions_usd", cost.functions},
                       {"requests_usd", cost.requests},
                       {"region", region},
                       {"prices_of", prices.date()}};
    summary["model_path"] = folder_.model_path().string();
    const std::string text = json_text(summary);
    folder_.finish(model, text);
    return text;
  }

 public:
  void count_preparation(double seconds) { prepared_s_ = seconds; }

 private:
  const Options options_;
  RunFolder& folder_;
  storage::Storage& channel_;
  Meters& meters_;
  bool& stop_workers_;
  Observer& observer_;
  struct FailedTry {
    std::size_t worker;
    faas::EventStatus status;
    bool again;
  };
  std::mutex failures_mutex_;
  std::vector<FailedTry> failures_;
  std::unique_ptr<faas::Invocations> invocations_;
  std::uint64_t next_metrics_ = 1;
  std::atomic<std::uint64_t> news_{0};  ///< grows with every sign of life
  /// Where worker 0 said that it stands.
  struct {
    std::uint64_t epoch = 0, round = 0, rounds = 0;
  } at_;
  double prepared_s_ = 0;
};

std::filesystem::path local_folder(const std::string& text) {
  const Uri uri = Uri::parse(text);
  if (uri.scheme != "file")
    fail(Code::invalid_argument, "output '{}': it must be a folder of this machine", uri.display());
  return text.starts_with("file://") ? std::filesystem::path(uri.path)
                                     : std::filesystem::path(text);
}

/// Whether the run has a checkpoint to go on from; true when that cannot be told.
bool can_be_resumed(const Options& options, const std::string& job_id) noexcept {
  try {
    const auto workers = static_cast<std::uint32_t>(options.integer("workers"));
    return !Checkpoints(storage::open(options.text("checkpoint")), job_id, "", 0, workers)
                .available()
                .empty();
  } catch (const std::exception&) {
    return true;
  }
}

/// Whether the logs of a run that never got to a checkpoint tell nothing that its error does not.
bool is_soon_told(Code code) {
  switch (code) {
    case Code::invalid_argument:
    case Code::not_found:
    case Code::already_exists:
    case Code::data_corrupt:
    case Code::permission_denied:
    case Code::diverged:
    case Code::cancelled:
    case Code::limit_reached:
      return true;
    default:
      return false;
  }
}

/// Leaves word of how the job ended, or of nothing when it came to nothing.
void note_end(const Options& options, const RunFolder& folder, const Error& error,
              bool for_nothing) noexcept {
  try {
    JobRecord record(storage::open(options.text("checkpoint")), folder.job_id());
    if (for_nothing)
      record.forget();
    else
      record.end(error.code() == Code::cancelled ? "stopped" : "failed", error.what());
  } catch (const std::exception& failure) {
    log::warning("noting the end of job {}: {}", folder.job_id(), failure.what());
  }
}

std::string run_to_end(Options options, RunFolder folder, const StagedData& staged,
                       Channel& channel, Observer& observer, bool resuming, bool by_command,
                       double prepared_s) {
  if (options.text("checkpoint").empty())
    options.set("checkpoint", Option::Value(folder.checkpoint_uri()), "checkpoint");
  try {
    Run run(options, folder, channel, observer);
    run.count_preparation(prepared_s);
    return run.run(staged, resuming);
  } catch (const Superseded&) {
    throw;
  } catch (const Error& error) {
    const bool resumable = can_be_resumed(options, folder.job_id());
    const bool for_nothing = !resumable && !resuming && is_soon_told(error.code());
    note_end(options, folder, error, for_nothing);
    if (for_nothing) {
      folder.discard();
      throw;
    }
    if (!resumable || error.code() == Code::diverged || !by_command) throw;
    std::throw_with_nested(Error(error.code(), fmt::format("{}; go on with: lambdaml resume {}",
                                                           error.what(), folder.path().string())));
  }
}

}  // namespace

std::string train(const Options& given, Observer& observer) {
  const Stopwatch clock;
  Options options = given;
  require_reach(options);
  const std::string job_id = new_job_id();
  const std::filesystem::path output = options.text("output").empty()
                                           ? std::filesystem::path("runs") / job_id
                                           : local_folder(options.text("output"));
  RunFolder::require_new(output);
  Channel channel(options.text("channel"), job_id);
  const ChannelCleaner cleaner(*channel.store, options.flag("keep"));
  const StagedData staged = stage(options, *channel.store);
  throw_if_interrupted();
  rehearse(options, staged);
  return run_to_end(options, RunFolder::create(output, job_id, options), staged, channel, observer,
                    false, true, clock.seconds());
}

std::string train_as(const std::string& job_id, const Options& given, Observer& observer) {
  const Stopwatch clock;
  Options options = given;
  require_reach(options);
  const std::filesystem::path output = local_folder(options.text("output"));
  RunFolder::require_new(output);
  Channel channel(options.text("channel"), job_id);
  ChannelCleaner cleaner(*channel.store, options.flag("keep"));
  channel.take_over(options);
  const StagedData staged = stage(options, *channel.store);
  throw_if_interrupted();
  rehearse(options, staged);
  const bool resuming = !options.text("checkpoint").empty() && can_be_resumed(options, job_id);
  try {
    return run_to_end(options, RunFolder::create(output, job_id, options), staged, channel,
                      observer, resuming, false, clock.seconds());
  } catch (const Superseded&) {
    cleaner.leave();
    channel.stop_workers = false;
    throw;
  }
}

std::string resume(const std::filesystem::path& path, Observer& observer) {
  const Stopwatch clock;
  RunFolder folder = RunFolder::open(path);
  if (const std::optional<std::string> summary = folder.summary()) return *summary;
  Options options = folder.options();
  resolve(options);
  Channel channel(options.text("channel"), folder.job_id());
  const ChannelCleaner cleaner(*channel.store, options.flag("keep"));
  channel.take_over(options);
  const StagedData staged = stage(options, *channel.store);
  throw_if_interrupted();
  rehearse(options, staged);
  return run_to_end(options, std::move(folder), staged, channel, observer, true, true,
                    clock.seconds());
}

}  // namespace lambdaml::train
