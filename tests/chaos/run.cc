#include <algorithm>
#include <cstring>
#include <filesystem>
#include <map>
#include <optional>

#include <nlohmann/json.hpp>
#include <unistd.h>

#include "chaos/case.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/files.h"
#include "lambdaml/base/log.h"
#include "lambdaml/control/worker_report.h"
#include "lambdaml/job/model_file.h"
#include "lambdaml/trigger/trigger.h"
#include "lambdaml/worker/worker.h"

namespace lambdaml::chaos {
namespace {

namespace fs = std::filesystem;
using sim::Call;
using sim::Fault;
using sim::Verb;

/// Longer than any job here may take with four faults: three patiences and what is between.
constexpr double kBound_s = 3600;
/// Until a function has seen that its job is over: checks once a second, and requests between them.
constexpr double kSeen_s = 4;
/// A user resumes a job as often as its command is killed.
constexpr int kMostResumed = 5;
constexpr const char* kNames[] = {"none",        "sweeps_early", "saves_late",      "loses_saves",
                                  "reads_stale", "leaves_keys",  "takes_old_claims"};

fs::path scratch() {
  // Shared memory: a job writes some small files.
  const fs::path folder =
      fs::path("/dev/shm") / fmt::format("lambdaml-chaos-{}", static_cast<int>(::getpid()));
  fs::remove_all(folder);
  return folder;
}

/// A store that does what no store may: the double of a defect.
class Double {
 public:
  explicit Double(Defect defect) : defect_(defect) {}

  using Effect =
      std::function<void(sim::StoreModel&, Verb, std::string_view, bool, std::string_view)>;
  /// Null if this store has none.
  Effect effect_in(const std::string& store) const {
    return defect_ == Defect::none ? Effect() : effect_of(store);
  }

 private:
  using Values = std::map<std::string, sim::StoreModel::Value, std::less<>>;

  static std::string name_of(std::string_view key) { return std::string(key); }
  static bool has(std::string_view key, std::string_view part) {
    return key.find(part) != std::string_view::npos;
  }

  Effect effect_of(const std::string& store) const {
    switch (defect_) {
      case Defect::sweeps_early:
        return [](sim::StoreModel& model, Verb verb, std::string_view key, bool before,
                  std::string_view) {
          if (!before && verb == Verb::get && (has(key, "/v/") || has(key, "/v0/")))
            if (const auto at = model.values().find(key); at != model.values().end())
              model.values().erase(at);
        };
      case Defect::saves_late:
        if (store == "channel") return {};
        // The last value that a process saved is there when it makes its next call.
        return [late = std::make_shared<
                    std::map<std::string, std::pair<std::string, sim::StoreModel::Value>>>()](
                   sim::StoreModel& model, Verb verb, std::string_view key, bool before,
                   std::string_view process) {
          auto& mine = (*late)[std::string(process)];
          if (before) {
            if (mine.second) model.values()[mine.first] = std::move(mine.second);
            mine.second = nullptr;
          } else if (verb == Verb::put) {
            const auto at = model.values().find(key);
            if (at == model.values().end()) return;
            mine = {std::string(key), at->second};
            model.values().erase(at);
          }
        };
      case Defect::loses_saves:
        return [seen = std::make_shared<std::map<std::string, int>>()](
                   sim::StoreModel& model, Verb verb, std::string_view key, bool before,
                   std::string_view process) {
          if (before || verb != Verb::put) return;
          if (++(*seen)[std::string(process) + std::string(key)] == 2 && has(key, "result/"))
            if (const auto at = model.values().find(key); at != model.values().end())
              model.values().erase(at);
          if ((*seen)[std::string(process) + std::string(key)] == 2 && has(key, "/m/"))
            if (const auto at = model.values().find(key); at != model.values().end())
              model.values().erase(at);
        };
      case Defect::reads_stale:
        return [old = std::make_shared<Values>(), present = std::make_shared<Values>()](
                   sim::StoreModel& model, Verb verb, std::string_view key, bool before,
                   std::string_view) {
          const std::string name(key);
          const auto at = model.values().find(key);
          if (verb == Verb::put && before && at != model.values().end()) (*old)[name] = at->second;
          if (verb != Verb::get || !has(key, "tenure")) return;
          if (before && old->contains(name) && at != model.values().end()) {
            (*present)[name] = at->second;
            at->second = (*old)[name];
          } else if (!before && present->contains(name) && at != model.values().end()) {
            at->second = (*present)[name];
            present->erase(name);
          }
        };
      case Defect::leaves_keys:
        return [](sim::StoreModel& model, Verb verb, std::string_view key, bool before,
                  std::string_view) {
          if (!before && verb == Verb::remove && has(key, "started/0"))
            model.values()[std::string(key)] = std::make_shared<const Buffer>();
        };
      case Defect::takes_old_claims:
        return [own = std::make_shared<Values>(), present = std::make_shared<Values>()](
                   sim::StoreModel& model, Verb verb, std::string_view key, bool before,
                   std::string_view process) {
          if (!has(key, "tenure/")) return;
          const std::string name = fmt::format("{} {}", process, key);
          auto& values = model.values();
          if (verb == Verb::put && !before && values.contains(key))
            (*own)[name] = values[name_of(key)];
          if (verb != Verb::get || !own->contains(name)) return;
          // For this read only.
          if (before) {
            (*present)[name] = values.contains(key) ? values[name_of(key)] : nullptr;
            values[name_of(key)] = (*own)[name];
          } else if ((*present)[name]) {
            values[name_of(key)] = (*present)[name];
          } else {
            values.erase(name_of(key));
          }
        };
      case Defect::none:
        break;
    }
    return {};
  }

