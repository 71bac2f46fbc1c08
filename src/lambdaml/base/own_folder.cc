#include "lambdaml/base/own_folder.h"

#include <algorithm>
#include <cerrno>
#include <deque>
#include <system_error>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lambdaml/base/error.h"

namespace lambdaml {

namespace fs = std::filesystem;

namespace {

/// The kernel's limit (path_resolution(7)).
constexpr int kMostLinks = 40;
/// Limit for a folder that others keep removing between two calls, as a loop that clears it does.
constexpr int kMostTries = 100;

using Stat = struct stat;

/// Everyone may create entries in it and remove their own.
bool is_public(const Stat& info) {
  return S_ISDIR(info.st_mode) && (info.st_mode & S_ISVTX) != 0 && (info.st_mode & S_IWOTH) != 0;
}

/// One part of a path: the entry itself, not the target of a link.
struct Part {
  fs::path path;
  Stat info;
  bool exposed;  ///< below a public folder
};

/// Follows a path from the root as the kernel does and calls look(part) for each existing part.
/// Returns the path without links.
template <class Look>
fs::path walk(const fs::path& path, const Look& look) {
  struct Level {
    fs::path path;
    bool exposes;  ///< its entries
  };
  const auto doing = [&] { return fmt::format("opening the folder {}", path.string()); };
  std::vector<Level> levels{{"/", false}};
  const fs::path absolute = fs::absolute(path).relative_path();
  std::deque<fs::path> names(absolute.begin(), absolute.end());
  bool there = true;
  for (int links = 0; !names.empty();) {
    const fs::path name = names.front();
    names.pop_front();
    if (name.empty() || name == ".") continue;
    if (name == "..") {
      if (levels.size() > 1) levels.pop_back();
      continue;
    }
    Part part{levels.back().path / name, {}, levels.back().exposes};
    if (there && ::lstat(part.path.c_str(), &part.info) != 0) {
      if (errno != ENOENT && errno != ENOTDIR) fail_errno(errno, doing());
      there = false;
    }
    if (there) look(part);
    if (!there || !S_ISLNK(part.info.st_mode)) {
      levels.push_back({part.path, part.exposed || (there && is_public(part.info))});
      continue;
    }
    std::error_code error;
    const fs::path target = fs::read_symlink(part.path, error);
    if (error || ++links > kMostLinks) fail_errno(error ? error.value() : ELOOP, doing());
    if (target.is_absolute()) levels.resize(1);
    const fs::path more = target.relative_path();
    names.insert(names.begin(), more.begin(), more.end());
  }
  return levels.back().path;
}

bool is_own(const Stat& info) { return info.st_uid == ::geteuid() || info.st_uid == 0; }

bool is_in_group(gid_t group) {
  if (group == ::getegid()) return true;
  std::vector<gid_t> groups(static_cast<std::size_t>(std::max(0, ::getgroups(0, nullptr))));
  const int n = ::getgroups(static_cast<int>(groups.size()), groups.data());
  return n > 0 && std::find(groups.begin(), groups.begin() + n, group) != groups.begin() + n;
}

/// A folder of another owner that this user may write to because it is shared with a group.
bool is_shared_with_us(const Stat& info) {
  return S_ISDIR(info.st_mode) && (info.st_mode & S_IWGRP) != 0 && is_in_group(info.st_gid);
}

void require_good(const fs::path& path, const Part& part, Sharing sharing) {
  if (!part.exposed) return;
  const std::string it = part.path == path ? "it" : part.path.string();
  const mode_t mode = part.info.st_mode;
  if (!is_own(part.info) && !(sharing == Sharing::group && is_shared_with_us(part.info)))
    fail(Code::permission_denied,
         "{}: {} belongs to another user (uid {}), and every user can create it there; "
         "choose another name, or a folder below your home folder",
         path.string(), it, part.info.st_uid);
  if (S_ISLNK(mode) || is_public(part.info)) return;
  if ((mode & S_IWOTH) != 0)
    fail(Code::permission_denied, "{}: every user can write to {}; chmod o-w {}", path.string(), it,
         part.path.string());
  if ((mode & S_IWGRP) != 0 && sharing != Sharing::group)
    fail(Code::permission_denied,
         "{}: the group {} can write to {}; chmod g-w {}, or, where workers of the group are to "
         "meet, file://{}?shared=1",
         path.string(), part.info.st_gid, it, part.path.string(), path.string());
}

/// The path without links; all existing parts have passed the checks.
fs::path require_good(const fs::path& path, Sharing sharing) {
  const fs::path normal = fs::absolute(path).lexically_normal();
  return walk(path, [&](const Part& part) { require_good(normal, part, sharing); });
}

/// Opened for reading if permitted: O_PATH alone would not make an automounter mount it.
FileDescriptor open_folder(const fs::path& path) {
  FileDescriptor folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder && errno == EACCES)
    folder = FileDescriptor(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  return folder;
}

enum class Last { own, may_be_public };

FileDescriptor open_good(const fs::path& path, bool make, Sharing sharing, Last last) {
  for (int tries = 0; tries < kMostTries; ++tries) {
    FileDescriptor folder = open_folder(path);
    const int error = errno;
    if (!folder && (error == ENOENT || error == ENOTDIR) && !make) return folder;
    if (!folder && error == ENOTDIR)
      fail(Code::invalid_argument, "{}: it is no folder", path.string());
    if (!folder && error != ENOENT)
      fail_errno(error, fmt::format("opening the folder {}", path.string()));
    if (!folder) {
      if (::geteuid() != 0) require_good(path, sharing);
      make_folder(path, sharing == Sharing::group ? Access::umask : Access::owner);
      continue;
    }
    if (::geteuid() == 0) return folder;
    const fs::path real = require_good(path, sharing);
    Stat opened{}, named{};
    if (::fstat(folder.get(), &opened) != 0 || ::lstat(real.c_str(), &named) != 0 ||
        opened.st_dev != named.st_dev || opened.st_ino != named.st_ino)
      continue;  // another one has been put there between the two calls
    if (last == Last::own && is_public(opened))
      fail(Code::permission_denied,
           "{0}: every user can write there; name a folder in it: {0}/NAME", path.string());
    return folder;
  }
  fail(Code::unavailable, "opening the folder {}: it is removed again and again", path.string());
}

}  // namespace

FileDescriptor open_own_folder(const fs::path& path, bool make, Sharing sharing) {
  return open_good(path, make, sharing, Last::own);
}

void make_own_folder(const fs::path& path) { open_own_folder(path, true); }

void make_new_folder(const fs::path& path) {
  fs::path whole = fs::absolute(path);
  if (!whole.has_filename()) whole = whole.parent_path();
  const FileDescriptor parent =
      open_good(whole.parent_path(), true, Sharing::none, Last::may_be_public);
  if (::mkdirat(parent.get(), whole.filename().c_str(), 0700) == 0) return;
  if (errno == EEXIST) fail(Code::already_exists, "the folder {}: it exists", path.string());
  fail_errno(errno, fmt::format("making the folder {}", path.string()));
}

void require_own_folder(const fs::path& path, Sharing sharing) {
  if (!open_own_folder(path, false, sharing) && ::geteuid() != 0) require_good(path, sharing);
}

fs::path follow_links(const fs::path& path) {
  return walk(path, [&](const Part& part) {
    if (S_ISLNK(part.info.st_mode) && part.exposed && !is_own(part.info))
      fail(Code::permission_denied,
           "{}: {} is a link that another user (uid {}) put there, and it is not followed",
           path.string(), part.path.string(), part.info.st_uid);
  });
}

Scratch::Scratch(const std::string& prefix, const std::filesystem::path& parent) {
  const std::filesystem::path where =
      parent.empty() ? std::filesystem::temp_directory_path() : parent;
  std::string name = (where / (prefix + "XXXXXX")).string();
  if (::mkdtemp(name.data()) == nullptr)
    fail_errno(errno, "creating a folder in " + where.string());
  path_ = name;
}

Scratch::~Scratch() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace lambdaml
