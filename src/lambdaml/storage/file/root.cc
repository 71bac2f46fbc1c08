#include "lambdaml/storage/file/root.h"

#include <sys/stat.h>

namespace lambdaml::storage::file {

namespace {

/// Whether `path` still leads to the open folder.
bool leads_to(const std::string& path, int folder) {
  struct stat named {
  }, opened{};
  return ::stat(path.c_str(), &named) == 0 && ::fstat(folder, &opened) == 0 &&
         named.st_dev == opened.st_dev && named.st_ino == opened.st_ino;
}

}  // namespace

Root::Folder Root::made() {
  const std::lock_guard lock(mutex_);
  if (!folder_)
    folder_ = std::make_shared<const FileDescriptor>(open_own_folder(path_, true, sharing_));
  return folder_;
}

Root::Folder Root::found() {
  const std::lock_guard lock(mutex_);
  if (folder_ && leads_to(path_, folder_->get())) return folder_;
  FileDescriptor folder = open_own_folder(path_, false, sharing_);
  folder_ = folder ? std::make_shared<const FileDescriptor>(std::move(folder)) : nullptr;
  return folder_;
}

void Root::forget(const Folder& gone) {
  const std::lock_guard lock(mutex_);
  if (folder_ == gone) folder_ = nullptr;
}

}  // namespace lambdaml::storage::file
