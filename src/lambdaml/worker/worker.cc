#include "lambdaml/worker/worker.h"

#include <chrono>
#include <cstdlib>
#include <new>

#include <nlohmann/json.hpp>

#include "lambdaml/base/checksum.h"
#include "lambdaml/base/deadline.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/log.h"
#include "lambdaml/comm/registry.h"
#include "lambdaml/control/channel.h"
#include "lambdaml/control/endings.h"
#include "lambdaml/control/stores.h"
#include "lambdaml/control/worker_claim.h"
#include "lambdaml/control/worker_report.h"
#include "lambdaml/data/partition.h"
#include "lambdaml/data/shared_rows.h"
#include "lambdaml/faas/handlers.h"
#include "lambdaml/faas/runtime.h"
#include "lambdaml/job/event.h"
#include "lambdaml/job/job.h"
#include "lambdaml/job/job_file.h"
#include "lambdaml/job/model_file.h"
#include "lambdaml/job/quality.h"
#include "lambdaml/job/worker_stats.h"
#include "lambdaml/model/frozen.h"
#include "lambdaml/model/registry.h"
#include "lambdaml/optim/registry.h"
#include "lambdaml/storage/times.h"
#include "lambdaml/tensor/safetensors.h"
#include "lambdaml/worker/entry.h"
#include "lambdaml/worker/log_metrics.h"
#include "lambdaml/worker/measure_rounds.h"
#include "lambdaml/worker/measuring_worker.h"
#include "lambdaml/worker/predict_parts.h"
#include "lambdaml/worker/prepare_parts.h"
#include "lambdaml/worker/remote.h"
#include "lambdaml/worker/timeline.h"
#include "lambdaml/worker/trainer.h"

namespace lambdaml::worker {
namespace {

using nlohmann::json;

/// Equal for runs that may continue each other: contains everything except how long and where they
/// run, and their passwords.
json fingerprint_of(const job::TrainEvent& event) {
  json options = job::to_json(event.options.without_passwords(), job::Values::deciding);
  options.erase("until");
  options.erase("stop_after");
  options.erase(optim::registry().get(event.options.text("optim")).epochs_option);
  options["rows"] = event.data.part_rows;
  options["features"] = event.data.features;
  options["checksum"] = event.data.checksum;
  if (event.data.in_order) options["in_order"] = true;
  options[control::kOrder] = data::OrderVersion::reshuffled;
  if (event.test) options[control::kTestChecksum] = event.test->checksum;
  if (event.init) options[control::kInitChecksum] = event.init->checksum;
  if (event.definition) options[control::kDefinitionChecksum] = event.definition->checksum;
  return options;
}

json defaults_of(const Options& options) {
  return job::to_json(Options(options.declared()), job::Values::deciding);
}

/// A member of a worker's report and of what it leaves to its next invocation.
constexpr const char* kTimeline = "timeline";

class WorkerRun {
 public:
  /// `each_second` is called within epochs.
  WorkerRun(job::TrainEvent event, const faas::Invocation& invocation,
            std::function<void()> each_second)
      : event_(std::move(event)),
        invocation_(invocation),
        round_meter_(std::make_shared<storage::Meter>()),
        claim_(stores_.open_channel(event_.options.text("channel"), event_.job_id, round_meter_),
               event_.worker),
        channel_(storage::with_times(
            control::channel_of_rounds(
                stores_.open_channel(event_.options.text("channel"), event_.job_id, round_meter_),
                invocation, [this] { claim_.require_now_and_then(); }),
            times_)),
        each_second_(std::move(each_second)) {}

  std::string run() {
    return unless_superseded(claim_, [this] { return work(); });
  }

 private:
  std::string work() {
    if (std::optional<std::string> answer = enter()) return *std::move(answer);
    control::Checkpoints checkpoints(stores_.open(event_.options.text("checkpoint")), event_.job_id,
                                     fingerprint_of(event_), event_.worker, event_.workers(),
                                     [this] { claim_.require(); });
    checkpoints.set_defaults(defaults_of(event_.options));
    const std::optional<Trainer::Start> start = starting_point(checkpoints);

    const Stopwatch loading;
    Trainer trainer(event_, {load_own(), load_test()}, membership(), again_, load_definition());
    if (event_.init && (!start || keeps_layers())) {
      std::vector<float> initial = load_initial(trainer.model());
      if (!start) trainer.start_from(std::move(initial));
    }
    const double load_s = loading.seconds();
    timeline_.loaded(load_s);
    log::info("loaded {} rows of {} features in {:.3f} s", event_.data.part_rows[event_.worker],
              event_.data.features, load_s);

    trainer.has_waited(earlier_stats_.waited_s);
    const TrainingEnd end = trainer.run(checkpoints, start, hooks());
    if (end == TrainingEnd::suspended) {
      job::WorkerStats stats = stats_with(trainer, load_s);
      stats.waited_s = trainer.waited_s();
      json left = stats.to_json();
      left[kTimeline] = timeline_.to_json();
      channel_->save(control::keys::worker_stats(event_.worker), as_bytes(json_text(left)));
      return std::string(control::kToBeContinued);
    }
    return finish(trainer, checkpoints, load_s);
  }

