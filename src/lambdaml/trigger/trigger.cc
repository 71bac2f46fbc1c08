#include "lambdaml/trigger/trigger.h"

#include <algorithm>

#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "lambdaml/base/deadline.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/interrupt.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/text.h"
#include "lambdaml/comm/registry.h"
#include "lambdaml/control/checkpoint.h"
#include "lambdaml/control/endings.h"
#include "lambdaml/control/job_channel.h"
#include "lambdaml/control/job_record.h"
#include "lambdaml/control/run_folder.h"
#include "lambdaml/cost/cost.h"
#include "lambdaml/job/event.h"
#include "lambdaml/job/job.h"
#include "lambdaml/model/registry.h"
#include "lambdaml/optim/registry.h"
#include "lambdaml/storage/own_place.h"
#include "lambdaml/trigger/platform.h"
#include "lambdaml/trigger/reach.h"
#include "lambdaml/trigger/run.h"
#include "lambdaml/trigger/staging.h"

namespace lambdaml::trigger {
namespace {

/// Copies of its part of the data, while a worker puts the rows in order.
constexpr std::uint64_t kCopiesOfData = 2;
/// A model that does not state its memory is small, unless merging is not.
constexpr std::uint64_t kMergingWorthAsking = 32U << 20U;

/// A model gives no probability to an unknown label, so such rows have no loss.
void require_known_labels(const data::Manifest& test, const data::Manifest& data,
                          const Options& options) {
  for (const std::int32_t label : test.labels)
    if (!std::ranges::binary_search(data.labels, label))
      fail(Code::invalid_argument, "{}: it has the label {}, the training data have only {}",
           Uri::parse(options.text("test_data")).display(), label,
           fmt::join(std::span(data.labels).first(std::min<std::size_t>(10, data.labels.size())),
                     ", "));
}

std::uint64_t bytes_for_merging(const Options& options, const model::Model& model) {
  comm::MergeSizes sizes;
  sizes.workers = static_cast<std::uint32_t>(options.integer("workers"));
  sizes.values = std::max(model.parameter_count(), model.sums_count());
  sizes.options = comm::pattern_options(options);
  return comm::registry().get(options.text("sync_mode")).bytes_needed(sizes);
}

/// Constructs the model and the optimizer as the workers will, so that errors are found before
/// anything is started.
void rehearse(Options options, const StagedData& staged) {
  // The workers use a different one; this one has no effect.
  if (options.integer("threads") == 0) options.set("threads", Option::Value(std::int64_t{1}), "");
  cost::Prices::current();  // needed at the end: fail now if invalid
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
  if (test && plugin.needs_labels) require_known_labels(*test, data, options);
  if (data.rows() < model->minimum_rows())
    fail(Code::invalid_argument, "{}: its {} rows are too few: {} with these options needs {}",
         what, data.rows(), plugin.name, model->minimum_rows());
  const auto rows = std::min(static_cast<std::uint64_t>(options.integer("batch_size")),
                             *std::max_element(data.part_rows.begin(), data.part_rows.end()));
  const std::uint64_t training = model->training_bytes(rows);
  const std::uint64_t merging = bytes_for_merging(options, *model);
  const std::uint64_t needed = training + data.bytes / data.parts() * kCopiesOfData + merging;
  if ((training > 0 || merging >= kMergingWorthAsking) &&
      needed > static_cast<std::uint64_t>(options.integer("memory_mb")) << 20)
    fail(
        Code::invalid_argument,
        "{} needs about {} for batches of {} rows, its part of the data and merging ({}), and a "
        "function may use {} MB: use a smaller --batch-size, more --workers or --aggregators, or a "
        "larger --memory-mb",
        plugin.name, human_bytes(needed), rows, human_bytes(merging), options.integer("memory_mb"));
  const auto alone = comm::registry().get(options.text("sync_mode")).make({});
  optim::Problem problem{*model, *alone};
  problem.rows_per_round = {1.0};
  problem.rows = problem.own_rows = 1;
  optim::registry().get(options.text("optim")).make(problem, options);
}

/// Prepares everything except the workers: the data are where they will look for them.
StagedData prepare(const Options& options, const control::JobChannel& channel) {
  StagedData staged = stage(options, channel.store());
  throw_if_interrupted();
  rehearse(options, staged);
  return staged;
}

bool has_paused(const nlohmann::ordered_json& summary) {
  return text_at(summary, "ended_by") == job::kPaused;
}

/// Checks the checkpoint store before anything is created: if a checkpoint cannot be saved the job
/// would end. One GET.
void require_place_of_checkpoints(control::Stores& stores, const Options& options,
                                  const std::string& job_id) {
  const std::string& place = options.text("checkpoint");
  if (place.empty()) return;
  storage::require_own_place(Uri::parse(place));
  stores.open(place)->load(job_id + "/job.json");
}

std::filesystem::path local_folder(const std::string& text) {
  const Uri uri = Uri::parse(text);
  if (uri.scheme != "file")
    fail(Code::invalid_argument, "output '{}': it must be a folder of this machine", uri.display());
  return local_path(text);
}

std::uint32_t workers_of(const Options& options) {
  return static_cast<std::uint32_t>(options.integer("workers"));
}

/// Whether the run has a checkpoint to continue from; true if that is unknown.
bool can_be_resumed(control::Stores& stores, const Options& options,
                    const std::string& job_id) noexcept {
  const Tidying tidying;
  try {
    return !control::Checkpoints(stores.open(options.text("checkpoint")), job_id, "", 0,
                                 workers_of(options))
                .available()
                .empty();
  } catch (const std::exception&) {
    return true;
  }
}

/// Whether the logs of a run without checkpoints add nothing to its error.
bool is_soon_told(Code code) {
  return is_bad_input(code) || code == Code::diverged || code == Code::cancelled ||
         code == Code::limit_reached;
}

/// Records how the job ended, or removes the record if there are no results.
void note_end(control::Stores& stores, const Options& options, const control::RunFolder& folder,
              const Error& error, bool for_nothing) noexcept {
  const Tidying tidying;
  try {
    control::JobRecord record(stores.open(options.text("checkpoint")), folder.job_id());
    if (for_nothing)
      record.forget();
    else
      record.end(error.code() == Code::cancelled || error.code() == Code::limit_reached ? "stopped"
                                                                                        : "failed",
                 error.what());
  } catch (const std::exception& failure) {
    log::warning("noting the end of job {}: {}", folder.job_id(), failure.what());
  }
}

nlohmann::ordered_json run_to_end(Options options, control::RunFolder& folder,
                                  const StagedData& staged, control::JobChannel& channel,
                                  Observer& observer, Begin begin, bool by_command,
                                  const Stopwatch& wall) {
  if (options.text("checkpoint").empty())
    options.set("checkpoint", Option::Value(folder.checkpoint_uri()), "checkpoint");
  try {
    return run_workers(options, folder, channel, staged, begin, wall, observer);
  } catch (const control::Superseded&) {
    throw;
  } catch (const control::DamagedCheckpoint&) {
    throw;
  } catch (const Error& error) {
    const bool resuming = begin != Begin::anew;
    control::Stores& stores = channel.stores();
    if (error.code() == Code::unavailable) stores.hurry();
    const bool resumable = can_be_resumed(stores, options, folder.job_id());
    const bool for_nothing = !resumable && !resuming && is_soon_told(error.code());
    note_end(stores, options, folder, error, for_nothing);
    if (for_nothing) {
      folder.discard();
      throw;
    }
    // Resuming does not help if the input or a checkpoint is bad.
    const bool in_vain =
        error.code() == Code::diverged || (resuming && (error.code() == Code::data_corrupt ||
                                                        error.code() == Code::invalid_argument));
    if (!resumable || in_vain || !by_command) throw;
    std::throw_with_nested(
        Error(error.code(), fmt::format("{}; continue with: lambdaml resume {}", error.what(),
                                        utf8_path(folder.path().string()))));
  }
}

/// Resumes a job by calling `attempt`, which does everything. If a worker reports that its state
/// was damaged after its record was written, all workers return to the checkpoint found by reading
/// all states.
template <class Attempt>
nlohmann::ordered_json go_on(Attempt&& attempt) {
  try {
    return attempt(Begin::by_records);
  } catch (const control::DamagedCheckpoint& damaged) {
    log::info("{}; reading all checkpoints", damaged.what());
  }
  return attempt(Begin::by_states);
}

}  // namespace

nlohmann::ordered_json train(const Options& given, Observer& observer) {
  const Stopwatch wall;
  Options options = given;
  require_reach(options);
  const std::string job_id = job::new_job_id();
  const std::filesystem::path output = options.text("output").empty()
                                           ? std::filesystem::path("runs") / job_id
                                           : local_folder(options.text("output"));
  control::RunFolder::require_new(output);
  control::Stores stores;
  require_place_of_checkpoints(stores, options, job_id);
  control::JobChannel channel(stores, options.text("channel"), job_id, options.flag("keep"),
                              control::JobChannel::Stop::patient);
  return channel.use([&] {
    const StagedData staged = prepare(options, channel);
    control::RunFolder folder = control::RunFolder::create(output, job_id, options);
    return run_to_end(options, folder, staged, channel, observer, Begin::anew, true, wall);
  });
}

nlohmann::ordered_json train_as(const std::string& job_id, const Options& given,
                                Observer& observer) {
  const Stopwatch wall;
  Options options = given;
  require_reach(options);
  const std::filesystem::path output = local_folder(options.text("output"));
  control::RunFolder::require_new(output);
  control::Stores stores;
  require_place_of_checkpoints(stores, options, job_id);
  control::JobChannel channel(stores, options.text("channel"), job_id, options.flag("keep"),
                              control::JobChannel::Stop::at_once);
  return channel.use([&] {
    std::optional<control::RunFolder> folder;
    return go_on([&](Begin begin) {
      channel.take_over(workers_of(options));
      const StagedData staged = prepare(options, channel);
      if (options.text("checkpoint").empty() || !can_be_resumed(stores, options, job_id))
        begin = Begin::anew;
      if (!folder) folder.emplace(control::RunFolder::create(output, job_id, options));
      return run_to_end(options, *folder, staged, channel, observer, begin, false, wall);
    });
  });
}

nlohmann::ordered_json resume(const std::filesystem::path& path, Observer& observer,
                              const Options& changed) {
  const Stopwatch wall;
  control::RunFolder folder = control::RunFolder::open(path);
  const std::optional<nlohmann::ordered_json> summary = folder.summary();
  const bool paused = summary && has_paused(*summary);
  if (summary && !paused) return *summary;
  Options options = folder.options();
  if (paused) options.set("stop_after", Option::Value(std::int64_t{0}), "stop_after");
  for (const Option& option : changed.declared())
    if (changed.is_set(option.name))
      options.set(option.name, changed.value(option.name), option.name);
  job::resolve(options);
  control::Stores stores;
  require_place_of_checkpoints(stores, options, folder.job_id());
  control::JobChannel channel(stores, options.text("channel"), folder.job_id(),
                              options.flag("keep"), control::JobChannel::Stop::patient);
  return channel.use([&] {
    return go_on([&](Begin begin) {
      channel.take_over(workers_of(options));
      const StagedData staged = prepare(options, channel);
      return run_to_end(options, folder, staged, channel, observer, begin, true, wall);
    });
  });
}

}  // namespace lambdaml::trigger
