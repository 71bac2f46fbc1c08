#pragma once

#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "lambdaml/sim/profile.h"
#include "paper/original.h"

/// The tables of Jiang et al., SIGMOD 2021 (docs/how-to/planning.md), computed from profiles: with
/// the original's protocol (original.h) and with ours, by the paper's constants and by today's.
namespace lambdaml::paper {

/// The paper's rounds over S3, seconds.
struct RoundsOverS3 {
  const char* model;
  Merge merge;
  double reduce_s, reduce_scatter_s;
};
const std::vector<RoundsOverS3>& rounds_of_paper();

/// By the paper's constants, but for what its tables contradict: see paper_profile().
struct RoundsThen {
  double reduce_s = 0, reduce_scatter_s = 0;          ///< the original's protocol
  double our_reduce_s = 0, our_reduce_scatter_s = 0;  ///< ours, in the same world
};
RoundsThen rounds_then(const RoundsOverS3& of);

/// The profile `paper`, with two constants that were fitted to its rounds: a request takes 45 ms
/// instead of 80, and all functions together move 340 MB/s.
sim::Profile paper_profile();

/// A job over another channel, relative to S3, in time and dollars: the paper's, and simulated.
struct ChannelTime {
  const char* job;
  std::uint32_t workers;
  const char* channel;
  double round_s, s3_round_s;
  double paper_slowdown, paper_cost;
  double slowdown, cost;
};
std::vector<ChannelTime> channels_then();

/// Start-up of w workers, seconds: then (one after another), when the last one of a simulated job
/// begins, and today (at once).
double start_then_s(std::uint32_t workers);
double start_today_s(double workers);

/// The job of the paper's time breakdown: LR on HIGGS, 10 workers, 10 epochs, one round of ADMM.
struct Breakdown {
  double start_s = 0, load_s = 0, compute_s = 0, rounds_s = 0;
  double total_s() const { return start_s + load_s + compute_s + rounds_s; }
};
Breakdown breakdown_then();
/// Prepared data, our pattern over `channel` of the profile; computing as then.
Breakdown breakdown_today(const sim::Profile& profile, const char* channel);

/// All tables.
nlohmann::ordered_json all_tables();

}  // namespace lambdaml::paper