  /// Takes part in the job, and learns what an earlier invocation of this worker has done. Returns
  /// the answer where there is nothing left to do.
  std::optional<std::string> enter() {
    Entry entry = worker::enter(*channel_, claim_, event_.worker, event_.start);
    if (entry.answer) return entry.answer;
    again_ = entry.again;
    const std::optional<Buffer> earlier =
        again_ ? channel_->load(control::keys::worker_stats(event_.worker)) : std::nullopt;
    if (earlier) {
      const json left = parse_json(earlier->text());
      earlier_stats_ = job::WorkerStats::from_json(left);
      timeline_.continue_from(left.value(kTimeline, json()));
    } else {
      earlier_stats_.startup_s =
          std::max(0.0, static_cast<double>(arrived_ms_ - event_.sent_ms) / 1e3);
    }
    if (again_)
      log::info("{}", earlier ? "another invocation continues where the last one ended"
                              : "this worker was started before; continuing where it left off");
    return {};
  }

  /// Saves the model (worker 0) and this worker's report, which is the answer.
  std::string finish(Trainer& trainer, control::Checkpoints& checkpoints, double load_s) {
    const FinalTotals totals = trainer.final_totals();
    if (again_) checkpoints.forget_suspension();
    if (event_.worker == 0)
      channel_->save(control::keys::kModel,
                     job::model_to_bytes(event_.options.text("model"), trainer.shape(),
                                         event_.options, trainer.model(), trainer.parameters()));
    json report = stats_with(trainer, load_s).to_json();
    report["worker"] = event_.worker;
    report["train"] = model::numbers_of(totals.train);
    report["valid"] = model::numbers_of(totals.valid);
    report["test"] = model::numbers_of(totals.test);
    if (auto rows = trainer.class_rows(); !rows.empty() && rows.size() <= job::kMostJudgedClasses)
      report["class_rows"] = std::move(rows);
    if (auto weights = trainer.class_weights();
        !weights.empty() && weights.size() <= job::kMostJudgedClasses)
      report["class_weight_sums"] = std::move(weights);
    report["loss_is_log_loss"] = trainer.model().has_probabilities();
    report["rounds"] = trainer.communicator().round();
    report["epochs"] = trainer.epochs_done();
    report["ended_by"] = trainer.ended_by();
    if (trainer.best_epoch() > 0) report["best_epoch"] = trainer.best_epoch();
    report[kTimeline] = timeline_.to_json();
    const std::string text = json_text(report);
    channel_->save(control::keys::result(event_.worker), as_bytes(text));
    return text;
  }

  [[noreturn]] void fail_lost() const { worker::fail_lost(*channel_, event_.worker); }

  /// This worker's part of a set that was prepared, or staged in the channel.
  data::Dataset load_part(const std::string& prepared, const char* staged,
                          const data::Manifest& manifest,
                          const std::optional<data::Content>& content) {
    if (data::is_shared(prepared)) return data::shared_part(prepared, event_.worker, manifest);
    if (!prepared.empty())
      return data::read_part(*stores_.open(prepared), event_.worker, manifest, content);
    try {
      return data::read_part(*open_staged(staged), event_.worker, manifest, content);
    } catch (const Error& error) {
      // It was saved before the first worker was started.
      if (error.code() == Code::not_found) fail_lost();
      throw;
    }
  }

  model::Rows load_own() {
    return with_targets(load_part(event_.data_uri, control::keys::kData, event_.data, event_.part));
  }

  /// In the form that the model learns from.
  model::Rows with_targets(data::Dataset part) const {
    const model::Plugin& plugin = model::registry()
                                      .get(event_.options.text("model"))
                                      .for_job(event_.options, event_.data.has_integers());
    return plugin.predicts_numbers ? model::with_numbers(std::move(part))
                                   : model::with_targets(std::move(part), event_.data.labels);
  }

