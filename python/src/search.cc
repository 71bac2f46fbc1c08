#include "search.h"

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <nlohmann/json.hpp>
#include <pybind11/stl.h>

#include "gil.h"
#include "lambdaml/base/json.h"
#include "lambdaml/dashboard/live_views.h"
#include "lambdaml/job/job_file.h"
#include "lambdaml/job/options.h"
#include "lambdaml/tune/local_search.h"
#include "work.h"

namespace lambdaml::python {
namespace {

namespace py = pybind11;
using nlohmann::ordered_json;

ordered_json json_of_trial(const tune::TrialView& trial) {
  ordered_json out{{"trial", trial.trial},
                   {"state", trial.state},
                   {"epoch", trial.epoch},
                   {"epochs", trial.epochs},
                   {"cost_usd", trial.cost_usd}};
  ordered_json& options = out["options"] = ordered_json::object();
  for (const auto& [name, value] : trial.parameters)
    std::visit([&, name = name](const auto& one) { options[name] = one; }, value);
  out["value"] = trial.value ? ordered_json(*trial.value) : ordered_json();
  if (!trial.reason.empty()) out["reason"] = trial.reason;
  return out;
}

/// Hands on how a search stands.
class Trials final : public tune::Observer {
 public:
  explicit Trials(Progress& progress) : progress_(progress) {}

  void changed(const tune::View& view) override {
    ordered_json trials = ordered_json::array();
    for (const tune::TrialView& trial : view.trials) trials.push_back(json_of_trial(trial));
    ordered_json state{{"event", "trials"},
                       {"trials", std::move(trials)},
                       {"trials_expected", view.trials_expected},
                       {"cost_usd", view.cost_usd}};
    if (view.best != nullptr) state["best"] = view.best->trial;
    progress_.set_state(std::move(state));
  }

 private:
  Progress& progress_;
};

/// `of_jobs`: options that were given for this time (metrics_port, dashboard).
ordered_json run_search(tune::LocalSearch search, const Options& changed, const Pairs& of_jobs,
                        Progress& progress) {
  progress.add({{"event", "start"},
                {"search_id", search.search().id},
                {"folder", std::filesystem::absolute(search.path()).string()},
                {"metric", search.search().settings.text("metric")}});
  Trials trials(progress);
  Options shown = search.search().job;
  parse(shown, of_jobs);
  dashboard::LiveSearch views(
      shown, search.path(), search.search().settings.text("metric"), trials,
      [&progress](const auto& what, const auto& url) { progress.serving(what, url); });
  tune::LocalSearch::End end = search.run(changed, views);
  return {{"summary", std::move(end.summary)}, {"over", end.over}, {"limit", end.limit}};
}

std::unique_ptr<Job> begin_search(const std::string& file, const std::optional<std::string>& text,
                                  const Pairs& job, const Pairs& settings) {
  const AtWork at_work;
  tune::Given given{
      .file = file, .text = text, .job = job::job_options(), .settings = tune::search_options()};
  parse(given.job, job);
  parse(given.settings, settings);
  return std::make_unique<Job>([given](Progress& progress) {
    return run_search(tune::LocalSearch::begin(given), given.settings, {}, progress);
  });
}

std::unique_ptr<Job> resume_search(const std::string& search, const Pairs& job,
                                   const Pairs& settings) {
  const AtWork at_work;
  Options changed = tune::search_options();
  parse(changed, settings);
  return std::make_unique<Job>([search, job, changed](Progress& progress) {
    return run_search(tune::LocalSearch::open(search), changed, job, progress);
  });
}

std::vector<std::string> search_settings() {
  const Options options = tune::search_options();
  std::vector<std::string> out;
  for (const Option& option : options.declared()) out.push_back(option.name);
  return out;
}

}  // namespace

void add_search(py::module_& module) {
  module.def("tune", begin_search, py::arg("file"), py::arg("text"), py::arg("job"),
             py::arg("settings"));
  module.def("resume_search", resume_search, py::arg("search"), py::arg("job"),
             py::arg("settings"));
  module.def("search_settings", search_settings);
}

}  // namespace lambdaml::python
