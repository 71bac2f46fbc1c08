#pragma once

#include <filesystem>
#include <string>

#include "lambdaml/base/files.h"
#include "lambdaml/tune/records.h"

namespace lambdaml::tune {

/// What a search leaves on the machine that runs it: `search.json` (its id and where its records
/// are), `trials/` (the folder of each leg's run), `records/` unless they are elsewhere, and at the
/// end `trials.csv`, `best.yaml`, `model.safetensors` (the best trial's) and `summary.json`. One
/// process at a time works on it: it is locked.
class SearchFolder {
 public:
  /// Throws already_exists when there is anything of that name.
  static SearchFolder create(const std::filesystem::path& path, const std::string& search_id,
                             const std::string& records_uri);
  /// Throws not_found, data_corrupt, or unavailable when the search is still running.
  static SearchFolder open(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  const std::string& records_uri() const { return records_uri_; }
  std::filesystem::path runs() const { return path_ / "trials"; }

  /// Copies what the search has come to from its records. `summary`: as it is to be kept here,
  /// empty when the search is not over.
  void take_results(Records& records, const std::string& summary);
  /// Removes the folder with all that is in it: for a search that was not begun.
  void discard();

 private:
  SearchFolder(std::filesystem::path path, std::string records_uri);
  void lock();

  std::filesystem::path path_;
  std::string records_uri_;
  FileDescriptor lock_;
};

}  // namespace lambdaml::tune
