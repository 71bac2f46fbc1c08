#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lambdaml/base/options.h"
#include "lambdaml/data/source.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::trigger {

/// The data of a job, cut for its workers.
struct StagedData {
  data::Manifest data;
  std::string data_uri;  ///< of a prepared set used where it lies; empty: staged
  std::optional<data::Manifest> test;
  std::string test_uri;                      ///< as data_uri
  std::shared_ptr<const Buffer> definition;  ///< the file of the model, staged too; or null
  /// All that was read here and states no checksum: it must be the same when the job goes on.
  std::vector<data::SourceFile> files;
};

/// Reads what the options name and cuts it: into `channel`, or, for a set that `data split`
/// prepared for this number of workers, not at all. Throws as data::read and data::split do.
StagedData stage(const Options& options, storage::Storage& channel);

}  // namespace lambdaml::trigger
