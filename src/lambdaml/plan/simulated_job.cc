#include "lambdaml/plan/simulated_job.h"

#include <algorithm>
#include <cmath>
#include <ctime>
#include <exception>
#include <filesystem>
#include <optional>

#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/base/files.h"
#include "lambdaml/base/held_warnings.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/own_folder.h"
#include "lambdaml/base/text.h"
#include "lambdaml/data/source.h"
#include "lambdaml/data/synthetic.h"
#include "lambdaml/faas/registry.h"
#include "lambdaml/job/job.h"
#include "lambdaml/model/registry.h"
#include "lambdaml/storage/storage.h"
#include "lambdaml/trigger/trigger.h"
#include "lambdaml/worker/worker.h"

namespace lambdaml::plan {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

/// The platform and the scheme of stores that live in a simulation.
constexpr const char* kSimulated = "sim";
/// Below it, a prepared set lies in its simulated store.
constexpr const char* kData = "prepared";
/// Below its own, checkpoints lie: those of jobs on this machine that name no other place, which
/// are in the run's folder, and all others.
constexpr const char* kCheckpointsOfRun = "run/checkpoint";
constexpr const char* kCheckpoints = "checkpoints";

std::string uri_of(const std::string& store, const std::string& path) {
  return fmt::format("{}://{}/{}", kSimulated, store, path);
}

/// Whether the functions are processes of one machine, which share its processors.
bool is_host(const sim::Profile& profile) { return profile.functions.host_processors > 0; }

/// Puts a prepared set into the simulated store, so that loading it takes time. Returns where it
/// lies then; empty if `data` is no prepared set.
std::string take_prepared(sim::World& world, const std::string& store, const std::string& data) {
  const data::Places places = data::Places::parse(data);
  if (places.several() || !data::find_manifest(places)) return {};
  const auto from = storage::open(places.uris[0]);
  auto& values = world.store(store)->values();
  for (const storage::Entry& entry : from->list(""))
    if (std::optional<Buffer> value = from->load(entry.key))
      values[fmt::format("{}/{}", kData, entry.key)] =
          std::make_shared<const Buffer>(std::move(*value));
  return uri_of(store, kData);
}

WorkerTimes times_of(const json& report) {
  WorkerTimes out;
  out.start = report.value("startup_s", 0.0);
  out.load = report.value("load_s", 0.0);
  const auto timeline = report.find("timeline");
  if (timeline == report.end()) return out;
  const json& rounds = timeline->at("rounds");
  const auto sum = [&](const char* name) {
    double us = 0;
    for (const json& one : rounds.at(name)) us += one.get<double>();
    return us / 1e6;
  };
  out.compute = sum("compute_us");
  out.upload = sum("send_us");
  out.wait = sum("wait_us");
  out.download = sum("receive_us");
  out.checkpoint = sum("checkpoint_us");
  const json& invocations = timeline->at("invocations");
  if (!invocations.empty())
    out.end = invocations.back().at("ended_us").get<double>() / 1e6 + out.start;
  return out;
}

void read_workers(const fs::path& folder, SimulatedRun& out) {
  const std::optional<Buffer> lines = read_file(folder / "workers.jsonl");
  if (!lines) return;
  for (const std::string& line : split(lines->text(), '\n')) {
    if (line.empty()) continue;
    const json report = parse_json(line);
    if (!report.contains("trigger")) out.workers.push_back(times_of(report));
  }
}

void count(sim::World& world, SimulatedRun& out) {
  out.functions_usd = world.function_usd();
  out.requests_usd = world.request_usd();
  out.servers_usd = world.server_usd(out.seconds);
  for (const sim::StoreProfile& profile : world.profile().stores) {
    const sim::Traffic& traffic = world.store(profile.name)->traffic();
    out.puts += traffic.puts;
    out.gets += traffic.gets;
    out.lists += traffic.lists;
    out.removes += traffic.removes;
  }
}

/// Runs the job in a world until it ends; `summary` stays empty if it throws.
std::exception_ptr run(sim::Simulation& simulation, sim::World& world, Options job,
                       const SimulatedWorld& settings, const fs::path& output, json& summary) {
  trigger::InMemory memory;
  memory.checkpoints_in_folder = job.text("checkpoint").ends_with(kCheckpointsOfRun);
  if (settings.rows)
    memory.data = *settings.rows;
  else if (std::string place = take_prepared(world, settings.channel, job.text("data"));
           !place.empty())
    job.set("data", Option::Value(std::move(place)), "data");
  job.set("output", Option::Value(output.string()), "output");
  std::exception_ptr failure;
  simulation.start("trigger", [&] {
    try {
      trigger::Observer silent;
      summary = trigger::train(job, silent, memory);
    } catch (const sim::Killed&) {
      throw;
    } catch (...) {
      failure = std::current_exception();
    }
  });
  simulation.run();
  return failure;
}

double processor_s(std::clock_t ticks) { return static_cast<double>(ticks) / CLOCKS_PER_SEC; }

/// Ends the simulated job at the first step after so many processor seconds.
void end_after(sim::Simulation& simulation, double longest_s) {
  simulation.on_computed = [charge = simulation.on_computed, longest_s,
                            begin = std::clock()](double rows) {
    if (processor_s(std::clock() - begin) > longest_s)
      fail(Code::cancelled, "the simulation has taken its {} s", longest_s);
    charge(rows);
  };
}

}  // namespace

