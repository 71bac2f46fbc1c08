#pragma once

#include <memory>
#include <mutex>
#include <string>

#include <sys/types.h>

#include "lambdaml/base/own_folder.h"

namespace lambdaml::storage::file {

/// The folder of a store. It is written to through one descriptor, of a folder that was found good
/// (base/own_folder.h): when it is cleared away, what another user then puts in its place is never
/// written to. May be used by several threads.
class Root {
 public:
  using Folder = std::shared_ptr<const FileDescriptor>;

  Root(std::string path, Sharing sharing) : path_(std::move(path)), sharing_(sharing) {}

  const std::string& path() const { return path_; }
  mode_t file_mode() const { return sharing_ == Sharing::group ? 0666 : 0600; }
  mode_t folder_mode() const { return sharing_ == Sharing::group ? 0777 : 0700; }

  /// Made if need be; where it is gone again, a call by its descriptor gives ENOENT or ESTALE, and
  /// it is to be forgotten. Throws as open_own_folder does.
  Folder made();
  /// As it is now; null when there is none. One stat more.
  Folder found();
  /// Removes the folder when it is empty and this process made it, by whatever handle: a folder
  /// that was there before stays.
  void remove_if_ours(const Folder& folder) const;
  /// The next call looks again.
  void forget(const Folder& gone);

 private:
  const std::string path_;
  const Sharing sharing_;
  std::mutex mutex_;
  Folder folder_;
};

}  // namespace lambdaml::storage::file
