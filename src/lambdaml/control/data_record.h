#pragma once

#include <memory>
#include <string>
#include <vector>

#include "lambdaml/data/source.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::control {

/// What a job's files of data held when the job began: those that state no checksum themselves, as
/// text. Until the job has ended they must stay so, or it would go on with other rows than it began
/// with. Lies as `data.json` beside the job's checkpoints, where a job has such files.
///
/// The checkpoints know the rows by a checksum of all of them; this record names the file.
class DataRecord {
 public:
  DataRecord(std::shared_ptr<storage::Storage> checkpoints, const std::string& job_id);

  /// The job begins: one PUT, or a delete where there are no such files.
  void begin(const std::vector<data::SourceFile>& files);
  /// The job goes on. Throws data_corrupt, naming the first file that is not what it was. One GET.
  void require_same(const std::vector<data::SourceFile>& files);
  void forget();

 private:
  std::shared_ptr<storage::Storage> store_;
  std::string key_;
};

}  // namespace lambdaml::control
