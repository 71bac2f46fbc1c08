#pragma once

#include <memory>
#include <mutex>
#include <string>

#include <sys/types.h>

#include "lambdaml/base/own_folder.h"

namespace lambdaml::storage::file {

/// A store's root folder. All writes go through one descriptor of a folder that passed the checks
/// of base/own_folder.h, so that they never reach a folder that another user puts in its place
/// after it was cleared. Thread-safe.
class Root {
 public:
  using Folder = std::shared_ptr<const FileDescriptor>;

  Root(std::string path, Sharing sharing) : path_(std::move(path)), sharing_(sharing) {}

  const std::string& path() const { return path_; }
  mode_t file_mode() const { return sharing_ == Sharing::group ? 0666 : 0600; }
  mode_t folder_mode() const { return sharing_ == Sharing::group ? 0777 : 0700; }

  /// The folder, created if necessary. If it is removed later, calls on its descriptor fail with
  /// ENOENT or ESTALE; then call forget(). Throws as open_own_folder() does.
  Folder made();
  /// The folder of the last call, null if there was none. It may have been moved or replaced since,
  /// which saves do not look at either.
  Folder last();
  /// The folder as it is now; null if there is none. Costs one more stat.
  Folder found();
  /// Removes the folder if it is empty and was created by this process, through any handle: a
  /// folder that existed before is kept.
  void remove_if_ours(const Folder& folder) const;
  /// Makes the next call look up the folder again.
  void forget(const Folder& gone);

 private:
  const std::string path_;
  const Sharing sharing_;
  std::mutex mutex_;
  Folder folder_;
};

}  // namespace lambdaml::storage::file
