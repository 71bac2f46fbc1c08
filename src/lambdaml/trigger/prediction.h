#pragma once

#include <cstdint>
#include <string>

#include "lambdaml/base/options.h"
#include "lambdaml/job/model_file.h"
#include "lambdaml/predict/predict.h"

/// Predictions where the data are: the caller's side.
namespace lambdaml::trigger {

/// What is predicted, and where the results go.
struct Prediction {
  std::string model;  ///< a path or URI, as for job::read_model()
  std::string data;
  std::string to;  ///< the folder or URI prefix that gets the results
  std::string out_format = "csv";
  predict::Request request = {};
};

struct PredictionEnd {
  std::string job_id;
  const model::Plugin* plugin = nullptr;  ///< of the model
  model::Shape shape;
  predict::Quality quality;  ///< over all rows
  std::uint64_t parts = 0;
  std::uint32_t workers = 0;
};

/// The job options that such a job has: those of data formats and platforms, and some of the job's
/// own.
Options options_of_predictions();

/// Starts the workers, waits for them and merges the quality of their predictions. Each worker
/// predicts its parts of the data and saves them as `{i}_{n}.FORMAT` in `to`, each whole or not at
/// all; `predictions.json` beside them is written last. A prepared set within the workers' reach is
/// read in place, whatever the number of its parts; other data are read here and staged in the
/// channel in as many parts as there are workers, so that the results one after another are those
/// of the rows in their order. Failed attempts are repeated as those of training workers are.
///
/// `options` are options_of_predictions(). Throws invalid_argument, not_found, data_corrupt (bad
/// input), workers_lost, cancelled, limit_reached (the option `deadline`), and what the stores
/// throw.
PredictionEnd predict_in_functions(const Prediction& prediction, Options options);

}  // namespace lambdaml::trigger
