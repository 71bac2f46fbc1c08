#include "lambdaml/plan/ways.h"

#include <algorithm>

#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"
#include "lambdaml/job/optimizer_choice.h"
#include "lambdaml/job/options.h"
#include "lambdaml/job/subjects.h"
#include "lambdaml/model/registry.h"
#include "lambdaml/optim/registry.h"

namespace lambdaml::plan {
namespace {

const model::Plugin& model_of(const Options& job) {
  const model::Plugin* const found = model::find_by_value(job.text("model"));
  return found != nullptr ? *found : model::registry().get(job.text("model"));
}

std::string optimizer_of(const Options& job) { return job::choose_optimizer(job, model_of(job)); }

bool has_goal(const Options& job) { return !job.text("until").empty(); }

/// Whether the option says how a model is trained, and not which, where or how well.
bool is_of_training(const std::string& name) {
  return job::subject_of(name) == "Training" && name != "until";
}

/// Of NAME=VALUE,…
Way parsed(const std::string& text, const Options& job, bool has_pilots) {
  Way out;
  for (const std::string& part : split(text, ',')) {
    const std::size_t equals = part.find('=');
    if (equals == std::string::npos)
      fail(Code::invalid_argument, "way '{}': write it as optim=grad_avg,batch_size=100,epochs=8",
           printable(text));
    const std::string name{trim(std::string_view(part).substr(0, equals))};
    const Option* const option = job.find(name);
    out.options[option == nullptr ? name : option->name] =
        trim(std::string_view(part).substr(equals + 1));
  }
  const Options applied = out.applied_to(job);
  for (const auto& [name, value] : out.options)
    if (!is_of_training(name))
      fail(Code::invalid_argument, "way '{}': {} does not say how the model is trained",
           printable(text), name);
  const std::string epochs = optim::registry().get(optimizer_of(applied)).epochs_option;
  out.is_known = out.options.contains(epochs);
  if (!out.is_known && !(has_goal(job) && has_pilots))
    fail(Code::invalid_argument,
         "way '{}': say how many epochs it takes with {}=N, or give a goal for a pilot: --until "
         "valid_loss<=0.5",
         printable(text), epochs);
  return out;
}

/// A quarter, once and four times as many rows.
std::vector<std::string> batch_sizes_near(const Options& job) {
  const std::int64_t rows = std::max<std::int64_t>(1, job.integer("batch_size"));
  std::vector<std::string> out;
  for (const std::int64_t near : {rows, rows / 4, 4 * rows})
    if (near >= 1) out.push_back(std::to_string(near));
  return out;
}

std::vector<std::string> optimizers_for(const Options& job, const WaysAsked& asked) {
  if (!asked.optims.empty()) return asked.optims;
  std::vector<std::string> out{optimizer_of(job)};
  if (job.is_set("optim") || !has_goal(job)) return out;
  for (const std::string& name : optim::registry().names())
    if (name != out.front()) out.push_back(name);
  return out;
}

void add(Way way, std::vector<Way>& all) {
  const auto is_same = [&](const Way& one) { return one.options == way.options; };
  if (std::ranges::none_of(all, is_same)) all.push_back(std::move(way));
}

void add_product(const Options& job, const WaysAsked& asked, std::vector<Way>& all) {
  for (const std::string& optim : optimizers_for(job, asked)) {
    const bool is_own = optim == optimizer_of(job);
    Way way{.options = {{"optim", optim}}, .is_offered = asked.optims.empty() && !is_own};
    const optim::Plugin& plugin = optim::registry().get(optim);
    std::vector<std::string> sizes = asked.batch_sizes;
    if (plugin.whole_passes) sizes.clear();
    if (sizes.empty() && plugin.pace != optim::Pace::epochs && has_goal(job))
      sizes = batch_sizes_near(way.applied_to(job));
    if (sizes.empty()) add(way, all);
    for (const std::string& size : sizes) {
      way.options["batch_size"] = size;
      way.applied_to(job);  // checks it
      add(way, all);
    }
  }
}

}  // namespace

Options Way::applied_to(const Options& job) const {
  Options out = job;
  for (const auto& [name, value] : options) out.parse(name, value, "a way to train");
  return out;
}

std::string Way::text() const {
  std::vector<std::string> parts;
  for (const auto& [name, value] : options) parts.push_back(name + "=" + value);
  return join(parts, ", ");
}

std::vector<Way> ways_of(const Options& job, const WaysAsked& asked) {
  const bool has_pilots = asked.has_pilots && has_goal(job);
  if (!asked.optims.empty() && !has_pilots)
    fail(Code::invalid_argument,
         "optimizers need different numbers of epochs, which only a goal for a pilot shows: give "
         "--until valid_loss<=0.5, or say them: --way optim={},epochs=N",
         asked.optims.front());
  std::vector<Way> out;
  const bool is_asked = !asked.optims.empty() || !asked.batch_sizes.empty();
  if (is_asked || (asked.ways.empty() && has_pilots)) add_product(job, asked, out);
  for (const std::string& text : asked.ways) add(parsed(text, job, asked.has_pilots), out);
  return out;
}

}  // namespace lambdaml::plan