  std::shared_ptr<const Buffer> load_definition() {
    if (model::registry().get(event_.options.text("model")).file_option.empty()) return nullptr;
    std::optional<Buffer> bytes =
        stores_.open_channel(event_.options.text("channel"), event_.job_id)
            ->load(control::keys::kDefinition);
    if (!bytes) fail_lost();
    if (event_.definition && data::content_of(*bytes) != *event_.definition)
      fail(Code::data_corrupt,
           "channel {}: '{}', the model's file, is not what the job was begun with: it was damaged",
           channel_->describe(), control::keys::kDefinition);
    return std::make_shared<const Buffer>(std::move(*bytes));
  }

  /// Whether parts of the initial model are in no checkpoint, because they never change.
  bool keeps_layers() const { return !event_.options.text(model::freeze_option().name).empty(); }

  /// Takes from the model to start from what `model` keeps of it, and returns its parameters.
  std::vector<float> load_initial(model::Model& model) {
    std::optional<Buffer> bytes =
        stores_.open_channel(event_.options.text("channel"), event_.job_id)
            ->load(control::keys::kInitialModel);
    if (!bytes) fail_lost();
    const std::string what = fmt::format("channel {}: '{}', the model to start from",
                                         channel_->describe(), control::keys::kInitialModel);
    if (data::content_of(*bytes) != *event_.init)
      fail(Code::data_corrupt, "{}, is not what the job was begun with: it was damaged", what);
    const auto file = std::make_shared<const Buffer>(std::move(*bytes));
    const job::TrainedModel initial = job::model_from_bytes(file, what);
    if (keeps_layers()) model.restore(tensor::SafetensorsFile(file, what));
    return job::parameters_for(model, initial, what);
  }

  model::Rows load_test() {
    if (!event_.test || event_.worker >= event_.test->parts())
      return with_targets({tensor::DenseView{nullptr, 0, event_.data.features}, {}, nullptr});
    return with_targets(
        load_part(event_.test_uri, control::keys::kTest, *event_.test, event_.test_part));
  }

  /// Loads what the trigger staged in the channel for the workers.
  std::shared_ptr<storage::Storage> open_staged(const char* prefix) {
    return storage::with_prefix(stores_.open_channel(event_.options.text("channel"), event_.job_id),
                                prefix);
  }

  comm::Membership membership() const {
    comm::Membership membership;
    membership.store = channel_;
    membership.job = checksum(as_bytes(event_.job_id));
    membership.worker = event_.worker;
    membership.workers = event_.workers();
    membership.patience_s = event_.options.real("patience_s");
    membership.deadline = invocation_.deadline;
    membership.options = comm::pattern_options(event_.options);
    return membership;
  }

  /// The statistics of earlier invocations and this one.
  job::WorkerStats stats_with(const Trainer& trainer, double load_s) const {
    const storage::Usage rounds = round_meter_->usage();
    job::WorkerStats stats;
    stats.load_s = load_s;
    stats.compute_s = trainer.compute_s();
    stats.comm_s = trainer.communicator().seconds();
    stats.run_s = running_.seconds();
    stats.describe_function();
    stats.invocations = 1;
    stats.bytes_sent = rounds.put.bytes;
    stats.bytes_received = rounds.get.bytes;
    stats.usage = stores_.usage();
    cost::add(stats.usage, {{Uri::parse(event_.options.text("channel")).scheme, rounds}});
    stats += earlier_stats_;
    return stats;
  }

  /// Where to begin: at the state of an earlier attempt (a suspension before a checkpoint of the
  /// same epoch), else at the checkpoint that the event names, else nowhere.
  std::optional<Trainer::Start> starting_point(control::Checkpoints& checkpoints) {
    if (!again_ && !event_.resume) return {};
    if (!again_ && event_.resume_round)
      return Trainer::Start{checkpoints.load_round(*event_.resume_round)};
    if (again_) {
      const std::optional<control::Checkpoints::Suspension> suspended = checkpoints.suspension();
      const auto goes_first = [&](const control::Progress& progress) {
        return suspended && suspended->progress.epoch >= progress.epoch;
      };
      const std::vector<control::Progress> available = checkpoints.available();
      std::optional<control::Progress> newest;
      // Loads only usable checkpoints; if one is damaged, an older one becomes the newest.
      if (!available.empty() && !goes_first(available.front())) newest = checkpoints.load_newest();
      if (suspended && (!newest || goes_first(*newest)))
        return Trainer::Start{suspended->progress, suspended->place};
      if (newest) return Trainer::Start{*newest};
      if (!event_.resume) return {};
    } else if (const std::optional<control::Progress> newest = checkpoints.load_newest()) {
      return Trainer::Start{*newest};
    }
    fail(Code::not_found, "worker {} has no checkpoint to continue from in {}", event_.worker,
         event_.options.text("checkpoint"));
  }

