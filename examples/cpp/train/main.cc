// Trains a model through the C++ API and uses it:
//
//   train DATA [NAME=VALUE…]        as: train train.csv model=lr workers=4 epochs=20
//
// DATA is a file or URI, or `generated`: then the data are made in memory. The names are those of
// the options of `lambdaml train` (docs/reference/options.md).
#include <cstdio>
#include <exception>
#include <string>

#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/data/synthetic.h"
#include "lambdaml/job/given.h"
#include "lambdaml/job/model_file.h"
#include "lambdaml/job/options.h"
#include "lambdaml/predict/predict.h"
#include "lambdaml/trigger/trigger.h"

namespace {

/// What a job reports while it runs.
class Progress final : public lambdaml::trigger::Observer {
 public:
  void starting(const lambdaml::trigger::JobStart& job) override {
    std::printf("%s: %s on %llu rows with %u workers\n", job.job_id.c_str(), job.model.c_str(),
                static_cast<unsigned long long>(job.rows), job.workers);
  }
  void epoch_done(const lambdaml::job::EpochMetrics& metrics) override {
    const auto loss = metrics.values.find("train_loss");
    if (loss == metrics.values.end()) return;
    std::printf("epoch %llu: training loss %.6f\n", static_cast<unsigned long long>(metrics.epoch),
                loss->second);
  }
};

int train(int argc, char** argv) {
  using namespace lambdaml;
  job::Given given{.typed = job::job_options()};
  trigger::InMemory memory;
  const std::string data = argv[1];
  if (data == "generated") memory.data = data::synthesize({.kind = "higgs", .rows = 20'000});
  given.typed.parse("data", data, "DATA");
  for (int i = 2; i < argc; ++i) {
    const std::string argument = argv[i];
    const std::size_t equal = argument.find('=');
    if (equal == std::string::npos)
      fail(Code::invalid_argument, "'{}': write NAME=VALUE", argument);
    given.typed.parse(argument.substr(0, equal), argument.substr(equal + 1), argument);
  }
  Progress progress;
  const nlohmann::ordered_json summary = trigger::train(job::options_of(given), progress, memory);

  // The model is a file, from which any process predicts.
  const std::string path = summary.at("model_path").get<std::string>();
  job::TrainedModel model = job::read_model(path);
  std::printf("model %s in %s: %zu features, %zu parameters\n", model.name.c_str(), path.c_str(),
              model.shape.features, model.parameters.size());
  if (memory.data) {
    const predict::Predictions predictions =
        predict::predict(model, memory.data->slice(0, 1'000), "the first rows", {});
    std::printf("%zu predictions\n", predictions.table.rows);
  }
  std::printf("%s\n", summary.dump().c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "as: train DATA [NAME=VALUE…]\n");
    return 2;
  }
  try {
    return train(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "train: %s\n", error.what());
    return 1;
  }
}
