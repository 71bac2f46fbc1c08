#pragma once

#include <filesystem>
#include <string>

#include "lambdaml/base/files.h"
#include "lambdaml/tune/records.h"

namespace lambdaml::tune {

/// The files of a search on the machine that runs it: `search.json` (its id and the location of its
/// records), `trials/` (the run folder of each segment), `records/` unless they are elsewhere, and
/// at the end `trials.csv`, `best.yaml`, `model.safetensors` (the best trial's) and `summary.json`.
/// Locked, so that one process at a time works on it.
class SearchFolder {
 public:
  /// Throws already_exists if the name is taken.
  static SearchFolder create(const std::filesystem::path& path, const std::string& search_id,
                             const std::string& records_uri);
  /// Throws not_found, data_corrupt, or unavailable if the search is still running.
  static SearchFolder open(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  const std::string& records_uri() const { return records_uri_; }
  std::filesystem::path runs() const { return path_ / "trials"; }

  /// Copies the search's results from its records. `summary` is stored here; empty if the search is
  /// not finished.
  void take_results(Records& records, const std::string& summary);
  /// Removes the folder with its contents: for a search that was not begun.
  void discard();

 private:
  SearchFolder(std::filesystem::path path, std::string records_uri);
  void lock();

  std::filesystem::path path_;
  std::string records_uri_;
  FileDescriptor lock_;
};

/// The URI of the records of a search that `where` names by its folder or by that URI. Throws
/// not_found and data_corrupt as SearchFolder::open() does, but takes no lock.
std::string records_uri_of(const std::string& where);
/// Whether `where` is the folder of a search on which surely no process works: its records lie in
/// it, and nobody holds its lock. A process that was killed has left its lock, but not its records.
bool is_left(const std::string& where);
/// Whether a path or file URI is the folder of a search. Throws data_corrupt if its search.json is
/// damaged.
bool is_search_folder(const std::string& where);

}  // namespace lambdaml::tune
