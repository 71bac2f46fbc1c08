#include "lambdaml/plan/candidate_estimator.h"

#include <algorithm>
#include <cmath>
#include <tuple>

namespace lambdaml::plan {
namespace {

double gigabytes(const Candidate& candidate) {
  return static_cast<double>(candidate.memory_mb) / 1024;
}

}  // namespace

void CandidateEstimator::learn_overhead(const WayFacts& facts, Candidate candidate,
                                        const SimulatedRun& run) {
  estimate(facts, facts.pilot, {}, candidate);
  const sim::FunctionProfile& functions = profile_.functions;
  const auto p = static_cast<double>(candidate.workers);
  const double billed_s = (run.functions_usd / p - functions.request) /
                          std::max(1e-30, functions.gb_second * gigabytes(candidate));
  Overhead& out = overheads_[candidate.channel];
  out.seconds = std::max(0.0, run.seconds - candidate.seconds);
  if (functions.gb_second > 0)
    out.billed_s = std::max(0.0, billed_s - (candidate.seconds - candidate.start_s));
  const double rounds_usd = rounds_.usd(candidate, facts.message_bytes);
  out.requests_usd = std::max(0.0, run.requests_usd - rounds_usd) / p;
  out.requests = std::max(0.0, static_cast<double>(run.requests()) - candidate.requests) / p;
}

void CandidateEstimator::estimate(const WayFacts& facts, const JobSize& size,
                                  Candidate& out) const {
  estimate(facts, size, overheads_.at(out.channel), out);
}

void CandidateEstimator::estimate(const WayFacts& facts, const JobSize& size,
                                  const Overhead& overhead, Candidate& out) const {
  const sim::FunctionProfile& functions = profile_.functions;
  const sim::StoreProfile& store = profile_.store(out.channel);
  const auto memory = static_cast<double>(out.memory_mb);
  const auto p = static_cast<double>(out.workers);
  out.rounds = facts.rounds_of(size, p);
  const RoundEstimate round = rounds_.of(out, facts.message_bytes);
  const double rounds_usd = rounds_.usd(out, facts.message_bytes);
  // Functions that are processes of one machine share its processors.
  const double queue = functions.host_processors > 0
                           ? std::max(1.0, p / static_cast<double>(functions.host_processors))
                           : 1;
  out.start_s = start_s(p, queue);
  // The slowest has a row more.
  const double share = std::ceil(size.rows / p) / std::max(1.0, size.rows);
  out.compute_s = (seconds_per_row_ * size.computed_rows * share + functions.step_s * out.rounds) /
                  functions.processors(memory);
  out.compute_s *= queue;  // of more threads, which only large steps use, nothing is said
  out.rounds_s = out.rounds * round.seconds;
  const double load_s =
      size.data_bytes / p /
      std::min(sim::interpolated(store.get_bytes_per_s, memory), functions.network.bytes_per_s);
  const double run_s = load_s + out.compute_s + out.rounds_s;
  out.seconds = overhead.seconds + out.start_s + run_s;
  out.requests = overhead.requests * p + out.rounds * (round.puts + round.gets + round.removes);
  out.servers_usd = store.prices.hour * out.seconds / 3600;
  out.usd =
      p * (functions.gb_second * gigabytes(out) * (run_s + overhead.billed_s) + functions.request) +
      rounds_usd + overhead.requests_usd * p + out.servers_usd;
  out.estimated_s = out.seconds;
  out.estimated_usd = out.usd;
  out.epoch_usd = rounds_usd / out.epochs.median;
  std::tie(out.seconds_p10, out.usd_p10) = after(out, out.epochs.least);
  std::tie(out.seconds_p90, out.usd_p90) = after(out, out.epochs.most);
}

/// Until the last of so many workers has started.
double CandidateEstimator::start_s(double workers, double processes_per_processor) const {
  const sim::FunctionProfile& functions = profile_.functions;
  const double all_s = functions.starts_s.empty()
                           ? functions.invoke.expected_longest(workers) +
                                 functions.cold_start.expected_longest(workers)
                           : sim::interpolated(functions.starts_s, workers);
  return std::max(all_s, processes_per_processor * functions.cold_start.mean());
}

/// Seconds and dollars if the estimate had another number of epochs.
std::pair<double, double> CandidateEstimator::after(const Candidate& candidate,
                                                    double epochs) const {
  const double more = epochs - candidate.epochs.median;
  const double more_s = more * (candidate.compute_s + candidate.rounds_s) / candidate.epochs.median;
  return {
      candidate.seconds + more_s,
      candidate.usd + more * candidate.epoch_usd +
          usd_of_seconds(candidate, profile_.functions, profile_.store(candidate.channel), more_s)};
}

}  // namespace lambdaml::plan
