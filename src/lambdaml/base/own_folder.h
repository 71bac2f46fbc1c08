#pragma once

#include <filesystem>
#include <string>

#include "lambdaml/base/files.h"

/// Trusted folders in places where every user may create files.
///
/// In /tmp and /dev/shm (world-writable and sticky) any user can create, before this process does,
/// a folder or link of the name that this process is about to use, and then read, replace or forge
/// its contents. So below such a folder every part of the path must belong to this user or to root,
/// and must not be writable for others; missing parts are created with mode 0700. Elsewhere the
/// owners of the folders are trusted. Root is exempt: an administrator may use any folder.
///
/// Others cannot exchange a folder after it was checked: only its owner can remove or rename it,
/// because its parent is sticky or was checked itself.
namespace lambdaml {

enum class Sharing {
  none,
  group,  ///< other owners are trusted if only a group of this user may write
};

/// Returns the checked folder, open. If it is missing, creates it with its parents if `make` is
/// set, otherwise returns an empty descriptor. Throws permission_denied, naming the part of the
/// path that another user owns or can write to and the remedy; invalid_argument if it is not a
/// folder; and what make_folder() throws. Costs one lstat per part of the path.
FileDescriptor open_own_folder(const std::filesystem::path& path, bool make,
                               Sharing sharing = Sharing::none);

/// The same for callers that continue by path.
void make_own_folder(const std::filesystem::path& path);

/// Creates a folder in a parent that is trusted or created. Throws already_exists if the folder
/// exists.
void make_new_folder(const std::filesystem::path& path);

/// Throws as open_own_folder() does, also if the folder could not be created; an absent folder is
/// not an error.
void require_own_folder(const std::filesystem::path& path, Sharing sharing = Sharing::none);

/// A new folder of this user in the temporary folder, or in `parent`, that is removed with
/// everything in it. Its name begins with the prefix.
class Scratch {
 public:
  explicit Scratch(const std::string& prefix, const std::filesystem::path& parent = {});
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch();
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// The path with its symbolic links resolved, for writing. Links that another user placed in a
/// folder like /tmp are not followed, not even for root (as with fs.protected_symlinks): throws
/// permission_denied.
std::filesystem::path follow_links(const std::filesystem::path& path);

}  // namespace lambdaml
