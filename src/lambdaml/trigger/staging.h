#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lambdaml/base/options.h"
#include "lambdaml/data/source.h"
#include "lambdaml/job/model_file.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::trigger {

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
};

/// Reads the data that the options name and saves it, cut into parts, in `channel`, unless `data
/// split` has prepared the set for this number of workers. Throws as data::read() and data::split()
/// do.
StagedData stage(const Options& options, storage::Storage& channel);

}  // namespace lambdaml::trigger
