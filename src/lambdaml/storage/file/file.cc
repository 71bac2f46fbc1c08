#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "lambdaml/base/files.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/wait.h"
#include "lambdaml/storage/file/arrivals.h"
#include "lambdaml/storage/file/paths.h"
#include "lambdaml/storage/file/root.h"
#include "lambdaml/storage/registry.h"
#include "lambdaml/storage/wait.h"

namespace lambdaml::storage::file {
namespace {

namespace fs = std::filesystem;

/// A wait checks its keys this often even without notifications: for files that did not arrive by
/// rename (copied by hand, or on a network file system).
constexpr double kPollInterval_s = 0.25;
constexpr double kLongestPoll = 0.02;
/// Limit for a folder that keeps vanishing before the file is in it, as a loop that clears it
/// causes.
constexpr int kFolderTries = 100;
/// Bytes of a value from which on it is used in place: more than a message of a merge has.
constexpr off_t kInPlace = 16 << 20;
constexpr mode_t kWriters = S_IWUSR | S_IWGRP | S_IWOTH;

/// The default place of the bare name `file`: a folder per user in shared memory, if that has room.
std::string default_folder() {
  static const fs::path parent = [] {
    const fs::path shared = shared_memory_folder();
    struct statvfs room {};
    if (::statvfs(shared.c_str(), &room) != 0) return shared;
    const std::uint64_t bytes = std::uint64_t{room.f_blocks} * room.f_frsize;
    fs::path chosen = with_room(shared, bytes);
    if (chosen != shared)
      log::warning("{} has only {}: workers meet in {} (--channel file:///FOLDER names another)",
                   shared.string(), human_bytes(bytes), chosen.string());
    return chosen;
  }();
  return (parent / fmt::format("lambdaml-{}", ::getuid())).string();
}

/// The value of a large file in shared memory in place, or nullopt: its pages are then shared by
/// all that load it. The store never changes a file, but puts another in its place, and what lies
/// in memory cannot fail to be read. Files that may be written are others' (data of a user), who
/// may cut them short meanwhile: the store makes its large ones read-only. Small values are copied
/// faster.
std::optional<Buffer> file_in_shared_memory(const std::string& path) {
  struct stat info {};
  struct statfs system {};
  const auto is_large = [&] {
    return S_ISREG(info.st_mode) && info.st_size >= kInPlace && (info.st_mode & kWriters) == 0;
  };
  // Most values are small, and then that is all that is asked.
  if (::stat(path.c_str(), &info) != 0 || !is_large()) return {};
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file || ::fstat(file.get(), &info) != 0 || !is_large() ||
      ::fstatfs(file.get(), &system) != 0 || system.f_type != TMPFS_MAGIC)
    return {};
  return Buffer::of_file(file.get(), static_cast<std::size_t>(info.st_size));
}

/// Returns 0 or an errno.
int write_whole(int file, Bytes bytes) {
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t n = ::write(file, bytes.data() + done, bytes.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    done += static_cast<std::size_t>(n);
  }
  return 0;
}

/// A folder on the path no longer exists; on NFS it is stale.
bool is_gone(int error) { return error == ENOENT || error == ESTALE; }

/// A file below `folder` that is removed unless it is renamed to its final name.
class Temporary {
 public:
  Temporary(int folder, const char* name) : folder_(folder), name_(name) {}
  Temporary(const Temporary&) = delete;
  Temporary& operator=(const Temporary&) = delete;
  ~Temporary() {
    if (!renamed_) ::unlinkat(folder_, name_, 0);
  }
  /// With `exclusive` fails with EEXIST if `to` exists. Returns 0 or an errno.
  int rename_to(const char* to, bool exclusive) {
    const int error = try_rename(to, exclusive);
    renamed_ = error == 0;
    return error;
  }

