#include <memory>

#include <nlohmann/json.hpp>

#include "apps/cli/command.h"
#include "apps/cli/option_flags.h"
#include "apps/cli/world_flags.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/text.h"
#include "lambdaml/job/given.h"
#include "lambdaml/job/options.h"
#include "lambdaml/plan/simulated_job.h"
#include "lambdaml/tune/search.h"

namespace lambdaml::cli {
namespace {

using nlohmann::ordered_json;

struct SimulateFlags {
  WorldFlags world;
  std::int64_t seeds = 5;
  std::int64_t scale_to = 0;
  double byte_scale = 1;
  std::optional<OptionFlags> job;
};

ordered_json spread(const std::vector<double>& values) {
  return {{"p10", plan::quantile(values, 0.1)},
          {"p50", plan::quantile(values, 0.5)},
          {"p90", plan::quantile(values, 0.9)}};
}

template <class Of>
std::vector<double> all(const std::vector<plan::SimulatedRun>& runs, Of&& of) {
  std::vector<double> out;
  for (const plan::SimulatedRun& run : runs) out.push_back(static_cast<double>(of(run)));
  return out;
}

/// Means over the workers of a run.
plan::WorkerTimes mean_times(const plan::SimulatedRun& run) {
  plan::WorkerTimes sum;
  for (const plan::WorkerTimes& worker : run.workers) {
    sum.start += worker.start;
    sum.load += worker.load;
    sum.compute += worker.compute;
    sum.upload += worker.upload;
    sum.wait += worker.wait;
    sum.download += worker.download;
    sum.checkpoint += worker.checkpoint;
    sum.end = std::max(sum.end, worker.end);
  }
  const double n = std::max<double>(1, static_cast<double>(run.workers.size()));
  for (double* const value : {&sum.start, &sum.load, &sum.compute, &sum.upload, &sum.wait,
                              &sum.download, &sum.checkpoint})
    *value /= n;
  return sum;
}

ordered_json json_of(const plan::WorkerTimes& times) {
  return {{"start", times.start},           {"load", times.load}, {"compute", times.compute},
          {"upload", times.upload},         {"wait", times.wait}, {"download", times.download},
          {"checkpoint", times.checkpoint}, {"end", times.end}};
}

ordered_json result_of(const std::vector<plan::SimulatedRun>& runs, std::int64_t workers,
                       const plan::SimulatedWorld& world) {
  using Run = plan::SimulatedRun;
  const Run& first = runs.front();
  ordered_json timeline = ordered_json::array();
  for (const plan::WorkerTimes& worker : first.workers) timeline.push_back(json_of(worker));
  return {{"seconds", spread(all(runs, [](const Run& run) { return run.seconds; }))},
          {"usd", spread(all(runs, [](const Run& run) { return run.usd(); }))},
          {"usd_of",
           {{"functions", first.functions_usd},
            {"requests", first.requests_usd},
            {"servers", first.servers_usd}}},
          {"rounds", first.rounds},
          {"requests", plan::quantile(all(runs,
                                          [](const Run& run) {
                                            std::uint64_t sum = 0;
                                            for (const auto& [kind, n] : run.counted) sum += n;
                                            return sum;
                                          }),
                                      0.5)},
          {"requests_of", first.counted},
          {"bytes_sent", first.bytes_sent},
          {"bytes_received", first.bytes_received},
          {"workers", workers},
          {"channel", world.channel},
          {"profile", world.profile.name},
          {"seconds_per_row", world.seconds_per_row},
          {"seeds", runs.size()},
          {"mean_of_workers", json_of(mean_times(first))},
          {"timeline", std::move(timeline)}};
}

void print_result(const ordered_json& result) {
  const auto at = [&](const char* name, const char* quantile) {
    return result.at(name).at(quantile).get<double>();
  };
  print_line(fmt::format("{} workers over {} ({})", result.at("workers").get<std::int64_t>(),
                         result.at("channel").get<std::string>(),
                         result.at("profile").get<std::string>()));
  print_line(fmt::format("  time      {} (p10 {}, p90 {})", human_seconds(at("seconds", "p50")),
                         human_seconds(at("seconds", "p10")), human_seconds(at("seconds", "p90"))));
  const ordered_json& parts = result.at("usd_of");
  print_line(fmt::format(
      "  dollars   {:.4g} (p10 {:.4g}, p90 {:.4g}): functions {:.4g}, requests {:.4g}, servers "
      "{:.4g}",
      at("usd", "p50"), at("usd", "p10"), at("usd", "p90"), parts.at("functions").get<double>(),
      parts.at("requests").get<double>(), parts.at("servers").get<double>()));
  print_line(fmt::format("  rounds    {}, {:.0f} requests, {} sent, {} received",
                         result.at("rounds").get<std::uint64_t>(),
                         result.at("requests").get<double>(),
                         human_bytes(result.at("bytes_sent").get<std::uint64_t>()),
                         human_bytes(result.at("bytes_received").get<std::uint64_t>())));
  std::string line = "  a worker ";
  for (const auto& [name, value] : result.at("mean_of_workers").items())
    if (name != "end") line += fmt::format(" {} {:.3g} s", name, value.get<double>());
  print_line(line);
}

/// The numbers of workers to simulate: that of the job, then its doubles up to `most`.
std::vector<std::int64_t> scale(std::int64_t workers, std::int64_t most) {
  std::vector<std::int64_t> out{workers};
  while (out.back() < most) out.push_back(std::min(2 * out.back(), most));
  return out;
}

void simulate(const SimulateFlags& flags, const Globals& globals) {
  job::Given given{
      .file = flags.job->job_file(), .section = tune::kSection, .typed = job::job_options()};
  flags.job->apply_to(given.typed);
  Options options = job::unresolved_options_of(given);
  plan::SimulatedWorld world;
  world.profile = flags.world.world_of(options);
  world.byte_scale = flags.byte_scale;
  world.channel = options.is_set("channel")
                      ? plan::store_for_channel(world.profile, options.text("channel"))
                      : world.profile.stores.front().name;
  world.rows = flags.world.stand_in(options);
  options = plan::in_world(options, world);
  world.seconds_per_row = flags.world.seconds_per_row;
  if (world.seconds_per_row < 0) plan::measure_work(options, world, 3);
  ordered_json results = ordered_json::array();
  for (const std::int64_t workers : scale(options.integer("workers"), flags.scale_to)) {
    options.set("workers", Option::Value(workers), "workers");
    std::vector<plan::SimulatedRun> runs;
    for (std::int64_t seed = 1; seed <= flags.seeds; ++seed)
      runs.push_back(plan::simulate(options, world, static_cast<std::uint64_t>(seed)));
    results.push_back(result_of(runs, workers, world));
    if (!globals.json) print_result(results.back());
  }
  if (!globals.json) return;
  ordered_json out = results.front();
  if (results.size() > 1) out["scaled"] = std::move(results);
  print_json(json_text(out));
}

}  // namespace

void add_simulate_command(CLI::App& app, Globals& globals) {
  CLI::App* command =
      add_command(app, globals, "simulate", "what a job would take and cost, in virtual time");
  const auto flags = std::make_shared<SimulateFlags>();
  flags->job.emplace(*command, job::job_options(), true);
  flags->world.add_to(*command);
  command->add_option("--seeds", flags->seeds, "simulations, for the spread [5]")
      ->check(CLI::Range(1, 10000));
  command
      ->add_option("--scale-to", flags->scale_to,
                   "also simulate with twice as many workers, and so on, up to this number")
      ->check(CLI::Range(1, 10000));
  command
      ->add_option("--byte-scale", flags->byte_scale,
                   "count bytes as so many times as many: small vectors stand for large ones [1]")
      ->check(CLI::PositiveNumber);
  command->callback([flags, &globals] { simulate(*flags, globals); });
}

}  // namespace lambdaml::cli
