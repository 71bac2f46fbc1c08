#pragma once

#include <memory>
#include <string>
#include <vector>

#include "lambdaml/base/options.h"
#include "lambdaml/model/model.h"
#include "lambdaml/model/registry.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::job {

/// A trained model: a safetensors file with the model's tensors, metadata for using it again, and a
/// checksum over everything.
struct TrainedModel {
  std::string name;    ///< of the model plug-in
  model::Shape shape;  ///< features and label map
  Options options;     ///< of the job that trained it
  std::vector<float> parameters;
  std::unique_ptr<model::Model> model;

  /// The plug-in as it was for the job.
  const model::Plugin& plugin() const;
};

/// The file's bytes.
Buffer model_to_bytes(const std::string& name, const model::Shape& shape, const Options& options,
                      model::Model& model, std::span<const float> parameters);

/// Throws data_corrupt, naming `what`, unless these are the complete, unmodified bytes of a model.
/// Models of an old version have no checksum: they are accepted with a warning, once.
void require_whole_model(const std::shared_ptr<const Buffer>& bytes, const std::string& what);

/// Checks everything; `what` names the file in errors. Throws data_corrupt.
TrainedModel model_from_bytes(const std::shared_ptr<const Buffer>& bytes, const std::string& what);

/// The parameters of `from` as a model of the same tensors has them: in its order, without those
/// that it keeps (--freeze). Throws invalid_argument if a tensor is missing or of another shape.
std::vector<float> parameters_for(const model::Model& model, const TrainedModel& from,
                                  const std::string& what);

/// A model file, not checked, and where it was found.
struct ModelFile {
  std::string what;  ///< names it in messages
  std::shared_ptr<const Buffer> bytes;
  std::shared_ptr<storage::Storage> folder;  ///< of the run or search; null for a file by itself
};
/// Finds the model that a path or URI names: a file, the folder of a run or of a job's results, or
/// that of a search, whose best model it is. One GET for a file, two or three for a folder. Throws
/// not_found, and what the store throws.
ModelFile find_model(const std::string& uri);

/// Reads the model that a path or URI names, as find_model() does. Throws not_found, data_corrupt.
TrainedModel read_model(const std::string& uri);

}  // namespace lambdaml::job