std::shared_ptr<const data::Dataset> stand_in_rows(const Options& job, std::uint64_t rows,
                                                   std::uint64_t features) {
  const std::string model = job.text("model");
  if (model::registry().get(model).needs_images)
    fail(Code::invalid_argument, "rows and features cannot stand for the images of '{}'", model);
  const bool has_labels = model::registry().get(model).needs_labels;
  const char* const kind = !has_labels ? "blobs" : model.starts_with("sparse") ? "rcv1" : "higgs";
  return std::make_shared<data::Dataset>(
      data::synthesize({.kind = kind, .rows = rows, .features = features, .seed = 1}));
}

std::string store_for_channel(const sim::Profile& profile, const std::string& channel) {
  const std::size_t colon = channel.find("://");
  const std::string scheme = channel.substr(0, std::min(colon, channel.size()));
  for (const sim::StoreProfile& store : profile.stores)
    if (store.name == channel) return store.name;
  const auto fits = [&](const sim::StoreProfile& store, bool has_mark) {
    return store.scheme == scheme && store.mark.empty() != has_mark &&
           channel.find(store.mark) != std::string::npos;
  };
  // A store with a mark, such as that of S3 Express, is meant by URIs that have it.
  for (const bool has_mark : {true, false})
    for (const sim::StoreProfile& store : profile.stores)
      if (fits(store, has_mark)) return store.name;
  return profile.store(channel).name;
}

Options in_world(Options job, const SimulatedWorld& world) {
  const auto set = [&](const char* name, Option::Value value) {
    job.set(name, std::move(value), name);
  };
  // In the simulation, what belongs to the job's platform means nothing.
  for (const Option& option : faas::registry().get(job.text("platform")).options)
    if (job.is_set(option.name)) set(option.name.c_str(), option.default_value);
  set("platform", std::string(kSimulated));
  set("channel", uri_of(world.channel, "channel"));
  set("checkpoint",
      uri_of(world.profile.checkpoints.empty() ? world.channel : world.profile.checkpoints,
             is_host(world.profile) && job.text("checkpoint").empty() ? kCheckpointsOfRun
                                                                      : kCheckpoints));
  set("tensorboard", std::string());
  set("threads", std::int64_t{1});
  set("log_level", std::string("off"));
  if (!job.is_set("timeout_s")) set("timeout_s", world.profile.functions.longest_s);
  world.profile.require_memory(static_cast<double>(job.integer("memory_mb")));
  job::resolve(job);
  return job;
}