 private:
  int try_rename(const char* to, bool exclusive) const {
    if (!exclusive) return ::renameat(folder_, name_, folder_, to) == 0 ? 0 : errno;
    if (::syscall(SYS_renameat2, folder_, name_, folder_, to, RENAME_NOREPLACE) == 0) return 0;
    if (errno != EINVAL && errno != ENOSYS) return errno;
    // Without support for that flag, a second link is as exclusive, but its arrival is not
    // reported.
    if (::linkat(folder_, name_, folder_, to, 0) != 0) {
      const int error = errno;
      // A request that NFS has sent twice finds the link that it made: then there are two.
      struct stat made {};
      const bool is_there =
          error == EEXIST && ::fstatat(folder_, name_, &made, 0) == 0 && made.st_nlink == 2;
      if (!is_there) return error;
    }
    ::unlinkat(folder_, name_, 0);
    return 0;
  }

  const int folder_;
  const char* const name_;
  bool renamed_ = false;
};

/// Sleeps until the kernel reports a rename into a folder of the missing keys; also polls all of
/// them from time to time.
class FolderWatch final : public ListedKeyWatch {
 public:
  FolderWatch(const std::string& root, ArrivalsPool& pool, bool on_network,
              std::vector<std::string> keys)
      : ListedKeyWatch(std::move(keys)), pool_(pool), on_network_(on_network) {
    places_.reserve(this->keys().size());
    for (const std::string& key : this->keys()) places_.push_back(place_of(root, key));
  }
  FolderWatch(const FolderWatch&) = delete;
  FolderWatch& operator=(const FolderWatch&) = delete;
  ~FolderWatch() override {
    if (arrivals_) pool_.give_back(std::move(arrivals_));
  }

 private:
  void look_up(std::span<const std::size_t> which) override {
    if (on_network_) look_into_folders(which);
    for (const std::size_t i : which)
      if (std::optional<Buffer> value = read_file(places_[i].path())) found(i, std::move(*value));
  }

