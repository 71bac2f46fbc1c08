#include "lambdaml/trigger/prediction.h"

#include <algorithm>
#include <array>

#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/base/interrupt.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/option_sets.h"
#include "lambdaml/base/parallel.h"
#include "lambdaml/control/channel.h"
#include "lambdaml/control/job_channel.h"
#include "lambdaml/control/stores.h"
#include "lambdaml/data/registry.h"
#include "lambdaml/faas/registry.h"
#include "lambdaml/job/event.h"
#include "lambdaml/job/job.h"
#include "lambdaml/job/options.h"
#include "lambdaml/model/registry.h"
#include "lambdaml/predict/output_format.h"
#include "lambdaml/trigger/parts_job.h"
#include "lambdaml/trigger/preparation.h"
#include "lambdaml/trigger/reach.h"

namespace lambdaml::trigger {
namespace {

/// Exists once all results do.
constexpr const char* kDone = "predictions.json";

class PredictionRun {
 public:
  PredictionRun(const Prediction& prediction, const Options& options, const job::ModelFile& file,
                const job::TrainedModel& model, control::JobChannel& channel,
                const std::string& job_id)
      : prediction_(prediction),
        options_(options),
        file_(file),
        model_(model),
        job_channel_(channel),
        channel_(channel.store()),
        format_(predict::output_format(prediction.out_format)) {
    event_.job_id = job_id;
    event_.channel = options.text("channel");
    event_.remote = job::is_remote(options);
    event_.to = Uri::parse(prediction.to).text();
    event_.out_format = format_.name;
    event_.probabilities = prediction.request.shown.probabilities;
    event_.scores = prediction.request.shown.class_scores;
    event_.ignore_labels = prediction.request.ignore_labels;
    event_.model = data::content_of(*file.bytes);
  }

  PredictionEnd run() {
    const std::shared_ptr<storage::Storage> results = job_channel_.stores().open(event_.to);
    stage();
    throw_if_interrupted();
    // Without it, readers take the folder for unfinished and not for an earlier job's.
    results->remove(kDone);
    channel_.save(control::keys::kPredictor, *file_.bytes);
    run_parts_job({options_, job_channel_, event_.job_id, events()});
    PredictionEnd end{.job_id = event_.job_id,
                      .plugin = &model_.plugin(),
                      .shape = model_.shape,
                      .quality = merged_quality(),
                      .parts = event_.data.parts(),
                      .workers = event_.workers};
    results->save(kDone, as_bytes(done_text(end)));
    return end;
  }

 private:
  /// Finds a prepared set that workers can read in place, or cuts the data for them.
  void stage() {
    const data::Places places = data::Places::parse(prediction_.data);
    const Uri& uri = places.uris.front();
    const std::string& format = options_.text("format");
    const auto wanted = static_cast<std::size_t>(options_.integer("workers"));
    std::optional<data::Manifest> prepared;
    if (!places.several() && is_within_reach(options_, uri.text()))
      prepared = data::find_manifest(uri);
    if (prepared && (format == "auto" || format == prepared->format)) {
      if (prepared->part_files.empty()) data::warn_of_no_checksums(uri.display());
      event_.data = *std::move(prepared);
      event_.data_uri = uri.text();
    } else if (std::optional<PreparedData> made = prepare_there(places, wanted)) {
      tell_of(*made);
      event_.data = std::move(made->manifest);
    } else {
      const data::Dataset dataset =
          data::read_for(predict::learned_by(model_.shape, prediction_.request), places, format,
                         processors(), nullptr, options_);
      const auto store =
          storage::with_prefix({std::shared_ptr<void>(), &channel_}, control::keys::kData);
      event_.data = data::split(dataset, std::min(wanted, dataset.rows()), *store, "shard",
                                processors(), data::Cut::in_order);
    }
    event_.workers = static_cast<std::uint32_t>(std::min(wanted, event_.data.parts()));
    const bool by_name = event_.data.names && model_.shape.names;
    if (event_.data.features > model_.shape.features && !by_name)
      log::warning("{}: it has {} features; those beyond the model's {} are left out",
                   places.display(), event_.data.features, model_.shape.features);
  }