SimulatedRun simulate(const Options& job, const SimulatedWorld& settings, std::uint64_t seed) {
  worker::register_handler();
  settings.profile.require_memory(static_cast<double>(job.integer("memory_mb")));
  const log::QuietLog quiet;
  const Scratch scratch("lambdaml-sim-");
  sim::Simulation simulation(seed);
  sim::World world(simulation, settings.profile);
  world.seconds_per_row = settings.seconds_per_row;
  const sim::FunctionProfile& functions = settings.profile.functions;
  if (is_host(settings.profile)) {
    const auto workers = static_cast<double>(job.integer("workers"));
    world.load_s = settings.load_s / workers;
    world.threads = std::max(1.0, std::floor(functions.host_processors / workers));
  }
  world.byte_scale = settings.byte_scale;
  if (settings.longest_s > 0) end_after(simulation, settings.longest_s);
  if (settings.prepare) settings.prepare(world);
  json summary;
  const fs::path output = scratch.path() / "run";
  if (const std::exception_ptr failure = run(simulation, world, job, settings, output, summary))
    std::rethrow_exception(failure);
  SimulatedRun out;
  out.seconds = functions.command_s + summary.at("wall_s").get<double>();
  if (is_host(settings.profile)) out.seconds += settings.staging_s / functions.host_processors;
  out.rounds = summary.at("rounds").get<std::uint64_t>();
  out.epochs = summary.at("epochs").get<std::uint64_t>();
  out.bytes_sent =
      static_cast<std::uint64_t>(settings.byte_scale * summary.at("bytes_sent").get<double>());
  out.bytes_received =
      static_cast<std::uint64_t>(settings.byte_scale * summary.at("bytes_received").get<double>());
  if (const auto loss = summary.find("train_loss"); loss != summary.end() && loss->is_number())
    out.train_loss = loss->get<double>();
  out.ended_by = text_at(summary, "ended_by");
  out.counted = summary.at("requests").get<std::map<std::string, std::uint64_t>>();
  for (const auto& [name, value] : summary.items())
    if (value.is_number()) out.metrics[name] = value.get<double>();
  out.computed_rows = world.computed_rows();
  out.rows = summary.at("rows").get<double>();
  out.data_bytes = 4 * out.rows * summary.at("features").get<double>();
  count(world, out);
  read_workers(output, out);
  out.fingerprint = simulation.fingerprint();
  if (const std::optional<Buffer> model = read_file(output / "model.safetensors"))
    out.model = std::string(model->text());
  return out;
}

void measure_work(const Options& job, SimulatedWorld& settings, double seconds) {
  worker::register_handler();
  const log::QuietLog quiet;
  const Scratch scratch("lambdaml-sim-");
  sim::Simulation simulation(1);
  sim::World world(simulation, settings.profile);
  double rows = 0, measured_rows = 0;
  std::clock_t sent = 0, begin = 0, last = 0;
  // Of one worker, all processor time between the beginnings of two steps is the first one's.
  simulation.on_computed = [&](double more) {
    const std::clock_t at = std::clock();
    if (begin == 0) begin = at;
    last = at;
    measured_rows = rows;
    rows += more;
    if (processor_s(last - begin) > seconds) fail(Code::cancelled, "measured for long enough");
  };
  world.invoked_again = [&](std::uint64_t) -> std::optional<double> {
    sent = std::clock();
    return {};
  };
  Options alone = job;
  alone.set("workers", Option::Value(std::int64_t{1}), "workers");
  alone.set("retries", Option::Value(std::int64_t{0}), "retries");
  json summary;
  const std::clock_t called = sent = std::clock();
  const std::exception_ptr failure =
      run(simulation, world, alone, settings, scratch.path() / "run", summary);
  if (failure && measured_rows <= 0) std::rethrow_exception(failure);
  if (measured_rows <= 0)
    fail(Code::invalid_argument,
         "the job ends within its first step, too soon to measure: give --seconds-per-row");
  settings.seconds_per_row = processor_s(last - begin) / measured_rows;
  settings.staging_s = processor_s(sent - called);
  settings.load_s = processor_s(begin - sent);
}

}  // namespace lambdaml::plan
