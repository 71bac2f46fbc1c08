#include "lambdaml/storage/file/root.h"

#include <cerrno>
#include <set>
#include <utility>

#include <sys/stat.h>
#include <unistd.h>

namespace lambdaml::storage::file {

namespace {

/// Whether `path` still refers to the open folder.
bool leads_to(const std::string& path, int folder) {
  struct stat named {
  }, opened{};
  return ::stat(path.c_str(), &named) == 0 && ::fstat(folder, &opened) == 0 &&
         named.st_dev == opened.st_dev && named.st_ino == opened.st_ino;
}

/// The root folders that this process has created, by device and inode. Shared by all handles: a
/// job saves through one and clears through another.
class MadeFolders {
 public:
  void add(int folder) {
    const std::lock_guard lock(mutex_);
    made_.insert(identity(folder));
  }
  /// Removes the folder from the set; returns whether it was in it.
  bool take(int folder) {
    const std::lock_guard lock(mutex_);
    return made_.erase(identity(folder)) != 0;
  }

 private:
  using Identity = std::pair<dev_t, ino_t>;
  static Identity identity(int folder) {
    struct stat info {};
    return ::fstat(folder, &info) == 0 ? Identity{info.st_dev, info.st_ino} : Identity{};
  }

  std::mutex mutex_;
  std::set<Identity> made_;
};

MadeFolders& made_folders() {
  static MadeFolders folders;
  return folders;
}

}  // namespace

Root::Folder Root::made() {
  const std::lock_guard lock(mutex_);
  if (folder_) return folder_;
  struct stat there {};
  const bool absent = ::stat(path_.c_str(), &there) != 0 && errno == ENOENT;
  folder_ = std::make_shared<const FileDescriptor>(open_own_folder(path_, true, sharing_));
  if (absent) made_folders().add(folder_->get());
  return folder_;
}

void Root::remove_if_ours(const Folder& folder) const {
  if (!made_folders().take(folder->get())) return;
  if (leads_to(path_, folder->get()) && ::rmdir(path_.c_str()) == 0) return;
  made_folders().add(folder->get());
}

Root::Folder Root::last() {
  const std::lock_guard lock(mutex_);
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