  /// An NFS client remembers for seconds that a name is absent. Opening its folder makes it ask the
  /// server again (close-to-open consistency).
  void look_into_folders(std::span<const std::size_t> which) const {
    const std::string* last = nullptr;
    for (const std::size_t i : which) {
      if (last != nullptr && *last == places_[i].folder) continue;
      last = &places_[i].folder;
      const FileDescriptor opened(::open(last->c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    }
  }

  void wait(Deadline deadline, std::size_t below) override {
    // Taken before the first poll, so that its watches miss nothing after it.
    if (!arrivals_) arrivals_ = pool_.take();
    // Arrivals for keys that were not requested before were not recorded.
    if (reaches_further(below)) poll(missing(below));
    while (!any_found() && !deadline.passed()) {
      // An existing watch has missed nothing since the last poll; after adding one, poll again.
      bool all_watched = true;
      bool any_added = false;
      for (const std::size_t i : missing(keys().size())) {
        const Arrivals::Watching watch = arrivals_->watch(places_[i].folder);
        all_watched &= watch != Arrivals::Watching::refused;
        any_added |= watch == Arrivals::Watching::added;
      }
      if (any_added) poll(missing(below));
      if (any_found()) return;
      if (all_watched) {
        sleep_until_news(deadline, below);
      } else {  // no such folder yet, or no watch to be had
        sleep_until(Deadline::in(pause_s_).earlier(deadline));
        pause_s_ = std::min(pause_s_ * 2, kLongestPoll);
        poll(missing(below));
      }
    }
  }

  void sleep_until_news(Deadline deadline, std::size_t below) {
    const Arrivals::News news = arrivals_->wait(deadline.earlier(next_poll_).seconds_left());
    std::vector<std::size_t> worth_it = missing(below);
    if (news.anything || next_poll_.passed())
      next_poll_ = Deadline::in(kPollInterval_s);
    else
      std::erase_if(worth_it, [&](std::size_t i) {
        return !news.names.contains({places_[i].folder, places_[i].name});
      });
    poll(worth_it);
  }

  ArrivalsPool& pool_;
  const bool on_network_;
  std::unique_ptr<Arrivals> arrivals_;
  std::vector<Place> places_;
  Deadline next_poll_ = Deadline::in(kPollInterval_s);
  double pause_s_ = 0.0001;
};

/// Keys are files below a folder. A value is written under a temporary name and renamed, so a
/// reader sees all of it or none, and a writer that is killed leaves the old value. A wait sleeps
/// until the kernel reports a rename; on network file systems it polls. Any file in the folder is a
/// value. All changes go through the folder's descriptor, with paths relative to it; see Root.
class Files final : public Storage {
 public:
  Files(const std::string& root, Sharing sharing, bool on_network)
      : root_(root == "/" ? "" : root),
        folder_(root, sharing),
        on_network_(on_network),
        arrivals_(!on_network) {}

  Capabilities capabilities() const override { return {}; }
  std::string describe() const override { return root_.empty() ? "/" : root_; }

  void save(std::string_view key, Bytes value) override { write(key, {&value, 1}, false); }
  void save_gathered(std::string_view key, std::span<const Bytes> pieces) override {
    write(key, pieces, false);
  }
  bool create(std::string_view key, Bytes value) override { return write(key, {&value, 1}, true); }

  std::optional<Buffer> load(std::string_view key) override {
    const std::string path = at(key).path();
    std::optional<Buffer> in_place;
    if (!on_network_) in_place = file_in_shared_memory(path);
    return in_place ? std::move(in_place) : read_file(path);
  }

  bool exists(std::string_view key) override {
    const std::string path = at(key).path();
    struct stat info {};
    if (::stat(path.c_str(), &info) == 0) return !S_ISDIR(info.st_mode);
    if (!is_gone(errno) && errno != ENOTDIR) fail_errno(errno, "looking up " + path);
    return false;
  }

  std::optional<Buffer> load_range(std::string_view key, std::uint64_t begin,
                                   std::uint64_t bytes) override {
    const std::string path = at(key).path();
    const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    struct stat info {};
    if (!file) {
      if (is_gone(errno) || errno == ENOTDIR) return {};
      fail_errno(errno, "reading " + path);
    }
    if (::fstat(file.get(), &info) != 0) fail_errno(errno, "reading " + path);
    if (S_ISDIR(info.st_mode)) return {};
    begin = std::min(begin, static_cast<std::uint64_t>(info.st_size));
    Buffer part(std::min(bytes, static_cast<std::uint64_t>(info.st_size) - begin));
    std::size_t have = 0;
    while (have < part.size()) {
      const ssize_t n = ::pread(file.get(), part.data() + have, part.size() - have,
                                static_cast<off_t>(begin + have));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) fail_errno(errno, "reading " + path);
      if (n == 0) break;  // the file was truncated from outside
      have += static_cast<std::size_t>(n);
    }
    part.truncate(have);
    return part;
  }

  void remove(std::string_view key) override {
    const std::string path = at(key).path();
    // What the folder of the last call has needs no further look.
    if (const Root::Folder last = folder_.last())
      if (::unlinkat(last->get(), below_root(path), 0) == 0) return;
    const Root::Folder root = folder_.found();
    if (!root || ::unlinkat(root->get(), below_root(path), 0) == 0) return;
    const int error = errno;
    if (error == ENOENT || error == ENOTDIR) return;
    struct stat info {};
    // Folders are not values. The error that unlink() gives for one depends on the system.
    if (::lstat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) return;
    fail_errno(error, "removing " + path);
  }

  std::vector<Entry> list(std::string_view prefix) override {
    std::vector<Entry> entries;
    walk(start_of(prefix), prefix, [&](const fs::directory_entry& file, std::string key) {
      std::error_code gone;
      const std::uintmax_t bytes = file.file_size(gone);
      if (!gone) entries.push_back({std::move(key), bytes});
    });
    std::ranges::sort(entries, {}, &Entry::key);
    return entries;
  }

  void clear(std::string_view prefix) override {
    const Root::Folder root = folder_.found();
    if (!root) return;
    const auto remove_file = [&](const fs::directory_entry& file, const std::string&) {
      if (::unlinkat(root->get(), below_root(file.path().native()), 0) != 0 && errno != ENOENT)
        fail_errno(errno, "removing " + file.path().string());
    };
    const auto remove_folder = [&](const std::string& folder) {  // but what is in it stays
      return ::unlinkat(root->get(), below_root(folder), AT_REMOVEDIR) == 0 || errno == ENOENT;
    };
    const std::string start = start_of(prefix);
    walk(start, prefix, remove_file, remove_file, remove_folder);
    std::string folder = folder_of(root_, start);
    while (folder.size() > root_.size() && remove_folder(folder)) folder.resize(folder.rfind('/'));
    if (folder.size() == root_.size()) folder_.remove_if_ours(root);
  }

  std::unique_ptr<KeyWatch> watch(std::vector<std::string> keys) override {
    return std::make_unique<FolderWatch>(root_, arrivals_, on_network_, std::move(keys));
  }

 private:
  Place at(std::string_view key) const {
    check_key(key);
    return place_of(root_, key);
  }

  /// The rest of a path below the root.
  const char* below_root(const std::string& path) const { return path.c_str() + root_.size() + 1; }

  bool write(std::string_view key, std::span<const Bytes> value, bool exclusive) {
    const Place place = at(key);
    for (int tries = 0; tries < kFolderTries; ++tries) {
      const Root::Folder root = folder_.made();
      if (const std::optional<bool> written = try_write(root->get(), key, place, value, exclusive))
        return *written;
      if (!make_folders(root->get(), place.folder)) folder_.forget(root);
    }
    fail(Code::unavailable, "saving {}: its folder is removed again and again", place.path());
  }

  /// Whether the value got its name; nullopt if the folder does not exist, or no longer does.
  std::optional<bool> try_write(int root, std::string_view key, const Place& place,
                                std::span<const Bytes> value, bool exclusive) {
    const std::string path = place.path();
    const auto cannot = [&](int error) {
      if (error == ENOTDIR || error == EISDIR || error == EEXIST || error == ENOTEMPTY)
        fail(Code::invalid_argument,
             "saving {}: '{}' and another key would need one name for a file and a folder; choose "
             "another key",
             path, key);
      if (error == ENOSPC)
        fail(Code::resource_exhausted,
             "saving {}: No space left on device; free some, or choose another place (for where "
             "workers "
             "meet: --channel file:///FOLDER)",
             path);
      fail_errno(error, "saving " + path);
    };
    std::size_t bytes = 0;
    for (const Bytes piece : value) bytes += piece.size();
    const mode_t mode = bytes >= static_cast<std::size_t>(kInPlace)
                            ? folder_.file_mode() & ~kWriters
                            : folder_.file_mode();
    FileDescriptor file;
    std::string name;
    do {
      name = place.folder + "/" + temporary_name();
      file = FileDescriptor(
          ::openat(root, below_root(name), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
    } while (!file && errno == EEXIST);  // left by a killed process that had our number
    if (!file && is_gone(errno)) return {};
    if (!file) cannot(errno);
    Temporary temporary(root, below_root(name));
    for (const Bytes piece : value)
      if (const int error = write_whole(file.get(), piece)) cannot(error);
    file.reset();
    int error = temporary.rename_to(below_root(path), exclusive);
    // A folder in the way may be left over from removed keys.
    if ((error == EISDIR || error == EEXIST) &&
        ::unlinkat(root, below_root(path), AT_REMOVEDIR) == 0)
      error = temporary.rename_to(below_root(path), exclusive);
    if (error == 0) return true;
    if (is_gone(error)) return {};
    if (error == EEXIST && exclusive && !fs::is_directory(path)) return false;
    cannot(error);
    return false;
  }

  /// Creates a folder below the root; false if the root itself no longer exists.
  bool make_folders(int root, const std::string& folder) const {
    if (folder.size() <= root_.size()) return false;
    const auto make = [&] {
      return ::mkdirat(root, below_root(folder), folder_.folder_mode()) == 0 || errno == EEXIST;
    };
    if (make()) return true;
    if (is_gone(errno)) {
      if (!make_folders(root, folder.substr(0, folder.rfind('/')))) return false;
      if (make() || is_gone(errno)) return true;
    }
    // A file in place of a folder becomes an error when the value is written.
    if (errno != ENOTDIR) fail_errno(errno, "making the folder " + folder);
    return true;
  }

  /// The folder, as the beginning of a key, that contains every key with the prefix.
  static std::string start_of(std::string_view prefix) {
    const std::size_t slash = prefix.rfind('/');
    return slash == std::string_view::npos ? "" : std::string(prefix.substr(0, slash));
  }

  /// Calls on_value(file, key) for each value with the prefix below `folder` (the beginning of a
  /// key), on_temporary(file, "") for unfinished files in folders that are entirely under the
  /// prefix, and on_folder(path) for these folders, children first. Skips entries that vanish
  /// meanwhile.
  template <class OnValue, class OnTemporary, class OnFolder>
  void walk(const std::string& folder, std::string_view prefix, const OnValue& on_value,
            const OnTemporary& on_temporary, const OnFolder& on_folder) const {
    const std::string path = folder_of(root_, folder);
    const std::string before = folder.empty() ? "" : folder + "/";
    const bool wholly = before.starts_with(prefix);
    std::error_code error;
    fs::directory_iterator files(path.empty() ? "/" : path, error);
    if (error && error.value() != ENOENT && error.value() != ENOTDIR)
      fail_errno(error.value(), "listing " + path);
    for (; !error && files != fs::directory_iterator(); files.increment(error)) {
      const std::optional<std::string> part = part_of(files->path().filename().string());
      std::error_code gone;
      if (!part) {
        if (wholly) on_temporary(*files, "");
        continue;
      }
      const std::string key = before + *part;
      if (!files->is_symlink(gone) && files->is_directory(gone)) {
        const std::string inside = key + "/";
        if (inside.starts_with(prefix) || prefix.starts_with(inside))
          walk(key, prefix, on_value, on_temporary, on_folder);
      } else if (key.starts_with(prefix) && files->is_regular_file(gone) && is_valid_key(key)) {
        on_value(*files, key);
      }
    }
    if (wholly && !folder.empty()) on_folder(path);
  }
  template <class OnValue>
  void walk(const std::string& folder, std::string_view prefix, const OnValue& on_value) const {
    walk(
        folder, prefix, on_value, [](const fs::directory_entry&, const std::string&) {},
        [](const std::string&) {});
  }

  const std::string root_;  ///< empty for /
  Root folder_;
  const bool on_network_;
  ArrivalsPool arrivals_;
};

Sharing sharing_of(const Uri& uri) {
  const auto shared = uri.query.find("shared");
  if (shared == uri.query.end() || shared->second == "0") return Sharing::none;
  if (shared->second == "1") return Sharing::group;
  fail(Code::invalid_argument, "{}: shared is 1, where a group shares the folder, or 0",
       uri.text());
}

/// Whether other machines may write to the folder, which the kernel does not report.
bool is_on_network(const Uri& uri) {
  if (const auto how = uri.query.find("watch"); how != uri.query.end()) {
    if (how->second == "poll") return true;
    if (how->second == "kernel") return false;
    fail(Code::invalid_argument, "{}: watch is poll or kernel", uri.text());
  }
  struct statfs system {};
  // The folder, or the nearest one above it that exists.
  for (fs::path folder = uri.path;; folder = folder.parent_path()) {
    if (::statfs(folder.c_str(), &system) == 0) return !reports_arrivals(system.f_type);
    if (folder == folder.parent_path()) return false;
  }
}

}  // namespace

void register_plugin(Registry& registry) {
  registry.add(
      {.name = "file",
       .help = "files in a folder; the default one is in shared memory",
       .open = [](const Uri& uri, const Options&,
                  const std::shared_ptr<Patience>&) -> std::shared_ptr<Storage> {
         return std::make_shared<Files>(uri.path, sharing_of(uri), is_on_network(uri));
       },
       .reach = Reach::machine,
       .reach_at =
           [](const Uri& uri) { return is_on_network(uri) ? Reach::anywhere : Reach::machine; },
       .default_uri = [] { return Uri::parse(default_folder()); },
       .local_file = [](const Uri& uri) { return std::filesystem::path(uri.path); },
       .require_own = [](const Uri& uri) { require_own_folder(uri.path, sharing_of(uri)); }});
}

}  // namespace lambdaml::storage::file
