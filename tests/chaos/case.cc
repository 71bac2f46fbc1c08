#include "chaos/case.h"

#include <algorithm>

#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"
#include "lambdaml/data/synthetic.h"
#include "lambdaml/job/options.h"
#include "lambdaml/plan/simulated_job.h"

namespace lambdaml::chaos {
namespace {

using sim::Fault;

struct Trained {
  const char* model;
  const char* optim;
  const char* data;
};
constexpr Trained kTrained[] = {{"lr", "grad_avg", "higgs"},  {"lr", "model_avg", "higgs"},
                                {"lr", "admm", "higgs"},      {"lr", "lbfgs", "higgs"},
                                {"svm", "grad_avg", "higgs"}, {"kmeans", "em", "blobs"}};

template <class T, std::size_t n>
const T& one_of(Rng& rng, const T (&all)[n]) {
  return all[rng.below(n)];
}

sim::Profile profile_of(Rng& rng, std::uint64_t seed) {
  sim::StoreProfile store;
  store.name = "channel";
  store.scheme = "chaos";
  const double median_ms = one_of(rng, {0.3, 3.0, 30.0});
  store.put = sim::Latency::log_normal(median_ms, 0.5);
  store.get = sim::Latency::log_normal(median_ms, 0.5);
  store.list = store.get;
  store.remove = store.put;
  store.parallel = static_cast<std::uint32_t>(1 + rng.below(8));
  store.pushes = rng.below(2) == 0;
  store.polling_is_expensive = rng.below(3) == 0;
  store.durable = rng.below(2) == 0;
  if (rng.below(4) == 0) store.max_value_bytes = 1000;
  // Drawn from a generator of its own, so that seeds keep the cases that they had before.
  store.keeps_index = !store.pushes && Rng(mix({seed, 0x1d3})).below(3) == 0;
  // Checkpoints may be elsewhere, and always where nothing is lost.
  sim::StoreProfile safe = store;
  safe.name = "safe";
  safe.durable = true;
  sim::Profile out;
  out.name = "chaos";
  out.stores = {store, safe};
  out.functions.least_mb = 1;
  out.functions.most_mb = 1e6;
  out.functions.invoke = sim::Latency::log_normal(20, 0.5);
  out.functions.cold_start = sim::Latency::log_normal(100, 0.5);
  return out;
}

}  // namespace

Case draw_case(std::uint64_t seed) {
  Rng rng(mix({seed, 0xca5e}));
  Case out;
  out.seed = seed;
  out.job = job::job_options();
  out.profile = profile_of(rng, seed);
  const Trained& trained = one_of(rng, kTrained);
  const std::uint64_t workers = 1 + rng.below(5);
  const std::uint64_t rows = workers * (8 + rng.below(24)) + rng.below(workers);
  data::SyntheticOptions synthetic{.kind = trained.data, .rows = rows, .features = 5, .seed = seed};
  synthetic.clusters = 3;
  out.data = data::synthesize(synthetic);
  // Eight rows may all be of one class, which no classifier takes.
  while (!out.data.labels.empty() && data::distinct_labels(out.data.labels).size() < 2) {
    ++synthetic.seed;
    out.data = data::synthesize(synthetic);
  }
  Options& job = out.job;
  const auto set = [&](const char* name, Option::Value value) {
    job.set(name, std::move(value), name);
  };
  set("data", std::string("memory"));
  set("model", std::string(trained.model));
  set("optim", std::string(trained.optim));
  set("workers", static_cast<std::int64_t>(workers));
  set("batch_size", static_cast<std::int64_t>(4 + rng.below(12)));
  set("epochs", static_cast<std::int64_t>(1 + rng.below(3)));
  set("seed", static_cast<std::int64_t>(seed % 1000));
  set("checkpoint_every", static_cast<std::int64_t>(1 + rng.below(2)));
  const bool clusters = std::string(trained.model) == "kmeans";
  set("valid_ratio", clusters ? 0.1 : one_of(rng, {0.0, 0.2}));
  if (clusters) set("clusters", std::int64_t{3});
  if (std::string(trained.optim) == "admm") set("admm_epochs", static_cast<std::int64_t>(2));
  const char* const pattern =
      rng.below(6) == 0 ? "async" : one_of(rng, {"reduce", "reduce_scatter"});
  out.waits_for_all = std::string(pattern) != "async";
  if (std::string(trained.optim) == "lbfgs") {
    out.waits_for_all = true;
    set("sync_mode", std::string("reduce"));
  } else {
    set("sync_mode", std::string(pattern));
  }
  // Between a function's shortest useful time and one that is never over.
  set("timeout_s", one_of(rng, {2.0, 5.0, 900.0, 900.0}));
  set("patience_s", 60.0);
  set("memory_mb", std::int64_t{1024});
  plan::SimulatedWorld world;
  world.profile = out.profile;
  world.channel = "channel";
  out.job = plan::in_world(std::move(job), world);
  out.job.set("checkpoint", Option::Value(std::string("sim://safe/checkpoints")), "checkpoint");
  return out;
}

std::string Case::describe() const {
  const sim::StoreProfile& store = profile.stores.front();
  return fmt::format(
      "seed {}: {} by {}, {}, {} workers, {} epochs, batches of {}, time limit {:g} s; a store "
      "that "
      "{}, {}{}{}{}",
      seed, job.text("model"), job.text("optim"), job.text("sync_mode"), job.integer("workers"),
      job.integer("epochs"), job.integer("batch_size"), job.real("timeout_s"),
      store.durable ? "is durable" : "forgets", store.pushes ? "pushes" : "is polled",
      store.polling_is_expensive ? " expensively" : "",
      store.max_value_bytes < 10000 ? ", with small values" : "",
      store.keeps_index ? ", with an index" : "");
}

std::vector<PlannedFault> draw_faults(const Case& of, std::uint64_t calls) {
  Rng rng(mix({of.seed, 0xfa017}));
  constexpr Fault::Kind kKinds[] = {Fault::Kind::fails_before, Fault::Kind::fails_after,
                                    Fault::Kind::delay,        Fault::Kind::killed_before,
                                    Fault::Kind::killed_after, Fault::Kind::frozen,
                                    Fault::Kind::forgets,      Fault::Kind::clock_jumps};
  std::vector<PlannedFault> out;
  const std::uint64_t n = 1 + rng.below(4);
  int kills = 0;
  for (std::uint64_t i = 0; i < n; ++i) {
    PlannedFault planned;
    planned.call = rng.below(std::max<std::uint64_t>(1, calls));
    planned.fault.kind = one_of(rng, kKinds);
    const bool kills_one = planned.fault.kind == Fault::Kind::killed_before ||
                           planned.fault.kind == Fault::Kind::killed_after;
    // A worker has three attempts.
    if (kills_one && ++kills > 2) planned.fault.kind = Fault::Kind::delay;
    planned.fault.seconds = one_of(rng, {0.01, 0.3, 2.0, 7.0});
    if (planned.fault.kind == Fault::Kind::clock_jumps)
      planned.fault.seconds *= rng.below(2) == 0 ? -1000 : 1000;
    out.push_back(planned);
  }
  if (rng.below(3) == 0)
    out.push_back({.call = rng.below(static_cast<std::uint64_t>(of.job.integer("workers"))),
                   .fault = {.kind = Fault::Kind::invoked_again,
                             .seconds = one_of(rng, {0.0, 0.05, 0.5, 20.0})}});
  return out;
}

std::string text_of(const std::vector<PlannedFault>& faults) {
  std::string out;
  for (const PlannedFault& planned : faults)
    out += fmt::format("{}{}:{}:{:g}", out.empty() ? "" : ",", planned.call,
                       sim::to_string(planned.fault.kind), planned.fault.seconds);
  return out;
}

std::vector<PlannedFault> faults_from(const std::string& text) {
  std::vector<PlannedFault> out;
  for (const std::string& one : split(text, ',')) {
    if (one.empty()) continue;
    const std::vector<std::string> parts = split(one, ':');
    PlannedFault planned;
    bool known = false;
    if (parts.size() == 3)
      for (int kind = 0; kind <= static_cast<int>(Fault::Kind::invoked_again); ++kind)
        if (parts[1] == sim::to_string(static_cast<Fault::Kind>(kind))) {
          planned.fault.kind = static_cast<Fault::Kind>(kind);
          known = true;
        }
    const auto call = parts.empty() ? std::nullopt : to_integer(parts[0]);
    const auto seconds = parts.size() == 3 ? to_real(parts[2]) : std::nullopt;
    if (!known || !call || !seconds)
      fail(Code::invalid_argument, "'{}' is no fault: CALL:KIND:SECONDS", printable(one));
    planned.call = static_cast<std::uint64_t>(*call);
    planned.fault.seconds = *seconds;
    out.push_back(planned);
  }
  return out;
}

}  // namespace lambdaml::chaos