  /// Large text is prepared by functions, in the order of its rows.
  std::optional<PreparedData> prepare_there(const data::Places& places, std::size_t wanted) {
    if (!job::is_remote(options_)) return {};
    return prepare_if_large({.places = places,
                             .parts = wanted,
                             .workers = wanted,
                             .model = predict::learned_by(model_.shape, prediction_.request),
                             .for_job = event_.job_id,
                             .prefix = control::keys::kData},
                            options_, job_channel_.stores());
  }

  std::vector<std::string> events() {
    std::vector<std::string> payloads;
    event_.sent_ms = epoch_ms();
    const std::vector<data::Content> contents = event_.data.part_files;
    for (event_.worker = 0; event_.worker < event_.workers; ++event_.worker) {
      event_.parts.clear();
      for (std::size_t part = event_.worker; part < contents.size(); part += event_.workers)
        event_.parts.push_back(contents[part]);
      payloads.push_back(job::to_json(event_));
    }
    return payloads;
  }

  predict::Quality merged_quality() {
    std::optional<predict::Quality> sum;
    for (std::uint32_t worker = 0; worker < event_.workers; ++worker) {
      const std::string key = control::keys::quality(worker);
      const std::string what = fmt::format("channel {}/{}", channel_.describe(), key);
      const std::optional<Buffer> bytes = channel_.load(key);
      // It was saved before the worker reported.
      if (!bytes) fail(Code::unavailable, "{}: it is not there any more", what);
      const predict::Quality own = predict::Quality::from_bytes(*bytes, what);
      if (sum)
        sum->add(own);
      else
        sum = own;
    }
    return std::move(*sum);
  }

  std::string done_text(const PredictionEnd& end) const {
    nlohmann::ordered_json all = json_of(end.quality, model_.plugin(), model_.shape);
    all["parts"] = end.parts;
    all["job_id"] = end.job_id;
    all["model"] = Uri::parse(prediction_.model).display();
    all["data"] = data::Places::parse(prediction_.data).display();
    return json_text(all) + "\n";
  }

  const Prediction& prediction_;
  const Options& options_;
  const job::ModelFile& file_;
  const job::TrainedModel& model_;
  control::JobChannel& job_channel_;
  storage::Storage& channel_;
  const predict::OutputFormat& format_;
  job::PredictEvent event_;
};

}  // namespace

Options options_of_predictions() {
  constexpr std::array kOwn = {"format",    "channel", "workers",  "platform", "memory_mb",
                               "timeout_s", "retries", "deadline", "keep",     "log_level"};
  std::vector<Option> all;
  const Options declared = job::job_options();
  for (const Option& option : declared.declared())
    if (std::ranges::find(kOwn, option.name) != kOwn.end()) all.push_back(option);
  const Options of_formats = data::format_options();
  add_options(all, of_formats.declared());
  for (const faas::Plugin& platform : faas::registry().entries())
    add_options(all, platform.options);
  return Options(std::move(all));
}

PredictionEnd predict_in_functions(const Prediction& prediction, Options options) {
  options.set("channel", Option::Value(storage::resolve(options.text("channel")).text()),
              "channel");
  require_platform(options);
  require_within_reach(options, "channel", options.text("channel"));
  require_within_reach(options, "to", Uri::parse(prediction.to).text());
  predict::output_format(prediction.out_format);
  const job::ModelFile file = job::find_model(prediction.model);
  const job::TrainedModel model = job::model_from_bytes(file.bytes, file.what);
  predict::require_possible(model, prediction.request, file.what);
  const std::string job_id = "predict-" + job::new_job_id();
  control::Stores stores;
  control::JobChannel channel(stores, options.text("channel"), job_id, options.flag("keep"),
                              control::JobChannel::Stop::patient);
  return channel.use(
      [&] { return PredictionRun(prediction, options, file, model, channel, job_id).run(); });
}

}  // namespace lambdaml::trigger
