#include "lambdaml/sim/world.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "lambdaml/base/error.h"

namespace lambdaml::sim {
namespace {

constexpr double kGigabyte = 1e9;

thread_local World* g_world = nullptr;

FunctionNetwork* network_of(Simulation& simulation) {
  auto* const found =
      std::any_cast<std::shared_ptr<FunctionNetwork>>(&simulation.process()->annotation);
  return found == nullptr ? nullptr : found->get();
}

}  // namespace

std::string_view to_string(Verb verb) {
  constexpr std::string_view kNames[] = {"put", "get", "list", "remove"};
  return kNames[static_cast<int>(verb)];
}

std::string_view to_string(Fault::Kind kind) {
  constexpr std::string_view kNames[] = {"none",          "fails_before", "fails_after", "delay",
                                         "killed_before", "killed_after", "frozen",      "forgets",
                                         "clock_jumps",   "invoked_again"};
  return kNames[static_cast<int>(kind)];
}

double Link::pass(double now_s, double bytes) {
  if (!(bandwidth_.bytes_per_s < std::numeric_limits<double>::infinity())) return now_s;
  if (now_s > since_s_) {
    credit_ =
        std::min(bandwidth_.burst_bytes, credit_ + (now_s - since_s_) * bandwidth_.bytes_per_s);
    since_s_ = now_s;
  }
  const double fast = std::min(bytes, credit_);
  credit_ -= fast;
  if (fast > 0 && bandwidth_.burst_bytes_per_s > 0) since_s_ += fast / bandwidth_.burst_bytes_per_s;
  since_s_ += (bytes - fast) / bandwidth_.bytes_per_s;
  return since_s_;
}

// ---- limits ----

StoreLimits::StoreLimits(const StoreProfile& profile)
    : put_per_s_(profile.put_per_s),
      get_per_s_(profile.get_per_s),
      put_bytes_per_s_(profile.put_bytes_per_s),
      get_bytes_per_s_(profile.get_bytes_per_s),
      in_vpc_(profile.in_vpc),
      request_processor_s_(profile.request_processor_s),
      put_processor_s_(profile.put_processor_s),
      put_byte_processor_s_(profile.put_byte_processor_s),
      get_byte_processor_s_(profile.get_byte_processor_s) {
  if (profile.server) server_.emplace(*profile.server);
}

double StoreLimits::admitted_s(Verb verb, double now_s) {
  const bool reads = verb == Verb::get || verb == Verb::list;
  const double per_s = reads ? get_per_s_ : put_per_s_;
  if (per_s <= 0) return now_s;
  double& next_s = reads ? next_get_s_ : next_put_s_;
  constexpr double kSpare_s = 1;
  next_s = std::max(next_s, now_s - kSpare_s) + 1 / per_s;
  return std::max(now_s, next_s);
}

double StoreLimits::sent_s(Verb verb, std::size_t lanes, double now_s, double bytes,
                           FunctionNetwork* function, const SharedLinks& shared) {
  // Requests that fit the time of one share its work.
  const double work = work_s(verb) / static_cast<double>(lanes) + bytes * put_byte_processor_s_;
  return moved_s(true, now_s, bytes, work, function, shared);
}

double StoreLimits::received_s(double now_s, double bytes, FunctionNetwork* function,
                               const SharedLinks& shared) {
  return moved_s(false, now_s, bytes, bytes * get_byte_processor_s_, function, shared);
}

double StoreLimits::moved_s(bool up, double now_s, double bytes, double work_s,
                            FunctionNetwork* function, const SharedLinks& shared) {
  double end_s = now_s;
  if (shared.host != nullptr && work_s > 0)
    end_s = std::max(now_s + work_s, shared.host->pass(now_s, work_s));
  if (bytes <= 0) return end_s;
  if (function != nullptr) {
    end_s = std::max(end_s, (up ? function->up : function->down).pass(now_s, bytes));
    const double per_s =
        interpolated(up ? put_bytes_per_s_ : get_bytes_per_s_, function->memory_mb);
    end_s = std::max(end_s, now_s + bytes / per_s);
    if (in_vpc_ && shared.vpc != nullptr) end_s = std::max(end_s, shared.vpc->pass(now_s, bytes));
  }
  if (server_) end_s = std::max(end_s, server_->pass(now_s, bytes));
  return end_s;
}

std::size_t lanes_of(const StoreProfile& store, Verb verb, std::size_t n) {
  const std::size_t most = verb == Verb::put      ? store.put_parallel
                           : verb == Verb::remove ? store.remove_parallel
                                                  : store.parallel;
  return std::max<std::size_t>(1, std::min(most, n));
}

BatchLimits batch_limits(const StoreProfile& store, Verb verb) {
  switch (verb) {
    case Verb::put:
      return {store.put_keys, store.put_batch_bytes};
    case Verb::get:
      return {store.get_keys, store.get_batch_bytes};
    case Verb::remove:
      return {.keys = store.remove_keys};
    case Verb::list:
      break;
  }
  return {};
}

// ---- a store ----

StoreModel::StoreModel(const StoreProfile& profile, World* world)
    : profile_(profile), world_(world), limits_(profile) {}

const void* StoreModel::tag_of(std::string_view key) {
  return &tags_.try_emplace(std::string(key)).first->second;
}

void StoreModel::count(Verb verb, std::uint64_t requests, std::uint64_t sent,
                       std::uint64_t received) {
  switch (verb) {
    case Verb::put:
      traffic_.puts += requests;
      traffic_.put_bytes += sent;
      traffic_.put_kb += std::max(1.0, std::ceil(static_cast<double>(sent) / 1024));
      break;
    case Verb::get:
      traffic_.gets += requests;
      traffic_.get_bytes += received;
      traffic_.get_kb += std::max(1.0, std::ceil(static_cast<double>(received) / 1024));
      traffic_.get_4kb += std::max(1.0, std::ceil(static_cast<double>(received) / 4096));
      break;
    case Verb::list:
      traffic_.lists += requests;
      break;
    case Verb::remove:
      traffic_.removes += requests;
      break;
  }
}

std::vector<std::uint64_t> StoreModel::begun_by(Verb verb,
                                                const std::vector<std::string_view>& keys,
                                                const std::vector<std::uint64_t>& bytes) const {
  const BatchLimits limits = batch_limits(profile_, verb);
  std::vector<std::size_t> order(keys.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  if (std::isfinite(limits.bytes)) std::ranges::sort(order, {}, [&](auto i) { return keys[i]; });
  std::vector<std::uint64_t> out(keys.size());
  BatchRequests requests(limits);
  for (const std::size_t i : order)
    out[i] = requests.next(world_->byte_scale * static_cast<double>(bytes[i]));
  return out;
}

const Latency& StoreModel::latency_of(Verb verb) const {
  switch (verb) {
    case Verb::put:
      return profile_.put;
    case Verb::list:
      return profile_.list;
    case Verb::remove:
      return profile_.remove;
    case Verb::get:
      break;
  }
  return profile_.get;
}

void StoreModel::request(Verb verb, std::string_view key, std::uint64_t bytes,
                         const Counted& counted, const std::function<std::uint64_t()>& effect) {
  make(verb, {key}, {bytes}, {}, counted, [&](std::size_t) { return effect(); });
}

void StoreModel::requests(Verb verb, const std::vector<std::string_view>& keys,
                          const std::vector<std::uint64_t>& bytes, const Counted& counted,
                          const std::function<std::uint64_t(std::size_t index)>& effect) {
  make(verb, keys, bytes, profile_.parts, counted, effect);
}

StoreModel::Befallen StoreModel::befall(Verb verb, const std::vector<std::string_view>& keys) {
  Simulation& simulation = world_->simulation();
  Befallen out;
  for (const std::string_view key : keys) {
    const Fault fault = world_->next_fault(*this, verb, key);
    using Kind = Fault::Kind;
    switch (fault.kind) {
      case Kind::none:
      case Kind::invoked_again:
        break;
      case Kind::fails_before:
        simulation.pause(latency_of(verb).sample(simulation.rng()));
        fail(Code::unavailable, "sim://{}: the request for '{}' failed", profile_.name, key);
      case Kind::fails_after:
        out.fails_after = true;
        break;
      case Kind::delay:
        out.delay_s += fault.seconds;
        break;
      case Kind::killed_before:
        simulation.kill(ProcessHandle(simulation.process()));
        break;
      case Kind::killed_after:
        out.dies_after = true;
        break;
      case Kind::frozen:
        simulation.freeze(ProcessHandle(simulation.process()), fault.seconds);
        break;
      case Kind::forgets:
        if (!profile_.durable) values_.clear();
        break;
      case Kind::clock_jumps:
        simulation.jump_clock(simulation.process(), fault.seconds);
        break;
    }
  }
  return out;
}

void StoreModel::make(Verb verb, const std::vector<std::string_view>& keys,
                      const std::vector<std::uint64_t>& bytes, const PartLimits& parts,
                      const Counted& counted,
                      const std::function<std::uint64_t(std::size_t index)>& effect) {
  if (world_ == nullptr || !world_->simulation().in_fiber()) {
    for (std::size_t i = 0; i < keys.size(); ++i) effect(i);
    return;
  }
  Simulation& simulation = world_->simulation();
  if (!simulation.require_alive()) return;  // its handle was cut
  const Befallen befallen = befall(verb, keys);
  // The lanes of the batch: each request begins when one is free, takes effect halfway of its
  // latency, once what it sends has passed, and ends once what it brings has.
  const std::size_t lanes = lanes_of(profile_, verb, keys.size());
  FunctionNetwork* const network = network_of(simulation);
  // What is sent is split before, what is asked for by what the answers bring.
  std::vector<std::uint64_t> begun;
  if (verb != Verb::get) begun = begun_by(verb, keys, bytes);
  BatchRequests answers(batch_limits(profile_, verb));
  std::vector<double> free_s(lanes, simulation.now_s() + befallen.delay_s);
  double end_s = simulation.now_s();
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const double sent = world_->byte_scale * static_cast<double>(bytes[i]);
    const auto lane = std::ranges::min_element(free_s);
    const double begin_s = limits_.admitted_s(verb, *lane);
    const double latency_s =
        limits_.besides_work_s(verb, latency_of(verb).sample(simulation.rng()), world_->shared());
    const double effect_s =
        limits_.sent_s(verb, lanes, begin_s, sent, network, world_->shared()) + latency_s / 2;
    simulation.pause(effect_s - simulation.now_s());
    if (!simulation.require_alive()) return;
    const std::string& process = simulation.process()->name();
    if (on_effect) on_effect(*this, verb, keys[i], true, process);
    const double received = world_->byte_scale * static_cast<double>(effect(i));
    if (on_effect) on_effect(*this, verb, keys[i], false, process);
    const double more = (verb == Verb::get ? parts.loads(received) : parts.saves(sent)) - 1;
    const std::uint64_t n =
        (verb == Verb::get ? answers.next(received) : begun[i]) + static_cast<std::uint64_t>(more);
    count(verb, n, static_cast<std::uint64_t>(sent), static_cast<std::uint64_t>(received));
    if (counted) counted(verb, n, static_cast<std::uint64_t>(sent + received));
    if (verb == Verb::put && profile_.pushes) simulation.notify_all(tag_of(keys[i]));
    *lane = limits_.received_s(effect_s, received, network, world_->shared()) + latency_s / 2;
    end_s = std::max(end_s, *lane);
  }
  if (befallen.dies_after) simulation.kill(ProcessHandle(simulation.process()));
  simulation.pause(end_s - simulation.now_s());
  if (befallen.fails_after)
    fail(Code::unavailable, "sim://{}: no answer to the request for '{}'", profile_.name,
         keys.front());
}

bool StoreModel::exchange(std::string_view key, std::uint64_t bytes,
                          const std::function<bool()>& effect,
                          const std::function<std::optional<std::uint64_t>()>& answer,
                          Deadline deadline) {
  Simulation& simulation = world_->simulation();
  if (!simulation.require_alive()) return false;  // its handle was cut
  const Befallen befallen = befall(Verb::put, {key});
  const double sent = world_->byte_scale * static_cast<double>(bytes);
  const double begin_s = limits_.admitted_s(Verb::put, simulation.now_s() + befallen.delay_s);
  const double latency_s =
      limits_.besides_work_s(Verb::put, profile_.put.sample(simulation.rng()), world_->shared());
  FunctionNetwork* const network = network_of(simulation);
  const double sent_s = limits_.sent_s(Verb::put, 1, begin_s, sent, network, world_->shared());
  simulation.pause(sent_s + latency_s / 2 - simulation.now_s());
  if (!simulation.require_alive()) return false;
  if (effect()) simulation.notify_all(tag_of(key));
  count(Verb::put, 1, static_cast<std::uint64_t>(sent), 0);
  std::optional<std::uint64_t> back = answer();
  while (!back && !deadline.passed()) {
    simulation.wait_for(tag_of(key), deadline.time());
    back = answer();
  }
  const double received = world_->byte_scale * static_cast<double>(back.value_or(0));
  if (back) count(Verb::get, 1, 0, static_cast<std::uint64_t>(received));
  const double end_s =
      limits_.received_s(simulation.now_s(), received, network, world_->shared()) + latency_s / 2;
  if (befallen.dies_after) simulation.kill(ProcessHandle(simulation.process()));
  simulation.pause(end_s - simulation.now_s());
  if (befallen.fails_after)
    fail(Code::unavailable, "sim://{}: no answer to the sum of '{}'", profile_.name, key);
  return back.has_value();
}

// ---- the world ----

World::World(Simulation& simulation, Profile profile)
    : simulation_(simulation), profile_(std::move(profile)), vpc_(profile_.functions.vpc_network) {
  if (g_world != nullptr) fail(Code::internal, "a second simulated world in one thread");
  g_world = this;
  if (profile_.functions.host_processors > 0) {
    host_.emplace(Bandwidth{.bytes_per_s = profile_.functions.host_processors});
    host_starts_ = host_;
  }
  simulation_.on_computed = [this](double rows) {
    if (rows <= 0) return;
    FunctionNetwork* const own = network_of(simulation_);
    if (own == nullptr) return;
    computed_rows_ += rows;
    const double work_s = profile_.functions.step_s + rows * seconds_per_row +
                          (std::exchange(own->has_loaded, true) ? 0 : load_s);
    // Waking threads is not worth less (as of model::RowBlocks).
    constexpr double kWorthThreads_s = 50e-6;
    const bool uses_threads = threads > 1 && work_s > kWorthThreads_s;
    const double alone_s =
        work_s / profile_.functions.processors(own->memory_mb) / (uses_threads ? threads : 1) +
        (uses_threads ? profile_.functions.threads_s : 0);
    const double now_s = simulation_.now_s();
    simulation_.pause(host_ ? std::max(alone_s, host_->pass(now_s, work_s) - now_s) : alone_s);
  };
}

World::~World() {
  simulation_.end_all();
  simulation_.on_computed = nullptr;
  g_world = nullptr;
}

World* World::current() noexcept {
  return g_world != nullptr && Simulation::current() == &g_world->simulation_ ? g_world : nullptr;
}

const std::shared_ptr<StoreModel>& World::store(std::string_view name) {
  const auto found = stores_.find(name);
  if (found != stores_.end()) return found->second;
  return stores_
      .emplace(std::string(name), std::make_shared<StoreModel>(profile_.store(name), this))
      .first->second;
}

std::shared_ptr<FunctionNetwork> World::new_network(double memory_mb) const {
  const Bandwidth& network = profile_.functions.network;
  return std::make_shared<FunctionNetwork>(
      FunctionNetwork{memory_mb, Link(network), Link(network)});
}

World::Start World::next_start(std::size_t n) {
  const FunctionProfile& functions = profile_.functions;
  const double invoke_s = functions.invoke.sample(simulation_.rng());
  if (!functions.starts_s.empty())
    return {.seconds = interpolated(functions.starts_s, static_cast<double>(n))};
  double queued_s = 0;
  // A service adds environments at a rate, of which it has ten seconds' worth in advance.
  if (functions.starts_per_s > 0) {
    const double spare = 10 * functions.starts_per_s;
    queued_s = std::max(0.0, (static_cast<double>(++started_) - spare) / functions.starts_per_s -
                                 simulation_.now_s());
  }
  double init_s = functions.cold_start.sample(simulation_.rng());
  if (host_) {
    // Beside other work, which is not what happens: but those that have started work at once, and
    // would wait here for all starts that were asked for before.
    const double now_s = simulation_.now_s();
    init_s = std::max(init_s, host_starts_->pass(now_s, init_s) - now_s);
  }
  return {.seconds = invoke_s + queued_s + init_s, .init_s = init_s};
}

Fault World::next_fault(const StoreModel& store, Verb verb, std::string_view key) {
  const Call call{.number = calls_++,
                  .store = store.profile().name,
                  .verb = verb,
                  .key = key,
                  .process = simulation_.process()->name()};
  const Fault fault = faults ? faults(call) : Fault();
  if (trace)
    trace(fmt::format("{:10.4f} {:>12} {} {} {}{}", simulation_.now_s(), call.process, call.number,
                      to_string(verb), key,
                      fault.kind == Fault::Kind::none
                          ? ""
                          : fmt::format("  <- {} {:g}", to_string(fault.kind), fault.seconds)));
  return fault;
}

double World::function_usd() const {
  double usd = 0;
  for (const FunctionRun& run : runs_) {
    const double init_s = profile_.functions.init_is_billed ? run.init_s : 0;
    const double billed_s = std::ceil((run.ended_s - run.began_s + init_s) * 1e3) / 1e3;
    usd +=
        billed_s * run.memory_mb / 1024 * profile_.functions.gb_second + profile_.functions.request;
  }
  return usd;
}

double World::request_usd() const {
  double usd = 0;
  for (const auto& [name, store] : stores_) {
    const StorePrices& prices = store->profile().prices;
    const Traffic& traffic = store->traffic();
    usd += prices.put * static_cast<double>(traffic.puts) +
           prices.get * static_cast<double>(traffic.gets) +
           prices.list * static_cast<double>(traffic.lists) +
           prices.remove * static_cast<double>(traffic.removes) +
           prices.put_gb * static_cast<double>(traffic.put_bytes) / kGigabyte +
           prices.get_gb * static_cast<double>(traffic.get_bytes) / kGigabyte +
           prices.put_kb * traffic.put_kb + prices.get_kb * traffic.get_kb +
           prices.get_4kb * traffic.get_4kb;
  }
  return usd;
}

double World::server_usd(double seconds) const {
  double usd = 0;
  for (const auto& [name, store] : stores_) usd += store->profile().prices.hour * seconds / 3600;
  return usd;
}

}  // namespace lambdaml::sim
