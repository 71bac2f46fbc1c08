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
#include "lambdaml/worker/parts_worker.h"

namespace lambdaml::worker {
namespace {

/// What a worker reserves of its time for saving a part's result.
constexpr double kReserve_s = 2;
constexpr std::string_view kOver =
    " before its rows are predicted: give functions more with --timeout-s, or the data more parts "
    "and the job more --workers";

class PredictingWorker {
 public:
  PredictingWorker(const job::PredictEvent& event, const faas::Invocation& invocation,
                   const std::function<void()>& each_second)
      : event_(event),
        own_(event, invocation, each_second, {kReserve_s, kOver}),
        channel_(control::stoppable(own_.open_channel(), invocation)),
        format_(predict::output_format(event.out_format)) {}

  std::string run() {
    return unless_superseded(own_.claim(), [this] { return work(); });
  }

 private:
  std::string work() {
    if (const Entry entry = enter(*channel_, own_.claim(), event_.worker); entry.answer)
      return *entry.answer;
    job::TrainedModel model = load_model();
    const std::shared_ptr<storage::Storage> results = own_.stores().open(event_.to);
    const std::shared_ptr<storage::Storage> data =
        event_.data_uri.empty() ? storage::with_prefix(own_.open_channel(), control::keys::kData)
                                : own_.stores().open(event_.data_uri);
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
    return own_.report(*channel_, nlohmann::json::object());
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
    own_.between();
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
        [this] { own_.between(); });
  }

  const job::PredictEvent& event_;
  PartsWorker own_;
  std::shared_ptr<storage::Storage> channel_;
  const predict::OutputFormat& format_;
};

}  // namespace

std::string predict_parts(const job::PredictEvent& event, const faas::Invocation& invocation,
                          const std::function<void()>& each_second) {
  return PredictingWorker(event, invocation, each_second).run();
}

}  // namespace lambdaml::worker
