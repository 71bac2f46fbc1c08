#include "lambdaml/job/unused_options.h"

#include <algorithm>
#include <functional>

#include "lambdaml/base/error.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/option_sets.h"
#include "lambdaml/base/text.h"
#include "lambdaml/comm/registry.h"
#include "lambdaml/data/registry.h"
#include "lambdaml/faas/registry.h"
#include "lambdaml/job/optimizer_choice.h"
#include "lambdaml/model/registry.h"
#include "lambdaml/optim/registry.h"

namespace lambdaml::job {
namespace {

/// One kind of plug-ins, and the job's choice among them.
struct Kind {
  std::string option;  ///< that makes the choice
  std::string chosen;  ///< the plug-in's name; empty: it follows from the data
  bool by_default = false;
  struct Owner {
    std::string name;
    std::vector<Option> options;
  };
  std::vector<Owner> owners;
};

template <class Registry>
std::vector<Kind::Owner> owners_in(const Registry& registry) {
  std::vector<Kind::Owner> owners;
  for (const auto& plugin : registry.entries()) owners.push_back({plugin.name, plugin.options});
  return owners;
}

/// The plug-in that a value of --format selects; "" for `auto`.
std::string format_chosen(const std::string& value) {
  for (const data::Plugin& plugin : data::registry().entries())
    if (plugin.name == value || std::ranges::find(plugin.formats, value) != plugin.formats.end())
      return plugin.name;
  return "";
}

std::vector<Kind> kinds_of(const Options& options) {
  const model::Plugin* model = model::find_by_value(options.text("model"));
  const bool model_given = options.is_set("model");
  const bool optim_given = options.is_set("optim");
  const std::string optim =
      model == nullptr ? options.text("optim") : choose_optimizer(options, *model);
  return {
      {"model", model == nullptr ? "" : model->name, !model_given, owners_in(model::registry())},
      // Whoever chose the model chose the optimizer that it prefers.
      {"optim", optim, !optim_given && !model_given, owners_in(optim::registry())},
      {"sync_mode", options.text("sync_mode"), !options.is_set("sync_mode"),
       owners_in(comm::registry())},
      {"platform", options.text("platform"), !options.is_set("platform"),
       owners_in(faas::registry())},
      {"format", format_chosen(options.text("format")), false, owners_in(data::registry())}};
}

/// The option's need that the job does not meet.
std::optional<UnusedOption> unmet_need(const Options& options, const Option& option) {
  for (const Option::Need& need : option.needs) {
    if (options.find(need.option) == nullptr) continue;
    const std::string chosen = to_text(options.value(need.option));
    const std::string choice = chosen.substr(0, chosen.find(':'));  // of NAME:FILE
    if (std::ranges::find(need.values, choice) == need.values.end())
      return UnusedOption{option.name, need.option, need.values, chosen,
                          !options.is_set(need.option)};
  }
  return {};
}

bool declares(const Kind::Owner& owner, const std::string& option) {
  return std::ranges::find(owner.options, option, &Option::name) != owner.options.end();
}

std::vector<UnusedOption> unused_among(const Options& options,
                                       const std::function<bool(const Option&)>& is_looked_at) {
  const std::vector<Kind> kinds = kinds_of(options);
  std::vector<UnusedOption> out;
  for (const Option& option : options.declared()) {
    if (!is_looked_at(option)) continue;
    std::optional<UnusedOption> unused;
    bool is_used = false;
    for (const Kind& kind : kinds)
      for (const Kind::Owner& owner : kind.owners) {
        if (!declares(owner, option.name)) continue;
        is_used = is_used || kind.chosen.empty() || owner.name == kind.chosen;
        if (!unused)
          unused = UnusedOption{option.name, kind.option, {}, kind.chosen, kind.by_default};
        if (unused->kind == kind.option) unused->owners.push_back(owner.name);
      }
    if (!unused || is_used) unused = unmet_need(options, option);
    if (unused) out.push_back(*unused);
  }
  return out;
}

std::string owners_text(const UnusedOption& unused) { return join(unused.owners, " or "); }

/// Those that were typed, also with the value that they have anyway.
std::vector<UnusedOption> unused_typed(const Options& options, const Options& typed) {
  return unused_among(options, [&](const Option& one) {
    return typed.find(one.name) != nullptr && typed.is_set(one.name);
  });
}

void warn_of(const std::vector<UnusedOption>& all) {
  for (const UnusedOption& unused : all)
    log::warn_once(fmt::format("{} has no effect: it belongs to {} {}, and the job has {} {}",
                               unused.name, unused.kind, owners_text(unused), unused.kind,
                               unused.chosen));
}

}  // namespace

std::vector<UnusedOption> unused_options(const Options& options) {
  return unused_among(options, [&](const Option& one) { return is_changed(options, one.name); });
}

void require_used(const Options& options, const Options& typed) {
  for (const UnusedOption& unused : unused_typed(options, typed))
    if (unused.by_default)
      fail(Code::invalid_argument,
           "{}: it belongs to {} {}, and without another choice the job has {} {}: add {} {}, or "
           "leave {} out",
           unused.name, unused.kind, owners_text(unused), unused.kind, unused.chosen,
           flag_of(unused.kind), unused.owners.front(), unused.name);
}

void warn_of_unused(const Options& options) { warn_of(unused_options(options)); }

void warn_of_unused(const Options& options, const Options& typed) {
  warn_of(unused_typed(options, typed));
}

}  // namespace lambdaml::job
