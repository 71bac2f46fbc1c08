#include "job.h"

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>
#include <pybind11/stl.h>

#include "dataset.h"
#include "gil.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/uri.h"
#include "lambdaml/dashboard/live_views.h"
#include "lambdaml/job/given.h"
#include "lambdaml/job/job.h"
#include "lambdaml/job/job_file.h"
#include "lambdaml/job/options.h"
#include "lambdaml/job/unused_options.h"
#include "lambdaml/predict/quality.h"
#include "lambdaml/trigger/prediction.h"
#include "lambdaml/trigger/trigger.h"
#include "lambdaml/tune/search.h"
#include "work.h"

namespace lambdaml::python {
namespace {

namespace py = pybind11;
using nlohmann::ordered_json;

/// Hands on what happens in a job.
class Events final : public trigger::Observer {
 public:
  explicit Events(Progress& progress) : progress_(progress) {}

  void starting(const trigger::JobStart& job) override {
    progress_.add({{"event", "start"},
                   {"job_id", job.job_id},
                   {"folder", std::filesystem::absolute(job.folder).string()},
                   {"model", job.model},
                   {"optimizer", job.optimizer},
                   {"rows", job.rows},
                   {"features", job.features},
                   {"workers", job.workers},
                   {"epochs", job.epochs},
                   {"memory_mb", job.memory_mb}});
  }
  void epoch_done(const job::EpochMetrics& metrics) override {
    ordered_json values = ordered_json::object();
    for (const auto& [name, value] : metrics.values) values[name] = value;
    progress_.add({{"event", "epoch"}, {"epoch", metrics.epoch}, {"metrics", values}});
  }
  void tick(std::uint32_t workers_alive, std::uint64_t epoch, std::uint64_t round,
            std::uint64_t rounds) override {
    progress_.set_state({{"event", "tick"},
                         {"workers_alive", workers_alive},
                         {"epoch", epoch},
                         {"round", round},
                         {"rounds", rounds}});
  }
  void worker_failed(std::size_t worker, const faas::EventStatus& status, bool again) override {
    progress_.add({{"event", "worker_failed"},
                   {"worker", worker},
                   {"attempts", status.attempts},
                   {"error", status.error_message},
                   {"again", again}});
  }

 private:
  Progress& progress_;
};

dashboard::Serving serving_by(Progress& progress) {
  return [&progress](const auto& what, const auto& url) { progress.serving(what, url); };
}

trigger::InMemory in_memory(const Dataset* data, const Dataset* test) {
  trigger::InMemory out;
  if (data != nullptr) out.data = data->rows();
  if (test != nullptr) out.test = test->rows();
  return out;
}

const Dataset* dataset_of(const py::object& object) {
  return object.is_none() ? nullptr : object.cast<const Dataset*>();
}

/// Those given are all: whoever calls this has said what is to be learned.
Options options_without_environment(const Options& typed) {
  Options options = typed;
  job::require_used(options, typed);
  job::resolve(options);
  return options;
}

std::unique_ptr<Job> train(const std::string& file, const std::optional<std::string>& text,
                           const Pairs& typed, const py::object& data, const py::object& test,
                           bool environment) {
  const AtWork at_work;
  job::Given given{
      .file = file, .text = text, .section = tune::kSection, .typed = job::job_options()};
  parse(given.typed, typed);
  const Options options = unlocked([&] {
    return environment ? job::options_of(given) : options_without_environment(given.typed);
  });
  return std::make_unique<Job>(
      [options, memory = in_memory(dataset_of(data), dataset_of(test))](Progress& progress) {
        Events events(progress);
        dashboard::LiveViews views(options, events, serving_by(progress));
        return trigger::train(options, views, memory);
      },
      std::vector<py::object>{data, test});
}

std::unique_ptr<Job> resume(const std::string& run, const Pairs& changed, const py::object& data,
                            const py::object& test) {
  Options options = job::options_of_resuming();
  parse(options, changed);
  return std::make_unique<Job>(
      [run, options, memory = in_memory(dataset_of(data), dataset_of(test))](Progress& progress) {
        Events events(progress);
        dashboard::LiveViews views(options, events, serving_by(progress));
        return trigger::resume(path_of_file_uri(run), views, options, memory);
      },
      std::vector<py::object>{data, test});
}

/// `lambdaml predict --to`.
std::unique_ptr<Job> predict(const std::string& model, const std::string& data,
                             const std::string& to, const std::string& out_format,
                             bool probabilities, bool scores, bool ignore_labels,
                             const Pairs& typed) {
  const trigger::Prediction prediction{
      .model = model,
      .data = data,
      .to = to,
      .out_format = out_format,
      .request = {.shown = {.class_scores = scores, .probabilities = probabilities},
                  .ignore_labels = ignore_labels}};
  Options options = trigger::options_of_predictions();
  job::read_environment(options);
  parse(options, typed);
  return std::make_unique<Job>([prediction, options, to](Progress&) {
    const trigger::PredictionEnd end = trigger::predict_in_functions(prediction, options);
    ordered_json out = predict::json_of(end.quality, *end.plugin, end.shape);
    out["job_id"] = end.job_id;
    out["workers"] = end.workers;
    out["parts"] = end.parts;
    out["path"] = Uri::parse(to).display();
    return out;
  });
}

}  // namespace

void add_jobs(py::module_& module) {
  module.def("train", train, py::arg("file"), py::arg("text"), py::arg("typed"),
             py::arg("data") = py::none(), py::arg("test") = py::none(),
             py::arg("environment") = true);
  module.def("resume", resume, py::arg("run"), py::arg("changed"), py::arg("data") = py::none(),
             py::arg("test") = py::none());
  module.def("predict", predict, py::arg("model"), py::arg("data"), py::arg("to"),
             py::arg("out_format"), py::arg("probabilities"), py::arg("scores"),
             py::arg("ignore_labels"), py::arg("typed"));
}

}  // namespace lambdaml::python
