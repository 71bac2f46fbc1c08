#pragma once

#include <filesystem>

#include "lambdaml/base/files.h"

/// Folders that can be trusted although they lie where everybody may make some.
///
/// In /tmp and /dev/shm (writable for everybody, sticky) any user can make, before us, a folder or
/// a link of the name that we are going to use, and then read, replace or make up what we find
/// there. So below such a folder everything on the way must belong to this user or to root, and
/// nobody else may be able to write to it; what is not there yet is made 0700. Elsewhere the ways
/// are those of the folders' owners. Root is exempt: a system's administrator may use whatever
/// folder.
///
/// Nothing that was found good can be exchanged by others afterwards: only its owner can remove or
/// rename it, for the folder it lies in is sticky or was found good itself.
namespace lambdaml {

enum class Sharing {
  none,
  group,  ///< other owners are trusted where a group of ours may write, and nobody else
};

/// The folder, open, found good; made with its parents where `make` says so, else an empty
/// descriptor where there is none. Throws permission_denied naming what another user owns or can
/// write, and the remedy; invalid_argument where it is no folder; what make_folder throws. Costs
/// one lstat for each part of the path.
FileDescriptor open_own_folder(const std::filesystem::path& path, bool make,
                               Sharing sharing = Sharing::none);

/// The same for those who go on by its path.
void make_own_folder(const std::filesystem::path& path);

/// A folder that was not there, in a parent that is good or was made. Throws already_exists.
void make_new_folder(const std::filesystem::path& path);

/// Throws as open_own_folder does, also where the folder could not be made; that it is absent is no
/// fault.
void require_own_folder(const std::filesystem::path& path, Sharing sharing = Sharing::none);

/// The path with its symbolic links followed, to be written to. A link that another user put into a
/// folder like /tmp is not followed, as the kernel would not (fs.protected_symlinks), not even for
/// root: throws permission_denied.
std::filesystem::path follow_links(const std::filesystem::path& path);

}  // namespace lambdaml
