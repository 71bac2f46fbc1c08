#include "lambdaml/job/optimizer_choice.h"

#include <algorithm>
#include <optional>

#include "lambdaml/base/error.h"
#include "lambdaml/base/option_sets.h"
#include "lambdaml/comm/registry.h"
#include "lambdaml/optim/registry.h"

namespace lambdaml::job {
namespace {

template <class Plugin>
bool declares(const Plugin& plugin, const std::string& option) {
  return std::ranges::find(plugin.options, option, &Option::name) != plugin.options.end();
}

/// Whether another of the model's preferred optimizers was meant by one of the options.
bool lacks_an_option(const optim::Plugin& optimizer, const Options& options,
                     const model::Plugin& model) {
  const auto is_an_optimizers = [&](const std::string& option) {
    return std::ranges::any_of(model.optimizers, [&](const std::string& name) {
      return declares(optim::registry().get(name), option);
    });
  };
  return std::ranges::any_of(options.declared(), [&](const Option& option) {
    return options.is_set(option.name) && is_an_optimizers(option.name) &&
           !declares(optimizer, option.name);
  });
}

/// An option of the model and the value for which an optimizer is made.
struct Preference {
  std::string option;
  std::string value;
};

/// The first option of the model that is set to another value than the one for which the optimizer
/// is made. `auto` leaves the choice open, so that no other value contradicts it.
std::optional<Preference> contradicted(const optim::Plugin& optimizer, const Options& options,
                                       const model::Plugin& model) {
  if (!optimizer.defaults) return {};
  for (const auto& [name, value] : optimizer.defaults(options))
    if (declares(model, name) && value != "auto" && options.is_set(name) &&
        to_text(options.value(name)) != value)
      return Preference{name, value};
  return {};
}

bool can_serve(const optim::Plugin& optimizer, const Options& options, const model::Plugin& model) {
  if (optimizer.whole_passes && options.is_set("batch_size")) return false;
  const comm::Plugin* pattern = comm::registry().find(options.text("sync_mode"));
  if (optimizer.needs_all_workers && pattern != nullptr && !pattern->bulk_synchronous) return false;
  if (!optimizer.merges_increments && is_changed(options, "compress")) return false;
  return !lacks_an_option(optimizer, options, model) && !contradicted(optimizer, options, model);
}

}  // namespace

std::string choose_optimizer(const Options& options, const model::Plugin& model) {
  if (options.is_set("optim")) return options.text("optim");
  for (const std::string& name : model.optimizers)
    if (can_serve(optim::registry().get(name), options, model)) return name;
  return model.optimizers.back();
}

void check_optimizer(const Options& options, const model::Plugin& model) {
  const optim::Plugin& optimizer = optim::registry().get(options.text("optim"));
  const std::optional<Preference> preferred = contradicted(optimizer, options, model);
  if (!preferred) return;
  const std::string given = to_text(options.value(preferred->option));
  std::string others;
  for (const std::string& name : model.optimizers)
    if (!contradicted(optim::registry().get(name), options, model))
      others += fmt::format(", or use --optim {}", name);
  fail(Code::invalid_argument, "{} {}: the optimizer {} trains {} with {} only: leave out {}{}",
       preferred->option, given, optimizer.name, model.name, preferred->value,
       flag_of(preferred->option), others);
}

}  // namespace lambdaml::job