  Trainer::Hooks hooks() {
    Trainer::Hooks hooks;
    hooks.each_second = [this] {
      if (invocation_.cancelled && *invocation_.cancelled)
        fail(Code::cancelled, "the job was stopped");
      claim_.require_now_and_then();
      if (each_second_) each_second_();
    };
    hooks.merged = [this](double seconds) { timeline_.merged(seconds); };
    hooks.checkpoint_saved = [this](double seconds) { timeline_.saved(seconds); };
    if (event_.worker != 0) return hooks;
    hooks.epoch_done = [this](const job::EpochMetrics& metrics) {
      channel_->save(control::keys::metrics(metrics.epoch), as_bytes(metrics.to_json()));
      log_metrics(event_, metrics, since_epoch_.seconds());
      since_epoch_ = Stopwatch();
    };
    hooks.progress = [this](std::uint64_t epoch, std::uint64_t round, std::uint64_t rounds) {
      const json at{{"epoch", epoch}, {"round", round}, {"rounds", rounds}, {"at_ms", epoch_ms()}};
      channel_->save(control::keys::kProgress, as_bytes(json_text(at)));
    };
    return hooks;
  }

  const job::TrainEvent event_;
  const faas::Invocation& invocation_;
  const std::int64_t arrived_ms_ = epoch_ms();
  const Stopwatch running_;
  Stopwatch since_epoch_;
  /// The trigger has reached all of them.
  control::Stores stores_{control::Stores::Services::answered};
  std::shared_ptr<storage::Meter> round_meter_;  ///< of the channel, without the data
  std::shared_ptr<storage::Times> times_ = std::make_shared<storage::Times>();
  Timeline timeline_{times_, event_.sent_ms, arrived_ms_};
  control::WorkerClaim claim_;
  std::shared_ptr<storage::Storage> channel_;
  std::function<void()> each_second_;
  bool again_ = false;
  job::WorkerStats earlier_stats_;  ///< of earlier invocations
};

/// If the platform reports how events end, an error that another attempt cannot avoid is returned
/// as a response.
std::string run_here(const std::function<std::string()>& work) {
  try {
    return work();
  } catch (const control::JobIsOver& over) {
    log::info("{}", over.what());
    return std::string(control::kJobIsOver);
  } catch (const control::JobIsLost& lost) {
    log::error("{}", lost.what());
    return std::string(control::kJobIsLost);
  } catch (const control::DamagedCheckpoint& damaged) {
    log::info("{}", damaged.what());
    return std::string(control::kCheckpointDamaged);
  }
}

/// An event whose worker makes parts by itself: `work` is what is done for it.
template <class Event, class Handler>
std::string handle_parts(const Event& event, const faas::Invocation& invocation,
                         const Handler& work) {
  if (!event.remote) return run_here([&] { return work(event, invocation, {}); });
  const RemoteWorker worker{event.job_id, event.worker, event.channel};
  return report_to_storage(invocation, worker, [&](const std::function<void()>& each_second) {
    return work(event, invocation, each_second);
  });
}

}  // namespace

std::string handle_worker_event(const faas::Invocation& invocation) {
  try {
    const std::string task = job::task_of(invocation.payload);
    if (task == "bench_comm")
      return measure_rounds(job::bench_comm_event_from_json(invocation.payload), invocation);
    if (task == "calibrate")
      return handle_parts(job::calibrate_event_from_json(invocation.payload), invocation,
                          measure_channel);
    if (task == "predict")
      return handle_parts(job::predict_event_from_json(invocation.payload), invocation,
                          predict_parts);
    if (task == "prepare")
      return handle_parts(job::prepare_event_from_json(invocation.payload), invocation,
                          prepare_parts);
    job::TrainEvent event = job::train_event_from_json(invocation.payload);
    event.options.set("threads", Option::Value(job::threads_of_function(event.options)), "threads");
    if (!job::is_remote(event.options))
      return run_here([&] { return WorkerRun(std::move(event), invocation, {}).run(); });
    const RemoteWorker worker{event.job_id, event.worker, event.options.text("channel"),
                              event.options.text("checkpoint")};
    return report_to_storage(invocation, worker, [&](const std::function<void()>& each_second) {
      return WorkerRun(event, invocation, each_second).run();
    });
  } catch (const std::bad_alloc&) {
    const std::optional<int> limit = faas::own_memory_mb();
    fail(Code::resource_exhausted,
         "out of memory{}: give functions more with --memory-mb, or the work to more of them with "
         "--workers",
         limit ? fmt::format(" at the limit of {} MB", *limit) : "");
  }
}

void register_handler() { faas::handlers()["worker"] = handle_worker_event; }

}  // namespace lambdaml::worker
