#include "lambdaml/trigger/trigger.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "lambdaml/base/deadline.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/held_warnings.h"
#include "lambdaml/base/interrupt.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/log.h"
#include "lambdaml/comm/registry.h"
#include "lambdaml/control/checkpoint.h"
#include "lambdaml/control/endings.h"
#include "lambdaml/control/job_channel.h"
#include "lambdaml/control/job_record.h"
#include "lambdaml/control/run_folder.h"
#include "lambdaml/job/event.h"
#include "lambdaml/job/job.h"
#include "lambdaml/optim/registry.h"
#include "lambdaml/storage/own_place.h"
#include "lambdaml/tensorboard/event_file.h"
#include "lambdaml/trigger/reach.h"
#include "lambdaml/trigger/rehearsal.h"
#include "lambdaml/trigger/run.h"
#include "lambdaml/trigger/staging.h"

namespace lambdaml::trigger {
namespace {

/// What the run's folder records of the options stays as given.
RunningJob as_functions_run_it(Options options) {
  job::Functions functions = job::functions_of(options);
  if (functions.memory_mb != options.integer("memory_mb"))
    options.set("memory_mb", Option::Value(functions.memory_mb), "memory_mb");
  return {std::move(options), std::move(functions.architecture)};
}

/// Prepares everything except the workers, which then find the data in their places. `options` are
/// those of as_functions_run_it().
StagedData prepare(const Options& options, const control::JobChannel& channel,
                   const std::string& job_id, const InMemory& memory = {}) {
  const std::string& mode = options.text("sync_mode");
  if (comm::registry().get(mode).creates)
    storage::require_atomic_create(channel.store(), "sync_mode " + mode);
  return log::warn_unless_refused([&] {
    StagedData staged = stage(options, channel.store(), channel.stores(), job_id, memory);
    throw_if_interrupted();
    rehearse(options, staged, channel.store());
    return staged;
  });
}

/// What the user is told of the data, once the job is not refused. A job that goes on has told it.
void tell_of(const StagedData& staged) {
  for (const std::string& notice : staged.notices) log::warn_once(notice);
}

bool has_paused(const nlohmann::ordered_json& summary) {
  return text_at(summary, "ended_by") == job::kPaused;
}

/// Checks the places where the job is to write before anything is created: if a checkpoint cannot
/// be saved the job would end. A GET each.
void require_places(control::Stores& stores, const Options& options, const std::string& job_id) {
  if (const std::string& board = options.text("tensorboard"); !board.empty())
    tensorboard::EventFile::require_place(board);
  const std::string& place = options.text("checkpoint");
  if (place.empty()) return;
  storage::require_own_place(Uri::parse(place));
  stores.open(place)->load(job_id + "/job.json");
}

std::uint32_t workers_of(const Options& options) {
  return static_cast<std::uint32_t>(options.integer("workers"));
}

/// Whether the run has a checkpoint to continue from; true if that is unknown.
bool can_be_resumed(control::Stores& stores, const Options& options,
                    const std::string& job_id) noexcept {
  const Tidying tidying;
  try {
    return !control::Checkpoints(stores.open(options.text("checkpoint")), job_id, nlohmann::json(),
                                 0, workers_of(options))
                .available()
                .empty();
  } catch (...) {
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
  } catch (...) {
    // A simulated process that was killed: its next call says so again.
  }
}

/// Of a run that has ended: a command that was killed while it cleared the channel has left keys.
/// One GET and one LIST; a channel that is not there any more is no error.
void clear_what_is_left(const Options& options, const std::string& job_id) {
  try {
    control::Stores stores;  // which waits some seconds for a service that does not answer
    const control::JobChannel channel(stores, options.text("channel"), job_id, options.flag("keep"),
                                      control::JobChannel::Stop::at_once);
  } catch (const Error& error) {
    log::info("looking for keys of job {} in its channel: {}", job_id, error.what());
  }
}

const std::string& epochs_option(const Options& options) {
  return optim::registry().get(options.text("optim")).epochs_option;
}

/// The number of epochs that a resumed run is to reach, if it is given.
std::optional<std::int64_t> epochs_wanted(const Options& run, const Options& changed) {
  const std::string& own = epochs_option(run);
  std::optional<std::int64_t> epochs;
  for (const optim::Plugin& plugin : optim::registry().entries()) {
    const std::string& option = plugin.epochs_option;
    if (changed.find(option) == nullptr || !changed.is_set(option)) continue;
    if (option != own)
      fail(Code::invalid_argument, "{}: the run's optimizer is {}, whose epochs are those of {}",
           option, run.text("optim"), flag_of(own));
    epochs = changed.integer(option);
  }
  return epochs;
}

/// Whether a run that has ended is to train on to that number of epochs.
bool trains_on(const control::RunFolder& folder, const nlohmann::ordered_json& summary,
               std::int64_t epochs) {
  const auto done = static_cast<std::int64_t>(count_at(summary, "epochs"));
  const std::string ended_by = text_at(summary, "ended_by");
  if (epochs < done)
    fail(Code::invalid_argument, "run {}: it has done {} epochs already", folder.job_id(), done);
  if (ended_by == "patience")
    fail(Code::invalid_argument,
         "run {}: its patience was over after {} epochs, so more of them are no use; begin another "
         "job from its model with --init {}",
         folder.job_id(), done, utf8_path(folder.path().string()));
  if (ended_by == "converged")
    log::warning("run {}: it has converged in {} epochs, so more of them do not change it",
                 folder.job_id(), done);
  return epochs > done && ended_by != "converged";
}

void warn_of_schedule(const Options& options, std::int64_t epochs) {
  const optim::Plugin& optimizer = optim::registry().get(options.text("optim"));
  constexpr const char* kSchedule = "lr_schedule";
  const bool has_schedule =
      std::ranges::find(optimizer.options, kSchedule, &Option::name) != optimizer.options.end();
  if (has_schedule && options.text(kSchedule) == "cosine" &&
      epochs != options.integer(optimizer.epochs_option))
    log::warning(
        "the learning rates of lr_schedule cosine depend on the number of epochs: the model will "
        "not be that of a job that was begun with {}",
        epochs);
}

/// How the user continues the run after an error: to that number of epochs, if one was given.
std::string way_to_continue(const Options& options, const control::RunFolder& folder,
                            std::optional<std::int64_t> epochs = {}) {
  const std::string command = "lambdaml resume " + utf8_path(folder.path().string());
  return epochs ? fmt::format("{} {} {}", command, flag_of(epochs_option(options)), *epochs)
                : command;
}

/// `way_on`: the command that continues the run after an error; empty: there is none.
nlohmann::ordered_json run_to_end(RunningJob job, control::RunFolder& folder,
                                  const StagedData& staged, control::JobChannel& channel,
                                  Observer& observer, Begin begin, const std::string& way_on,
                                  const Stopwatch& wall) {
  Options& options = job.options;
  if (options.text("checkpoint").empty())
    options.set("checkpoint", Option::Value(folder.checkpoint_uri()), "checkpoint");
  try {
    return run_workers(job, folder, channel, staged, begin, wall, observer);
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
    const bool in_vain = error.code() == Code::diverged || error.code() == Code::invalid_argument ||
                         (resuming && error.code() == Code::data_corrupt);
    if (!resumable || in_vain || way_on.empty()) throw;
    std::throw_with_nested(
        Error(error.code(), fmt::format("{}; continue with: {}", error.what(), way_on)));
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

nlohmann::ordered_json train(const Options& given, Observer& observer, const InMemory& memory) {
  const Stopwatch wall;
  Options options = given;
  require_reach(options);
  const std::string job_id = job::new_job_id();
  const std::filesystem::path output = options.text("output").empty()
                                           ? std::filesystem::path("runs") / job_id
                                           : control::output_folder(options.text("output"));
  control::RunFolder::require_new(output);
  control::Stores stores;
  require_places(stores, options, job_id);
  control::JobChannel channel(stores, options.text("channel"), job_id, options.flag("keep"),
                              control::JobChannel::Stop::patient);
  return channel.use([&] {
    choose_reader(options);
    RunningJob running = as_functions_run_it(options);
    running.checkpoints_in_folder = memory.checkpoints_in_folder;
    const StagedData staged = prepare(running.options, channel, job_id, memory);
    tell_of(staged);
    control::RunFolder folder = control::RunFolder::create(output, job_id, options);
    return run_to_end(running, folder, staged, channel, observer, Begin::anew,
                      way_to_continue(options, folder), wall);
  });
}

nlohmann::ordered_json train_as(const std::string& job_id, const Options& given,
                                Observer& observer) {
  const Stopwatch wall;
  Options options = given;
  require_reach(options);
  const std::filesystem::path output = control::output_folder(options.text("output"));
  control::RunFolder::require_new(output);
  control::Stores stores;
  require_places(stores, options, job_id);
  control::JobChannel channel(stores, options.text("channel"), job_id, options.flag("keep"),
                              control::JobChannel::Stop::at_once);
  return channel.use([&] {
    std::optional<control::RunFolder> folder;
    return go_on([&](Begin begin) {
      channel.take_over(workers_of(options));
      choose_reader(options);
      const RunningJob running = as_functions_run_it(options);
      const StagedData staged = prepare(running.options, channel, job_id);
      if (options.text("checkpoint").empty() || !can_be_resumed(stores, options, job_id))
        begin = Begin::anew;
      if (begin == Begin::anew) tell_of(staged);
      if (!folder) folder.emplace(control::RunFolder::create(output, job_id, options));
      return run_to_end(running, *folder, staged, channel, observer, begin, "", wall);
    });
  });
}

nlohmann::ordered_json resume(const std::filesystem::path& path, Observer& observer,
                              const Options& changed, const InMemory& memory) {
  const Stopwatch wall;
  control::RunFolder folder = control::RunFolder::open(path);
  const std::optional<nlohmann::ordered_json> summary = folder.summary();
  const bool paused = summary && has_paused(*summary);
  Options options = folder.options();
  const std::optional<std::int64_t> epochs = epochs_wanted(options, changed);
  if (summary && !paused && (!epochs || !trains_on(folder, *summary, *epochs))) {
    clear_what_is_left(options, folder.job_id());
    return *summary;
  }
  if (summary && text_at(*summary, "ended_by") == "until")
    options.set("until", Option::Value(std::string()), "until");
  if (summary) options.set("stop_after", Option::Value(std::int64_t{0}), "stop_after");
  if (epochs) warn_of_schedule(options, *epochs);
  for (const Option& option : changed.declared())
    if (changed.is_set(option.name))
      options.set(option.name, changed.value(option.name), option.name);
  job::resolve(options, job::Defaults::keep);
  control::Stores stores;
  require_places(stores, options, folder.job_id());
  control::JobChannel channel(stores, options.text("channel"), folder.job_id(),
                              options.flag("keep"), control::JobChannel::Stop::patient);
  return channel.use([&] {
    return go_on([&](Begin begin) {
      channel.take_over(workers_of(options));
      const RunningJob running = as_functions_run_it(options);
      const StagedData staged = prepare(running.options, channel, folder.job_id(), memory);
      return run_to_end(running, folder, staged, channel, observer, begin,
                        way_to_continue(options, folder, epochs), wall);
    });
  });
}

}  // namespace lambdaml::trigger
