#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lambdaml/base/options.h"
#include "lambdaml/control/stores.h"
#include "lambdaml/data/dataset.h"
#include "lambdaml/data/shared_rows.h"
#include "lambdaml/data/source.h"
#include "lambdaml/job/model_file.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::trigger {

/// The data of a job that are in memory, instead of in the places that its options name.
struct InMemory {
  std::optional<data::Dataset> data;
  std::optional<data::Dataset> test;
  /// Whether the checkpoints are taken for those in the run's folder, although their URI names
  /// another place: a simulation's. Copies of the run's records are not kept beside them then.
  bool checkpoints_in_folder = false;
};

/// The data of a job, cut for its workers.
struct StagedData {
  data::Manifest data;
  std::string data_uri;  ///< of a prepared set used in place; empty: staged
  std::optional<data::Manifest> test;
  std::string test_uri;                      ///< see data_uri
  std::shared_ptr<const Buffer> definition;  ///< the file of the model, staged too; or null
  std::optional<job::ModelFile> init;        ///< the model to start from, staged too
  /// All files read here that have no checksum: they must be unchanged when the job is resumed.
  std::vector<data::SourceFile> files;
  std::vector<std::string> preparing;  ///< reports of the functions that read the data
  std::vector<std::string> notices;    ///< of the rows, for the user of a job that begins
  /// Those in memory that the workers, threads of this process, use in place.
  std::vector<std::unique_ptr<data::SharedRows>> shared;
};

/// Decides what reads the data, if that is left open, by their size. Some requests.
void choose_reader(Options& options);

/// Saves the data that the options name in `channel`, cut into parts, unless `data split` has
/// prepared the set for this number of workers, or it is in memory and the workers are threads of
/// this process. Functions read it if `read_by` says so (large test data too), otherwise this
/// process does. Throws as data::read(), data::split() and prepare_by_functions() do.
StagedData stage(const Options& options, storage::Storage& channel, control::Stores& stores,
                 const std::string& job_id, const InMemory& memory = {});
/// The same without functions.
StagedData stage(const Options& options, storage::Storage& channel);

}  // namespace lambdaml::trigger