  Defect defect_;
};

/// When each process made calls, and each key was written.
class Watch {
 public:
  void attach(sim::World& world, const Double& defect) {
    for (const char* const store : {"channel", "safe"})
      world.store(store)->on_effect = [this, effect = defect.effect_in(store),
                                       &simulation = world.simulation()](
                                          sim::StoreModel& model, Verb verb, std::string_view key,
                                          bool before, std::string_view process) {
        if (effect) effect(model, verb, key, before, process);
        if (before) return;
        const double now_s = simulation.now_s();
        Span& span = calls_.try_emplace(std::string(process), Span{now_s, now_s}).first->second;
        span.last_s = now_s;
        if (verb == Verb::put) written_s_[std::string(key)] = now_s;
      };
  }
  double written_s(const std::string& key) const {
    const auto at = written_s_.find(key);
    return at == written_s_.end() ? 0 : at->second;
  }
  double ran_on_s(double end_s) const {
    double out = 0;
    for (const auto& [process, span] : calls_)
      out = std::max(out, span.last_s - std::max(end_s, span.first_s));
    return out;
  }

 private:
  struct Span {
    double first_s, last_s;
  };
  std::map<std::string, Span, std::less<>> calls_;
  std::map<std::string, double, std::less<>> written_s_;
};

std::vector<float> parameters_of(const fs::path& file) {
  std::optional<Buffer> bytes = read_file(file);
  if (!bytes) return {};
  return job::model_from_bytes(std::make_shared<const Buffer>(std::move(*bytes)), "the model")
      .parameters;
}

/// Also of values that are no numbers, or are zeros of two signs.
bool are_same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

/// Trains, and where the trigger was killed resumes, as its user would.
void train(const Case& of, const fs::path& output, Outcome& out, bool resumes) {
  try {
    trigger::Observer silent;
    trigger::InMemory memory;
    memory.data = of.data;
    Options job = of.job;
    job.set("output", Option::Value(output.string()), "output");
    const bool begins_anew = resumes && !fs::exists(output);
    // One of several commands is enough.
    out.began_anew |= begins_anew;
    if (resumes && !begins_anew)
      trigger::resume(output, silent, Options(std::vector<Option>()), memory);
    else
      trigger::train(job, silent, memory);
  } catch (const Error& error) {
    out.error_code = to_string(error.code());
    out.error = fmt::format("{}: {}", out.error_code, error.what());
  }
}

}  // namespace

std::string_view to_string(Defect defect) { return kNames[static_cast<int>(defect)]; }

Outcome run(const Case& of, const std::vector<PlannedFault>& faults, Defect defect,
            const std::function<void(const std::string&)>& trace) {
  worker::register_handler();
  log::configure(log::Level::off, log::Format::text);
  const fs::path folder = scratch();
  Outcome out;
  sim::Simulation simulation(of.seed);
  sim::World world(simulation, of.profile);
  world.trace = trace;
  std::multimap<std::uint64_t, Fault> planned;
  std::map<std::uint64_t, double> again_s;
  for (const PlannedFault& fault : faults)
    if (fault.fault.kind == Fault::Kind::invoked_again)
      again_s[fault.call] = fault.fault.seconds;
    else
      planned.emplace(fault.call, fault.fault);
  if (!again_s.empty())
    world.invoked_again = [&](std::uint64_t event) -> std::optional<double> {
      const auto at = again_s.find(event);
      return at == again_s.end() ? std::nullopt : std::optional(at->second);
    };
  if (!planned.empty())
    world.faults = [&](const Call& call) {
      const auto at = planned.find(call.number);
      return at == planned.end() ? Fault() : at->second;
    };
  world.is_void = [](const std::string& answer) { return answer == control::kTakenOver; };
  Watch watch;
  watch.attach(world, Double(defect));
  double end_s = 0;
  int resumed = 0;
  const auto begin = [&](auto&& self, bool resumes) -> void {
    simulation.start(
        resumes ? "resume" : "trigger",
        [&, folder, resumes] {
          train(of, folder / "run", out, resumes);
          end_s = simulation.now_s();
        },
        0,
        [&, self](sim::Process& process) {
          if (!process.was_killed() || ++resumed > kMostResumed) return;
          simulation.call_later(5, [&, self] { self(self, true); });
        });
  };
  begin(begin, false);
  out.ended = simulation.run(kBound_s);
  out.seconds = simulation.now_s();
  out.fingerprint = simulation.fingerprint();
  out.calls = world.calls();
  if (out.ended && out.error.empty())
    out.model = parameters_of(folder / "run" / "model.safetensors");
  for (const auto& [key, value] : world.store("channel")->values())
    if (key.starts_with("channel/") || key.starts_with("/channel/")) {  // or a list of its keys
      out.left.push_back(key);
      out.left_s.push_back(watch.written_s(key) - end_s);
    }
  out.ran_on_s = watch.ran_on_s(end_s);
  fs::remove_all(folder);
  return out;
}

bool lacks_time(const Case& of, const Outcome& outcome) {
  return of.job.real("timeout_s") < 100 && outcome.ended &&
         (outcome.error_code == to_string(Code::workers_lost) ||
          outcome.error_code == to_string(Code::resource_exhausted));
}

std::string complaint(const Case& of, const std::vector<PlannedFault>& faults,
                      const Outcome& undisturbed, const Outcome& disturbed) {
  if (!undisturbed.ended)
    return fmt::format("the undisturbed run has not ended after {:g} s", undisturbed.seconds);
  if (lacks_time(of, undisturbed)) return {};
  if (!undisturbed.error.empty())
    return fmt::format("the undisturbed run failed: {}", undisturbed.error);
  if (undisturbed.model.empty()) return "the undisturbed run ended without a model";
  if (!undisturbed.left.empty())
    return fmt::format("the undisturbed run left {} keys, e.g. {}", undisturbed.left.size(),
                       undisturbed.left.front());
  if (!disturbed.ended) return fmt::format("it has not ended after {:g} s", disturbed.seconds);
  using Kind = Fault::Kind;
  const auto has = [&](Kind kind) {
    return std::ranges::any_of(
        faults, [&](const PlannedFault& planned) { return planned.fault.kind == kind; });
  };
  if (!disturbed.error.empty()) {
    // A store that forgets may lose what cannot be put back (docs/reference/channels.md).
    const bool may_lose =
        has(Kind::forgets) && !of.profile.stores.front().durable &&
        (disturbed.error_code == "unavailable" || disturbed.error_code == "workers_lost" ||
         disturbed.error_code == "data_corrupt");
    if (may_lose || lacks_time(of, disturbed)) return {};
    return disturbed.error;
  }
  if (disturbed.model.empty()) return "it ended without a model";
  if (of.waits_for_all && !are_same_bits(disturbed.model, undisturbed.model))
    return "its model is not that of an undisturbed run";
  // Functions see within a second that their job is over, or that another delivery took over,
  // where claims cannot be lost.
  const bool is_told = of.profile.stores.front().durable;
  double late_s = kSeen_s;
  for (const PlannedFault& planned : faults)
    if (planned.fault.kind == Kind::delay || planned.fault.kind == Kind::frozen)
      late_s += planned.fault.seconds;
  if (is_told && disturbed.ran_on_s > late_s)
    return fmt::format("a function ran on for {:.1f} s after the job's end", disturbed.ran_on_s);
  // A command that was killed before it had a folder has left what it staged
  // (docs/explanations/protocol.md). So has a second delivery that still ran when the job was over:
  // what it was about to write.
  const bool is_late = std::ranges::any_of(disturbed.left_s, [&](double s) { return s > late_s; });
  // And a store that restarts empty between the name of a key, in its index, and the value
  // (storage/key_index.h).
  const bool may_leave = disturbed.began_anew ||
                         (has(Kind::invoked_again) && !(is_told && is_late)) ||
                         (has(Kind::forgets) && of.profile.stores.front().keeps_index);
  if (!disturbed.left.empty() && !may_leave)
    return fmt::format("{} keys are left in the channel, e.g. {}", disturbed.left.size(),
                       disturbed.left.front());
  return {};
}

std::vector<PlannedFault> shrink(const Case& of, std::vector<PlannedFault> faults,
                                 const Outcome& undisturbed, Defect defect) {
  for (std::size_t i = 0; i < faults.size();) {
    std::vector<PlannedFault> fewer = faults;
    fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(i));
    if (complaint(of, fewer, undisturbed, run(of, fewer, defect)).empty())
      ++i;
    else
      faults = std::move(fewer);
  }
  return faults;
}

}  // namespace lambdaml::chaos
