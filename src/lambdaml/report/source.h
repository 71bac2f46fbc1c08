#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "lambdaml/base/bytes.h"
#include "lambdaml/base/uri.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::report {

/// The files of a run or search: in a folder, or in a store under CHECKPOINT-URI/JOB-ID or below
/// the URI of a search's records. Nothing is locked, so that what still runs can be read.
class Source {
 public:
  enum class Kind { run, search };
  /// Throws not_found if neither is there, and what the store throws.
  static Source open(const std::string& place);

  Kind kind() const { return kind_; }
  /// As the user gave it.
  const std::string& place() const { return place_; }
  /// Without secrets, for people.
  std::string display() const;
  /// Empty if it is in a store.
  const std::filesystem::path& folder() const { return folder_; }
  /// The file's bytes, or nullopt. Throws what the store throws.
  std::optional<Buffer> read(const std::string& name) const;

 private:
  std::string place_;
  Kind kind_ = Kind::run;
  std::filesystem::path folder_;
  std::shared_ptr<storage::Storage> store_;
  std::string prefix_;  ///< of the keys in the store
};

}  // namespace lambdaml::report
