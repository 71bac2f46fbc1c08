#include <algorithm>
#include <filesystem>
#include <initializer_list>
#include <map>
#include <memory>
#include <utility>

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
  plan::WaysAsked ways;
  plan::PilotSettings pilots;
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

ordered_json json_of(const plan::Epochs& epochs) {
  return {{"least", epochs.least}, {"median", epochs.median}, {"most", epochs.most}};
}

ordered_json json_of(const Candidate& one, const plan::ResolvedWay& by,
                     const sim::Profile& profile) {
  return {{"optim", by.optimizer},
          {"batch_size", by.batch_size},
          {"way", by.way.options},
          {"epochs", json_of(one.epochs)},
          {"channel", one.channel},
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

/// "-" for a way whose batches change nothing.
std::string batch_of(const plan::ResolvedWay& by) {
  return by.has_batches ? std::to_string(by.batch_size) : "-";
}

std::string text_of(const Candidate& one, const plan::Plan& plan) {
  std::string out =
      fmt::format("{} workers of {} MB over {}, {} aggregator{}", one.workers, one.memory_mb,
                  one.channel, one.aggregators, one.aggregators == 1 ? "" : "s");
  if (const plan::Way& way = plan.ways[one.way].way; !way.options.empty())
    out += ", by " + way.text();
  return out;
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
  const plan::ResolvedWay& by = planned.plan.ways[one.way];
  const bool has_spread = one.is_simulated || one.seconds_p10 < one.seconds_p90;
  print_line(fmt::format("{:>9} {:>19} {:>9.3g} {:>16} {:>7} {:>5} MB {:>11} {:>9} {:>6} {:>6g}{}",
                         human_seconds(one.seconds),
                         has_spread ? fmt::format("{} to {}", human_seconds(one.seconds_p10),
                                                  human_seconds(one.seconds_p90))
                                    : "-",
                         one.usd, one.channel, one.workers, one.memory_mb, one.aggregators,
                         by.optimizer, batch_of(by), one.epochs.median, notes));
}

/// What was learned of the goal, and what was not.
void print_pilots(const Planned& planned) {
  const plan::Plan& plan = planned.plan;
  const Options& job = planned.question.job;
  if (plan.pilots) {
    const plan::PilotReport& pilots = *plan.pilots;
    print_line(
        fmt::format("pilot     {} trainings of {} of {:.0f} rows to {}, {} repetition{}, in {}{}",
                    pilots.pilots, pilots.rows, pilots.all_rows, job.text("until"), pilots.repeats,
                    pilots.repeats == 1 ? "" : "s", human_seconds(pilots.seconds),
                    pilots.is_cut ? ", which --pilot-seconds ended" : ""));
  }
  if (!plan.missed.empty())
    print_line(fmt::format("          not reached by {}", join(plan.missed, "; ")));
  const auto is_known = [](const plan::ResolvedWay& by) { return by.way.is_known; };
  const bool is_varied = plan.ways.size() > 1 && std::ranges::none_of(plan.ways, is_known);
  if (!plan.pilots && is_varied)
    print_line(
        "note      epochs are as many for all batch sizes, whose models are not equally good: "
        "a goal (--until) compares them");
}

void print_plan(const Planned& planned) {
  const plan::Plan& plan = planned.plan;
  print_line(fmt::format("{:>9} {:>19} {:>9} {:>16} {:>7} {:>8} {:>11} {:>9} {:>6} {:>6}", "time",
                         "p10 to p90", "dollars", "channel", "workers", "memory", "aggregators",
                         "optimizer", "batch", "epochs"));
  for (const Candidate* one : shown(plan)) print_candidate(*one, planned);
  for (const plan::OnHost& host : plan.hosts)
    print_line(fmt::format("{:>9} {:>19} {:>9.3g} {:>16}", human_seconds(host.seconds), "-",
                           host.usd, "one " + host.name));
  const auto simulated =
      std::ranges::count_if(plan.candidates, [](const Candidate& one) { return one.is_simulated; });
  print_line(fmt::format("{} ways considered, {} simulated, with {:.3g} s of computing a row",
                         plan.considered, simulated, planned.question.seconds_per_row));
  print_pilots(planned);
  if (!plan.best) return;
  const Candidate& best = plan.candidates.front();
  print_line(why_of(best));
  for (const plan::Change& change : plan.changes)
    print_line(
        fmt::format("if        {}: {}", change.when, text_of(plan.candidates[change.best], plan)));
}

void emit_spread(YAML::Emitter& out, const char* name,
                 std::initializer_list<std::pair<const char*, double>> spread) {
  out << YAML::Key << name << YAML::Value << YAML::Flow << YAML::BeginMap;
  for (const auto& [which, value] : spread) out << YAML::Key << which << YAML::Value << value;
  out << YAML::EndMap;
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
  for (const auto& [name, value] : planned.plan.ways[one.way].way.options) out[name] = value;
  out["workers"] = std::to_string(one.workers);
  out["memory_mb"] = std::to_string(one.memory_mb);
  if (!planned.question.profile.store(one.channel).adds)
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
    const plan::ResolvedWay& by = planned.plan.ways[one->way];
    out << YAML::Key << "optim" << YAML::Value << by.optimizer;
    out << YAML::Key << "batch_size" << YAML::Value << by.batch_size;
    emit_spread(
        out, "epochs",
        {{"least", one->epochs.least}, {"median", one->epochs.median}, {"most", one->epochs.most}});
    out << YAML::Key << "channel" << YAML::Value << one->channel;
    emit_spread(out, "seconds",
                {{"p10", one->seconds_p10}, {"p50", one->seconds}, {"p90", one->seconds_p90}});
    emit_spread(out, "usd", {{"p10", one->usd_p10}, {"p50", one->usd}, {"p90", one->usd_p90}});
    out << YAML::Key << "servers_usd" << YAML::Value << one->servers_usd;
    out << YAML::Key << "options" << YAML::Value << YAML::BeginMap;
    for (const auto& [name, value] : options_of(*one, planned))
      out << YAML::Key << name << YAML::Value << value;
    out << YAML::EndMap << YAML::EndMap;
  }
  out << YAML::EndSeq << YAML::EndMap;
  return std::string(out.c_str()) + "\n";
}

/// null if there were none.
ordered_json json_of_pilots(const Planned& planned) {
  if (!planned.plan.pilots) return nullptr;
  const plan::PilotReport& pilots = *planned.plan.pilots;
  ordered_json left_out = ordered_json::array();
  for (std::size_t way = 0; way < pilots.errors.size(); ++way)
    if (!pilots.errors[way].empty())
      left_out.push_back(
          {{"way", planned.plan.ways[way].way.options}, {"error", pilots.errors[way]}});
  return {{"goal", planned.question.job.text("until")},
          {"rows", pilots.rows},
          {"all_rows", pilots.all_rows},
          {"trainings", pilots.pilots},
          {"repetitions", pilots.repeats},
          {"seconds", pilots.seconds},
          {"ended_early", pilots.is_cut},
          {"not_reached", planned.plan.missed},
          {"left_out", std::move(left_out)}};
}

void print_as_json(const Planned& planned) {
  const plan::Plan& plan = planned.plan;
  const sim::Profile& profile = planned.question.profile;
  ordered_json candidates = ordered_json::array();
  for (const Candidate& one : plan.candidates)
    candidates.push_back(json_of(one, plan.ways[one.way], profile));
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
                                    {"pilot", json_of_pilots(planned)},
                                    {"profile", profile.name},
                                    {"seconds_per_row", planned.question.seconds_per_row}}));
}

