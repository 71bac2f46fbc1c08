#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lambdaml/base/files.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/wait.h"
#include "lambdaml/storage/file/arrivals.h"
#include "lambdaml/storage/file/paths.h"
#include "lambdaml/storage/registry.h"

namespace lambdaml::storage::file {
namespace {

namespace fs = std::filesystem;

/// A wait looks at its keys this often even without news: for files that came otherwise than by
/// rename (a copy by hand, a network file system).
constexpr double kLookAnyway = 0.25;
constexpr double kLongestPoll = 0.02;
/// A folder that vanishes each time before the file is in it: somebody clears in a loop.
constexpr int kFolderTries = 100;

/// Where the bare name `file` leads: a folder per user in shared memory.
std::string default_folder() {
  return (shared_memory_folder() / fmt::format("lambdaml-{}", ::getuid())).string();
}

/// A file that is removed unless it gets its name.
class Temporary {
 public:
  explicit Temporary(std::string path) : path_(std::move(path)) {}
  Temporary(const Temporary&) = delete;
  Temporary& operator=(const Temporary&) = delete;
  ~Temporary() {
    if (!path_.empty()) ::unlink(path_.c_str());
  }
  const char* path() const { return path_.c_str(); }
  void renamed() { path_.clear(); }

 private:
  std::string path_;
};

/// Renames; with `exclusive` fails with EEXIST where `to` is. 0 or an errno.
int rename_to(const char* from, const char* to, bool exclusive) {
  if (!exclusive) return ::rename(from, to) == 0 ? 0 : errno;
  if (::syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return errno;
  // A file system without that flag: a second link is as exclusive, only its arrival is not told.
  if (::link(from, to) != 0) return errno;
  ::unlink(from);
  return 0;
}

/// Keys are files below a folder. A value is written under a temporary name and renamed, so a
/// reader sees all of it or none and a writer that is killed leaves the old one. A wait sleeps
/// until the kernel tells of a rename. The folder is not a private one: whatever file lies in it is
/// a value.
class Files final : public Storage {
 public:
  explicit Files(std::string root) : root_(root == "/" ? "" : std::move(root)) {
    struct stat info {};
    if (root_.starts_with(default_folder()) && ::lstat(default_folder().c_str(), &info) == 0 &&
        info.st_uid != ::getuid())
      fail(Code::permission_denied, "{} belongs to another user; name a folder of your own",
           default_folder());
  }

  Capabilities capabilities() const override { return {}; }
  std::string describe() const override { return root_.empty() ? "/" : root_; }

  void save(std::string_view key, Bytes value) override { write(key, value, false); }
  bool create(std::string_view key, Bytes value) override { return write(key, value, true); }

  std::optional<Buffer> load(std::string_view key) override { return read_file(at(key).path()); }

  void remove(std::string_view key) override {
    const std::string path = at(key).path();
    if (::unlink(path.c_str()) == 0 || errno == ENOENT || errno == ENOTDIR) return;
    const int error = errno;
    struct stat info {};
    // Folders are no values. Which error unlink() gives for one depends on the system.
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
    const auto remove_file = [](const fs::directory_entry& file, const std::string&) {
      if (::unlink(file.path().c_str()) != 0 && errno != ENOENT)
        fail_errno(errno, "removing " + file.path().string());
    };
    const std::string start = start_of(prefix);
    walk(start, prefix, remove_file, remove_file, [](const std::string& folder) {
      ::rmdir(folder.c_str());  // refused while there is something in it
    });
    std::string folder = folder_of(root_, start);
    while (!folder.empty() && folder.size() >= root_.size() &&
           (::rmdir(folder.c_str()) == 0 || errno == ENOENT))
      folder.resize(folder.rfind('/'));
  }

  std::vector<Buffer> load_all(std::span<const std::string> keys, Deadline deadline) override {
    std::vector<Place> places;
    places.reserve(keys.size());
    for (const std::string& key : keys) places.push_back(at(key));
    std::vector<Buffer> values(keys.size());
    std::vector<std::size_t> missing(keys.size());
    for (std::size_t i = 0; i < missing.size(); ++i) missing[i] = i;
    const auto look = [&](const auto& worth_it) {
      std::erase_if(missing, [&](std::size_t i) {
        if (!worth_it(places[i])) return false;
        std::optional<Buffer> value = read_file(places[i].path());
        if (!value) return false;
        values[i] = std::move(*value);
        return true;
      });
    };
    const auto everything = [](const Place&) { return true; };
    look(everything);
    if (missing.empty()) return values;

    const Stopwatch waited;
    std::unique_ptr<Arrivals> arrivals = arrivals_.take();
    double pause = 0.0001;
    while (!deadline.passed()) {
      // A watch that was there before the last look missed nothing since; after a new one, look
      // again.
      bool all_watched = true;
      bool any_added = false;
      for (const std::size_t i : missing) {
        const Arrivals::Watch watch = arrivals->watch(places[i].folder);
        all_watched &= watch != Arrivals::Watch::refused;
        any_added |= watch == Arrivals::Watch::added;
      }
      if (any_added) look(everything);
      if (missing.empty()) break;
      if (all_watched) {
        const double longest = std::min(kLookAnyway, deadline.seconds_left());
        const Stopwatch slept;
        const Arrivals::News news = arrivals->wait(longest);
        if (news.anything || slept.seconds() >= longest)
          look(everything);
        else
          look([&](const Place& place) { return news.names.contains({place.folder, place.name}); });
      } else {  // no such folder yet, or no watch to be had
        sleep_until(Deadline::in(pause).earlier(deadline));
        pause = std::min(pause * 2, kLongestPoll);
        look(everything);
      }
      if (missing.empty()) break;
    }
    arrivals_.give_back(std::move(arrivals));
    if (missing.empty()) return values;
    std::vector<std::string> names;
    for (const std::size_t i : missing) names.push_back(keys[i]);
    fail_missing(describe(), names, waited.seconds());
  }

 private:
  Place at(std::string_view key) const {
    check_key(key);
    return place_of(root_, key);
  }

  bool write(std::string_view key, Bytes value, bool exclusive) {
    const Place place = at(key);
    for (int tries = 0; tries < kFolderTries; ++tries) {
      if (const std::optional<bool> written = try_write(key, place, value, exclusive))
        return *written;
      make_folders(place.folder);
    }
    fail(Code::unavailable, "saving {}: its folder is removed again and again", place.path());
  }

  /// Whether the value got its name; absent when the folder is not there, or not any more.
  std::optional<bool> try_write(std::string_view key, const Place& place, Bytes value,
                                bool exclusive) {
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
    FileDescriptor file;
    std::string name;
    do {
      name = place.folder + "/" + temporary_name();
      file = FileDescriptor(::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    } while (!file && errno == EEXIST);  // left by a killed process that had our number
    if (!file && errno == ENOENT) return {};
    if (!file) cannot(errno);
    Temporary temporary(std::move(name));
    for (std::size_t done = 0; done < value.size();) {
      const ssize_t n = ::write(file.get(), value.data() + done, value.size() - done);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) cannot(errno);
      done += static_cast<std::size_t>(n);
    }
    file.reset();
    int error = rename_to(temporary.path(), path.c_str(), exclusive);
    // A folder in the way may be left over from keys that are gone.
    if ((error == EISDIR || error == EEXIST) && ::rmdir(path.c_str()) == 0)
      error = rename_to(temporary.path(), path.c_str(), exclusive);
    if (error == 0) {
      temporary.renamed();
      return true;
    }
    if (error == ENOENT) return {};
    if (error == EEXIST && exclusive && !fs::is_directory(path)) return false;
    cannot(error);
    return false;
  }

  static void make_folders(const std::string& folder) {
    // The default place is for this user only; others are as the umask has it.
    const mode_t mode = folder == default_folder() ? 0700 : 0777;
    if (::mkdir(folder.c_str(), mode) == 0 || errno == EEXIST) return;
    if (errno == ENOENT && folder.rfind('/') > 0) {
      make_folders(folder.substr(0, folder.rfind('/')));
      if (::mkdir(folder.c_str(), mode) == 0 || errno == EEXIST || errno == ENOENT) return;
    }
    // A file where a folder should be shows when the value is written.
    if (errno != ENOTDIR) fail_errno(errno, "making the folder " + folder);
  }

  /// The folder, as the beginning of a key, in which everything with the prefix lies.
  static std::string start_of(std::string_view prefix) {
    const std::size_t slash = prefix.rfind('/');
    return slash == std::string_view::npos ? "" : std::string(prefix.substr(0, slash));
  }

  /// Calls on_value(file, key) for each value with the prefix below `folder` (the beginning of a
  /// key), on_temporary(file, "") for what was being written in folders that lie wholly under the
  /// prefix, and on_folder(path) for these folders, from the leaves up. What vanishes meanwhile is
  /// passed over.
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
      } else if (key.starts_with(prefix) && files->is_regular_file(gone) && is_key(key)) {
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

  static bool is_key(const std::string& key) {
    try {
      check_key(key);
      return true;
    } catch (const Error&) {
      return false;  // a file that was put there otherwise
    }
  }

  std::string root_;
  ArrivalsPool arrivals_;
};

}  // namespace

void register_plugin(Registry& registry) {
  registry.add(
      {.name = "file",
       .help = "files in a folder; the default one is in shared memory",
       .open = [](const Uri& uri, const std::shared_ptr<Patience>&) -> std::shared_ptr<Storage> {
         return std::make_shared<Files>(uri.path);
       },
       .default_uri = [] { return Uri::parse(default_folder()); }});
}

}  // namespace lambdaml::storage::file
