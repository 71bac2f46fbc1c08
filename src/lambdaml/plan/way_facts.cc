#include "lambdaml/plan/way_facts.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "lambdaml/base/held_warnings.h"
#include "lambdaml/optim/registry.h"

namespace lambdaml::plan {
namespace {

constexpr std::int64_t kPilotEpochs = 2;
/// A pilot is run to its end if it takes no longer: jobs may converge before their last epoch. By
/// what its rows and rounds usually take, so that the same question has the same answer.
constexpr double kWholePilot_s = 0.5, kRoundOfPilot_s = 1e-4;
/// A pilot of a sample has several steps in an epoch, whatever the job's batches are.
constexpr double kStepsOfSample = 4;

/// A goal that is estimated must not end it.
Options pilot_job(const WayFacts& facts, double epochs) {
  Options job = facts.job;
  const auto set = [&](const std::string& name, Option::Value value) {
    job.set(name, std::move(value), name);
  };
  if (facts.is_for_goal()) {
    set("until", std::string());
    set("patience", std::int64_t{0});
  }
  if (epochs < facts.epochs) set(facts.epochs_option, static_cast<std::int64_t>(epochs));
  // Where steps are not those of batches, their size may decide about more than it says.
  if (facts.pilot.batch < facts.first.batch &&
      optim::registry().get(facts.way.optimizer).pace != optim::Pace::epochs)
    set("batch_size", static_cast<std::int64_t>(facts.pilot.batch));
  return job;
}

SimulatedRun run(const WayFacts& facts, const PilotPlace& place, std::int64_t workers,
                 double epochs) {
  return simulate_candidate(pilot_job(facts, epochs), pilot_candidate(place, workers), place.world,
                            1);
}

/// What the job's options say, before any pilot.
WayFacts facts_of_options(const Options& job, const Way& way,
                          const std::optional<EpochsToGoal>& to_goal, const PilotPlace& place) {
  WayFacts out;
  out.way.way = way;
  out.to_goal = to_goal;
  out.job = way.applied_to(job);
  const Options resolved = [&] {
    const log::QuietLog quiet;
    return in_world(out.job, place.world);
  }();
  const optim::Plugin& optimizer = optim::registry().get(resolved.text("optim"));
  out.way.optimizer = optimizer.name;
  out.way.batch_size = std::max<std::int64_t>(1, resolved.integer("batch_size"));
  out.way.has_batches = !optimizer.whole_passes;
  out.epochs_option = optimizer.epochs_option;
  out.epochs = static_cast<double>(std::max<std::int64_t>(1, resolved.integer(out.epochs_option)));
  out.pilot.batch = out.first.batch = static_cast<double>(out.way.batch_size);
  out.pilot.trained = out.first.trained = 1 - resolved.real("valid_ratio");
  return out;
}

/// Of the epochs after the first one; a job may converge before its last.
void learn_later_epochs(const PilotPlace& place, double times, WayFacts& facts) {
  const std::optional<Epochs> by_two = facts.epochs_by(kPilotWorkers);
  const double epochs = by_two ? by_two->median : facts.epochs;
  if (epochs <= 1) return;
  const double epoch_s = place.world.seconds_per_row * facts.pilot.computed_rows +
                         kRoundOfPilot_s * facts.pilot.rounds;
  const bool to_end = epochs <= kPilotEpochs || epoch_s * epochs < kWholePilot_s;
  const SimulatedRun more = run(facts, place, kPilotWorkers, to_end ? epochs : kPilotEpochs);
  if (to_end && !facts.is_for_goal()) facts.epochs = static_cast<double>(more.epochs);
  const double further = static_cast<double>(more.epochs) - 1;
  if (further <= 0) return;
  facts.later_rounds = (static_cast<double>(more.rounds) - facts.pilot.rounds) / further;
  facts.later_rows = times * (more.computed_rows - facts.pilot.computed_rows) / further;
}

}  // namespace

double JobSize::steps_of_epoch(double workers) const {
  return std::ceil(std::ceil(rows * trained / workers) / batch);
}

std::optional<Epochs> WayFacts::epochs_by(double workers) const {
  if (!is_possible()) return {};
  if (!to_goal) return Epochs{epochs, epochs, epochs};
  std::optional<Epochs> out = to_goal->of(workers);
  if (!out || out->median > epochs) return {};
  out->most = std::min(out->most, epochs);
  return out;
}

JobSize WayFacts::whole(double of_epochs) const {
  JobSize out = first;
  out.epochs = of_epochs;
  out.rounds += (of_epochs - 1) * later_rounds;
  out.computed_rows += (of_epochs - 1) * later_rows;
  return out;
}

double WayFacts::rounds_of(const JobSize& size, double workers) const {
  if (!has_steps) return size.rounds;
  const double fewer = pilot.steps_of_epoch(kPilotWorkers) - size.steps_of_epoch(workers);
  return std::max(1.0, size.rounds - size.epochs * fewer);
}

WayFacts learn_way(const Options& job, const Way& way, const std::optional<EpochsToGoal>& to_goal,
                   const PilotPlace& place) {
  WayFacts out = facts_of_options(job, way, to_goal, place);
  if (place.all_rows)
    if (const auto rows = static_cast<double>(place.world.rows->rows()); rows < *place.all_rows)
      out.pilot.batch =
          std::clamp(std::floor(rows / (2 * kPilotWorkers * kStepsOfSample)), 1.0, out.first.batch);
  out.pilot_run = run_pilot(out, place);
  const SimulatedRun& one = out.pilot_run;
  out.pilot.rows = one.rows;
  out.pilot.data_bytes = one.data_bytes;
  out.pilot.computed_rows = one.computed_rows;
  out.pilot.rounds = static_cast<double>(one.rounds);
  const double times = place.all_rows ? *place.all_rows / std::max(1.0, one.rows) : 1;
  out.first.rows = times * one.rows;
  out.first.data_bytes = times * one.data_bytes;
  out.first.computed_rows = times * one.computed_rows;
  out.first.rounds = out.pilot.rounds;
  learn_later_epochs(place, times, out);
  const auto by_four = static_cast<double>(run(out, place, 2 * kPilotWorkers, 1).rounds);
  const double fewer =
      out.pilot.steps_of_epoch(kPilotWorkers) - out.pilot.steps_of_epoch(2 * kPilotWorkers);
  // Where steps are not counted by rows, e.g. in epochs of an outer optimizer, rounds are as many.
  out.has_steps = fewer > 0 && std::abs(out.pilot.rounds - by_four - fewer) < 0.5 * fewer;
  // Of each round the one worker sends its message, and the other the result.
  out.message_bytes = static_cast<double>(one.bytes_sent) / 2 / std::max(1.0, out.pilot.rounds);
  return out;
}

Candidate pilot_candidate(const PilotPlace& place, std::int64_t workers) {
  Candidate out;
  out.channel = place.world.channel;
  out.workers = workers;
  out.memory_mb = place.memory_mb;
  return out;
}

SimulatedRun run_pilot(const WayFacts& facts, const PilotPlace& place) {
  return run(facts, place, kPilotWorkers, 1);
}

}  // namespace lambdaml::plan