plan::Question question_of(const PlanFlags& flags) {
  job::Given given{
      .file = flags.job->job_file(), .section = tune::kSection, .typed = job::job_options()};
  flags.job->apply_to(given.typed);
  plan::Question out;
  out.job = job::unresolved_options_of(given);
  out.profile = flags.world.world_of(out.job);
  out.aim = kAims.at(flags.optimize);
  out.most_workers = flags.most_workers;
  out.deadline_s = out.job.real("deadline");
  out.budget_usd = out.job.real("budget");
  // They are limits of the plan, not of its simulations.
  for (const char* limit : {"deadline", "budget"}) out.job.set(limit, Option::Value(0.0), limit);
  out.data = flags.world.stand_in(out.job);
  plan::WaysAsked asked = flags.ways;
  // Random rows have nothing to learn that the job's have.
  asked.has_pilots = !out.data && flags.pilots.seconds > 0;
  out.ways = plan::ways_of(out.job, asked);
  out.pilots = flags.pilots;
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
       human_seconds(nearest.seconds_p90), nearest.usd_p90, text_of(nearest, planned.plan));
}

}  // namespace

void add_plan_command(CLI::App& app, Globals& globals) {
  CLI::App* command =
      add_command(app, globals, "plan", "find the channel, workers, memory and batch for a job");
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
  command
      ->add_option("--optims", flags->ways.optims,
                   "optimizers to compare, for a job with a goal (--until) [that of the job, or "
                   "all that can train its model]")
      ->delimiter(',')
      ->allow_extra_args(false);
  command
      ->add_option("--batch-sizes", flags->ways.batch_sizes,
                   "batch sizes to compare; without a goal (--until) for as many epochs [with one, "
                   "that of the job, a quarter and four times of it]")
      ->delimiter(',')
      ->allow_extra_args(false);
  command
      ->add_option("--way", flags->ways.ways,
                   "a way to train to compare, as optim=grad_avg,batch_size=100,epochs=8; with "
                   "epochs, which are known to be enough, no pilot is run; may be repeated")
      ->type_size(1)
      ->allow_extra_args(false);
  command
      ->add_option(
          "--pilot-seconds", flags->pilots.seconds,
          "how long to train on a sample for the epochs that the goal takes; 0: not at all "
          "[10]")
      ->check(CLI::Range(0.0, 1e6));
  command->add_option("--pilot-rows", flags->pilots.rows, "rows of that sample, at most [20000]")
      ->check(CLI::Range(1, 1'000'000'000));
  command->add_option("-o,--out", flags->out, "where the plan goes, as YAML [plan.yaml]");
  command->callback([flags, &globals] { run_plan(*flags, globals); });
}

}  // namespace lambdaml::cli
