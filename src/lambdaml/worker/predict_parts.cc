#include "lambdaml/worker/predict_parts.h"

#include <algorithm>
#include <optional>

#include <nlohmann/json.hpp>

#include "lambdaml/base/deadline.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/log.h"
#include "lambdaml/control/channel.h"
#include "lambdaml/control/endings.h"
#include "lambdaml/control/stores.h"
#include "lambdaml/control/worker_claim.h"
#include "lambdaml/control/worker_report.h"
#include "lambdaml/job/model_file.h"
#include "lambdaml/job/worker_stats.h"
#include "lambdaml/predict/output_format.h"
#include "lambdaml/predict/predict.h"
#include "lambdaml/worker/entry.h"

namespace lambdaml::worker {
namespace {

/// What a worker reserves of its time for saving a part's result.
constexpr double kReserve_s = 2;

class PredictingWorker {
 public:
  PredictingWorker(const job::PredictEvent& event, const faas::Invocation& invocation,
                   const std::function<void()>& each_second)
      : event_(event),
        invocation_(invocation),
        each_second_(each_second),
        channel_(control::stoppable(stores_.open_channel(event.channel, event.job_id), invocation)),
        claim_(stores_.open_channel(event.channel, event.job_id), event.worker),
        format_(predict::output_format(event.out_format)) {}

  std::string run() {
    return unless_superseded(claim_, [this] { return work(); });
  }

 private:
  std::string work() {
    if (const Entry entry = enter(*channel_, claim_, event_.worker); entry.answer)
      return *entry.answer;
    job::TrainedModel model = load_model();
    const std::shared_ptr<storage::Storage> results = stores_.open(event_.to);
    const std::shared_ptr<storage::Storage> data =
        event_.data_uri.empty()
            ? storage::with_prefix(stores_.open_channel(event_.channel, event_.job_id),
                                   control::keys::kData)
            : stores_.open(event_.data_uri);
    std::optional<predict::Quality> quality;
    std::size_t own = 0;
    for (std::size_t part = event_.worker; part < event_.data.parts();
         part += event_.workers, ++own) {
      const predict::Predictions done = predict_part(model, *data, part, own);
      // Two attempts write the same bytes.
      results->save(predict::result_key(part, event_.data.parts(), format_),
                    format_.write(done.table));
      if (quality)
        quality->add(done.quality);
      else
        quality = done.quality;
      log::info("predicted part {} of {}: {} rows", part, event_.data.parts(), done.quality.rows);
    }
    channel_->save(control::keys::quality(event_.worker),
                   quality.value_or(predict::Quality()).to_bytes());
    return report();
  }

  job::TrainedModel load_model() {
    std::optional<Buffer> bytes = channel_->load(control::keys::kPredictor);
    if (!bytes) fail_lost(*channel_, event_.worker);
    const std::string what =
        fmt::format("channel {}/{}", channel_->describe(), control::keys::kPredictor);
    if (data::content_of(*bytes) != event_.model)
      fail(Code::data_corrupt, "{}: it is not the model that the job was begun with", what);
    return job::model_from_bytes(std::make_shared<const Buffer>(std::move(*bytes)), what);
  }

  predict::Predictions predict_part(job::TrainedModel& model, storage::Storage& store,
                                    std::size_t part, std::size_t own) {
    between();
    data::Dataset rows;
    try {
      rows = data::read_part(
          store, part, event_.data,
          own < event_.parts.size() ? std::optional(event_.parts[own]) : std::nullopt);
    } catch (const Error& error) {
      // It was saved before the first worker was started.
      if (error.code() == Code::not_found && event_.data_uri.empty())
        fail_lost(*channel_, event_.worker);
      throw;
    }
    const predict::Request request{
        .shown = {.class_scores = event_.scores, .probabilities = event_.probabilities},
        .ignore_labels = event_.ignore_labels};
    return predict::predict(
        model, rows,
        fmt::format("{}/{}", store.describe(), data::part_key(part, event_.data.parts())), request,
        [this] { between(); });
  }

  /// Whether to go on.
  void between() {
    if (invocation_.cancelled && *invocation_.cancelled)
      fail(Code::cancelled, "the job was stopped");
    claim_.require_now_and_then();
    if (each_second_) each_second_();
    if (invocation_.deadline.seconds_left() < kReserve_s)
      fail(Code::resource_exhausted,
           "worker {}: its function's time is over before its rows are predicted: give functions "
           "more with --timeout-s, or the data more parts and the job more --workers",
           event_.worker);
  }

  std::string report() {
    job::WorkerStats stats;
    stats.startup_s = std::max(0.0, static_cast<double>(arrived_ms_ - event_.sent_ms) / 1e3);
    stats.run_s = running_.seconds();
    stats.describe_function();
    stats.invocations = 1;
    stats.usage = stores_.usage();
    nlohmann::json report = stats.to_json();
    report["worker"] = event_.worker;
    const std::string text = json_text(report);
    channel_->save(control::keys::result(event_.worker), as_bytes(text));
    return text;
  }

  const job::PredictEvent& event_;
  const faas::Invocation& invocation_;
  const std::function<void()>& each_second_;
  const std::int64_t arrived_ms_ = epoch_ms();
  const Stopwatch running_;
  /// The trigger has reached all of them.
  control::Stores stores_{control::Stores::Services::answered};
  std::shared_ptr<storage::Storage> channel_;
  control::WorkerClaim claim_;
  const predict::OutputFormat& format_;
};

}  // namespace

std::string predict_parts(const job::PredictEvent& event, const faas::Invocation& invocation,
                          const std::function<void()>& each_second) {
  return PredictingWorker(event, invocation, each_second).run();
}

}  // namespace lambdaml::worker
