#pragma once

#include <memory>
#include <string>
#include <vector>

#include "lambdaml/data/source.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::control {

/// The contents of a job's data files when the job began, for files without a checksum of their own
/// (text). They must not change until the job has ended, or it would continue with other rows than
/// it began with. Stored as `data.json` beside the job's checkpoints if the job has such files.
///
/// The checkpoints identify the rows by a checksum of all of them; this record can name the file.
/// Used by one thread; throws what the store throws.
class DataRecord {
 public:
  DataRecord(std::shared_ptr<storage::Storage> checkpoints, const std::string& job_id);

  /// Call when the job begins: one PUT, or a delete if there are no such files.
  void begin(const std::vector<data::SourceFile>& files);
  /// Call when the job is resumed. Throws data_corrupt, naming the first file that has changed. One
  /// GET.
  void require_same(const std::vector<data::SourceFile>& files);
  void forget();

 private:
  std::shared_ptr<storage::Storage> store_;
  std::string key_;
};

}  // namespace lambdaml::control
