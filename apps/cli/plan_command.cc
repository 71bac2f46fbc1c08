#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>

#include <nlohmann/json.hpp>
#include <yaml-cpp/yaml.h>

#include "apps/cli/command.h"
#include "apps/cli/option_flags.h"
#include "apps/cli/output.h"
#include "apps/cli/world_flags.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/programs/command.h"
#include "lambdaml/base/text.h"
#include "lambdaml/job/given.h"
#include "lambdaml/job/options.h"
#include "lambdaml/plan/planner.h"
#include "lambdaml/storage/registry.h"
#include "lambdaml/tune/search.h"

namespace lambdaml::cli {
namespace {

using nlohmann::ordered_json;
using plan::Candidate;

struct PlanFlags {
  WorldFlags world;
  std::string optimize = "product";
  std::string out = "plan.yaml";
  std::int64_t most_workers = 256;
  std::optional<OptionFlags> job;
};

const std::map<std::string, plan::Aim> kAims = {
    {"time", plan::Aim::time}, {"cost", plan::Aim::cost}, {"product", plan::Aim::product}};

/// A plan, and what it was asked about.
struct Planned {
  plan::Question question;
  plan::Plan plan;
  std::string job_file, place;               ///< of the job and of the plan
  std::map<std::string, std::string> typed;  ///< options that `train` needs, too
};

/// Whether this build has the store that the candidate's channel stands for.
bool is_supported(const sim::Profile& profile, const Candidate& candidate) {
  return storage::registry().find(profile.store(candidate.channel).scheme) != nullptr;
}

ordered_json json_of(const Candidate& one, const sim::Profile& profile) {
  return {{"channel", one.channel},
          {"workers", one.workers},
          {"memory_mb", one.memory_mb},
          {"aggregators", one.aggregators},
          {"seconds", {{"p10", one.seconds_p10}, {"p50", one.seconds}, {"p90", one.seconds_p90}}},
          {"usd", {{"p10", one.usd_p10}, {"p50", one.usd}, {"p90", one.usd_p90}}},
          {"servers_usd", one.servers_usd},
          {"seconds_of",
           {{"start", one.start_s}, {"compute", one.compute_s}, {"rounds", one.rounds_s}}},
          {"rounds", one.rounds},
          {"requests", one.requests},
          {"simulated", one.is_simulated},
          {"pareto", one.is_on_front},
          {"meets_limits", one.meets_limits},
          {"supported", is_supported(profile, one)}};
}

/// What is shown: the best one, and those that no other beats in both time and dollars.
std::vector<const Candidate*> shown(const plan::Plan& plan) {
  std::vector<const Candidate*> out;
  for (const Candidate& one : plan.candidates)
    if (one.is_on_front || &one == &plan.candidates.front()) out.push_back(&one);
  std::ranges::stable_sort(out, {}, [](const Candidate* one) { return one->seconds; });
  return out;
}

std::string text_of(const Candidate& one) {
  return fmt::format("{} workers of {} MB over {}, {} aggregator{}", one.workers, one.memory_mb,
                     one.channel, one.aggregators, one.aggregators == 1 ? "" : "s");
}

std::string why_of(const Candidate& best) {
  const double rest = std::max(0.0, best.seconds - best.start_s - best.compute_s - best.rounds_s);
  const double all = best.start_s + best.compute_s + best.rounds_s + rest;
  const auto share = [&](double part) { return all > 0 ? 100 * part / all : 0; };
  return fmt::format(
      "why       of its time {:.0f} % is computing, {:.0f} % rounds, {:.0f} % starts, {:.0f} % "
      "loading and the end",
      share(best.compute_s), share(best.rounds_s), share(best.start_s), share(rest));
}

void print_candidate(const Candidate& one, const Planned& planned) {
  const bool is_best = planned.plan.best && &one == &planned.plan.candidates.front();
  std::string notes = one.is_simulated ? "" : "  estimated";
  if (!is_supported(planned.question.profile, one)) notes += "  not in this build";
  if (is_best) notes += "  <- best";
  print_line(fmt::format(
      "{:>9} {:>19} {:>10.3g} {:>21} {:>8} {:>7} MB {:>12}{}", human_seconds(one.seconds),
      one.is_simulated
          ? fmt::format("{} to {}", human_seconds(one.seconds_p10), human_seconds(one.seconds_p90))
          : "-",
      one.usd, one.channel, one.workers, one.memory_mb, one.aggregators, notes));
}

void print_plan(const Planned& planned) {
  const plan::Plan& plan = planned.plan;
  print_line(fmt::format("{:>9} {:>19} {:>10} {:>21} {:>8} {:>10} {:>12}", "time", "p10 to p90",
                         "dollars", "channel", "workers", "memory", "aggregators"));
  for (const Candidate* one : shown(plan)) print_candidate(*one, planned);
  for (const plan::OnHost& host : plan.hosts)
    print_line(fmt::format("{:>9} {:>19} {:>10.3g} {:>21}", human_seconds(host.seconds), "-",
                           host.usd, "one " + host.name));
  const auto simulated =
      std::ranges::count_if(plan.candidates, [](const Candidate& one) { return one.is_simulated; });
  print_line(fmt::format("{} ways considered, {} simulated, with {:.3g} s of computing a row",
                         plan.considered, simulated, planned.question.seconds_per_row));
  if (!plan.best) return;
  const Candidate& best = plan.candidates.front();
  print_line(why_of(best));
  for (const plan::Change& change : plan.changes)
    print_line(fmt::format("if        {}: {}", change.when, text_of(plan.candidates[change.best])));
}

void emit_spread(YAML::Emitter& out, const char* name, double p10, double p50, double p90) {
  out << YAML::Key << name << YAML::Value << YAML::Flow << YAML::BeginMap << YAML::Key << "p10"
      << YAML::Value << p10 << YAML::Key << "p50" << YAML::Value << p50 << YAML::Key << "p90"
      << YAML::Value << p90 << YAML::EndMap;
}

/// Options of the command line, which an entry repeats, so that `train` runs the same job: not the
/// store of a profile that --channel may name, and nothing that has a password.
std::map<std::string, std::string> typed_options(const PlanFlags& flags) {
  Options typed = job::job_options();
  flags.job->apply_to(typed);
  std::map<std::string, std::string> out;
  for (const Option& option : typed.declared()) {
    if (!typed.is_set(option.name)) continue;
    const std::string text = to_text(typed.value(option.name));
    if (text != to_text(value_without_passwords(typed.value(option.name)))) continue;
    const bool is_uri = text.find("://") != std::string::npos;
    if (option.name == "channel" && !is_uri && storage::registry().find(text) == nullptr) continue;
    out[option.name] = text;
  }
  return out;
}

/// What the candidate says comes before what was typed.
std::map<std::string, std::string> options_of(const Candidate& one, const Planned& planned) {
  std::map<std::string, std::string> out = planned.typed;
  out["workers"] = std::to_string(one.workers);
  out["memory_mb"] = std::to_string(one.memory_mb);
  out["aggregators"] = std::to_string(one.aggregators);
  return out;
}

std::string train_line(const Planned& planned, std::size_t number) {
  std::string out = "lambdaml train";
  if (!planned.job_file.empty()) out += " " + quoted_for_shell(planned.job_file);
  return out + " --plan " + quoted_for_shell(fmt::format("{}:{}", planned.place, number));
}

std::string yaml_of(const Planned& planned) {
  YAML::Emitter out;
  out << YAML::Comment(
      "Written by lambdaml plan; train --plan takes the best, or entry N: "
      "--plan plan.yaml:N");
  out << YAML::BeginMap << YAML::Key << "plan" << YAML::Value << YAML::BeginSeq;
  std::size_t number = 0;
  for (const Candidate* one : shown(planned.plan)) {
    const bool is_best = planned.plan.best && one == &planned.plan.candidates.front();
    out << YAML::BeginMap;
    out << YAML::Key << "train" << YAML::Value << train_line(planned, ++number);
    out << YAML::Key << "best" << YAML::Value << is_best;
    out << YAML::Key << "channel" << YAML::Value << one->channel;
    emit_spread(out, "seconds", one->seconds_p10, one->seconds, one->seconds_p90);
    emit_spread(out, "usd", one->usd_p10, one->usd, one->usd_p90);
    out << YAML::Key << "servers_usd" << YAML::Value << one->servers_usd;
    out << YAML::Key << "options" << YAML::Value << YAML::BeginMap;
    for (const auto& [name, value] : options_of(*one, planned))
      out << YAML::Key << name << YAML::Value << value;
    out << YAML::EndMap << YAML::EndMap;
  }
  out << YAML::EndSeq << YAML::EndMap;
  return std::string(out.c_str()) + "\n";
}

void print_as_json(const Planned& planned) {
  const plan::Plan& plan = planned.plan;
  const sim::Profile& profile = planned.question.profile;
  ordered_json candidates = ordered_json::array();
  for (const Candidate& one : plan.candidates) candidates.push_back(json_of(one, profile));
  ordered_json hosts = ordered_json::array();
  for (const plan::OnHost& host : plan.hosts)
    hosts.push_back({{"host", host.name}, {"seconds", host.seconds}, {"usd", host.usd}});
  ordered_json changes = ordered_json::array();
  for (const plan::Change& change : plan.changes)
    changes.push_back({{"if", change.when}, {"best", change.best}});
  print_json(json_text(ordered_json{{"considered", plan.considered},
                                    {"candidates", std::move(candidates)},
                                    {"best", plan.best ? ordered_json(*plan.best) : nullptr},
                                    {"changes", std::move(changes)},
                                    {"hosts", std::move(hosts)},
                                    {"profile", profile.name},
                                    {"seconds_per_row", planned.question.seconds_per_row}}));
}

plan::Question question_of(const PlanFlags& flags) {
  job::Given given{
      .file = flags.job->job_file(), .section = tune::kSection, .typed = job::job_options()};
  flags.job->apply_to(given.typed);
  plan::Question out;
  out.job = job::unresolved_options_of(given);
  out.profile = sim::Profile::open(flags.world.profile);
  out.aim = kAims.at(flags.optimize);
  out.most_workers = flags.most_workers;
  out.deadline_s = out.job.real("deadline");
  out.budget_usd = out.job.real("budget");
  // They are limits of the plan, not of its simulations.
  for (const char* limit : {"deadline", "budget"}) out.job.set(limit, Option::Value(0.0), limit);
  out.data = flags.world.stand_in(out.job);
  std::string channel = out.profile.stores.front().name;
  if (out.job.is_set("channel")) {
    channel = plan::store_for_channel(out.profile, out.job.text("channel"));
    out.channels = {channel};
  }
  out.seconds_per_row = flags.world.seconds_per_row;
  if (out.seconds_per_row < 0) {
    plan::SimulatedWorld world;
    world.profile = out.profile;
    world.channel = channel;
    world.rows = out.data;
    plan::measure_work(plan::in_world(out.job, world), world, 3);
    out.seconds_per_row = world.seconds_per_row;
    out.staging_s = world.staging_s;
    out.load_s = world.load_s;
  }
  return out;
}

void run_plan(const PlanFlags& flags, const Globals& globals) {
  Planned planned;
  planned.question = question_of(flags);
  planned.plan = plan::plan(planned.question);
  planned.job_file = flags.job->job_file();
  planned.typed = typed_options(flags);
  planned.place = flags.out;
  write_output(flags.out, as_bytes(yaml_of(planned)));
  if (globals.json)
    print_as_json(planned);
  else
    print_plan(planned);
  if (planned.plan.best) return;
  const Candidate& nearest = planned.plan.candidates.front();
  fail(Code::invalid_argument,
       "plan: nothing meets the limits; the nearest takes {} and ${:.3g}: {}",
       human_seconds(nearest.seconds_p90), nearest.usd_p90, text_of(nearest));
}

}  // namespace

void add_plan_command(CLI::App& app, Globals& globals) {
  CLI::App* command =
      add_command(app, globals, "plan", "find the channel, workers and memory for a job");
  const auto flags = std::make_shared<PlanFlags>();
  flags->job.emplace(*command, job::job_options(), true);
  flags->world.add_to(*command);
  command
      ->add_option("--optimize", flags->optimize,
                   "what is to be small: time, cost or their product [product]")
      ->check(CLI::IsMember({"time", "cost", "product"}));
  command
      ->add_option("--most-workers", flags->most_workers, "workers of the largest candidate [256]")
      ->check(CLI::Range(1, 10000));
  command->add_option("-o,--out", flags->out, "where the plan goes, as YAML [plan.yaml]");
  command->callback([flags, &globals] { run_plan(*flags, globals); });
}

}  // namespace lambdaml::cli
