#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lambdaml/data/dataset.h"
#include "lambdaml/plan/simulated_job.h"
#include "lambdaml/plan/ways.h"

/// How many epochs ways to train take until a job's goal (`until`), learned from short trainings of
/// a sample of its rows: the real optimizers, models and merges, in the simulator, in whose world
/// nothing takes time.
///
/// A pilot is as long as it has to be on the sample; what it says of all rows depends on the
/// optimizer (optim::Pace). Of L-BFGS and EM one pilot is enough: neither rows, batches nor workers
/// change their epochs. Gradient descent takes as many steps with the same rows in a step, of all
/// workers together, so that pilots of one worker with batches of P · B rows stand for P workers
/// with B; they are made for sizes four times apart, and others lie between them (in logarithms).
/// Where workers train on their own between merges, rows per worker count: pilots of 1, 4, 16 …
/// workers stand for as many more as the job has more rows. So estimates are for the regime in
/// which a sample's gradients are like those of all rows, and can be too high (its validation rows
/// are fewer, and reached later) or too low. Each pilot is repeated with other rows and another
/// seed, and the spread is told.
namespace lambdaml::plan {

struct PilotSettings {
  std::uint64_t rows = 20'000;  ///< at most, of a sample
  double seconds = 10;          ///< processor time for all pilots
  int repeats = 3;
  std::int64_t most_workers = 256;  ///< of any candidate
};

/// Epochs until the goal, over the repeated pilots.
struct Epochs {
  double least = 1, median = 1, most = 1;
};

/// Steps or epochs by rows, both in logarithms linear between the points.
class Curve {
 public:
  /// nullopt: the goal was not reached.
  void add(double rows, std::optional<double> count) { points_[rows] = count; }
  bool empty() const { return points_.empty(); }
  double most_rows() const { return points_.rbegin()->first; }
  /// Before the first point it continues the line through the first two points if `extrapolates`;
  /// otherwise, and after the last point, it returns the nearest point's count. nullopt where a
  /// neighbour was not reached.
  std::optional<double> at(double rows, bool extrapolates) const;

 private:
  std::map<double, std::optional<double>> points_;
};

/// What pilots say of one way.
class EpochsToGoal {
 public:
  /// By that many workers; nullopt if the goal was not reached in each repetition.
  std::optional<Epochs> of(double workers) const;

 private:
  friend class GoalPilots;
  double epochs_of(const Curve& curve, double workers, bool& is_reached) const;

  bool depends_on_workers_ = false, counts_steps_ = false, merges_each_batch_ = false;
  double batch_ = 1;
  double rows_ = 1;  ///< that all workers of the job train on
  std::vector<Curve> repeats_;
};

struct PilotReport {
  std::vector<std::optional<EpochsToGoal>> ways;  ///< nullopt: it cannot be trained so, or is known
  std::vector<std::string> errors;                ///< why it cannot, by way
  std::uint64_t rows = 0;                         ///< of the sample
  double all_rows = 0;                            ///< of the job
  std::size_t pilots = 0;
  int repeats = 0;      ///< that were completed
  double seconds = 0;   ///< of this machine
  bool is_cut = false;  ///< by `settings.seconds`
  std::string best;     ///< the goal's metric at its nearest, if no pilot reached it
};

/// Runs the pilots of the ways that are not known, as far as time allows: a repetition that was not
/// completed does not count, but for the first one, of which ways without a pilot are not reached.
/// The same seed (`seed`) and rows give the same result, unless time cut it short. Throws
/// invalid_argument for a sample that is too small, and if no way reached the goal; of ways that
/// were asked for, what training throws.
PilotReport run_goal_pilots(const Options& job, const std::vector<Way>& ways,
                            const SimulatedWorld& world, const data::Dataset& sample,
                            double all_rows, const PilotSettings& settings);

}  // namespace lambdaml::plan
