#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lambdaml/base/options.h"
#include "lambdaml/data/dataset.h"
#include "lambdaml/data/lent.h"
#include "lambdaml/data/source.h"
#include "lambdaml/job/model_file.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::trigger {

/// The data of a job that are in memory, instead of in the places that its options name.
struct InMemory {
  std::optional<data::Dataset> data;
  std::optional<data::Dataset> test;
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
  /// Those in memory that the workers, threads of this process, use in place.
  std::vector<std::unique_ptr<data::Lent>> lent;
};

/// Reads the data that the options name and saves it, cut into parts, in `channel`, unless `data
/// split` has prepared the set for this number of workers, or it is in memory and the workers are
/// threads of this process. Throws as data::read() and data::split() do.
StagedData stage(const Options& options, storage::Storage& channel, const InMemory& memory = {});

}  // namespace lambdaml::trigger
