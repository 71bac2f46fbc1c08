#include <algorithm>
#include <atomic>
#include <cerrno>
#include <filesystem>

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/files.h"
#include "lambdaml/storage/file/arrivals.h"
#include "lambdaml/storage/registry.h"

namespace lambdaml::storage::file {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kTemporary = ".lambdaml-tmp-";

/// Keys are paths below a folder. A value is written to a temporary name beside its place and
/// renamed, so a reader sees all of it or none. Waiters sleep until the kernel tells of a rename
/// into the folder of a key they miss (see Arrivals). The folder is made at the first save and
/// removed, when empty, by clear().
class FileStorage final : public Storage {
 public:
  explicit FileStorage(std::string root) : root_(std::move(root)) {}

  Capabilities capabilities() const override { return {}; }
  std::string describe() const override { return root_; }

  void save(std::string_view key, Bytes value) override { write(key, value, 0); }
  bool create(std::string_view key, Bytes value) override {
    return write(key, value, RENAME_NOREPLACE);
  }

  std::optional<Buffer> load(std::string_view key) override { return read_file(path_of(key)); }

  void remove(std::string_view key) override {
    const std::string path = path_of(key);
    if (::unlink(path.c_str()) != 0 && errno != ENOENT && errno != ENOTDIR && errno != EISDIR)
      fail_errno(errno, fmt::format("removing {}", path));
  }

  std::vector<Entry> list(std::string_view prefix) override {
    std::vector<Entry> entries;
    const std::size_t slash = prefix.rfind('/');
    const std::string folder(slash == std::string_view::npos ? "" : prefix.substr(0, slash));
    walk(folder, prefix, entries);
    std::sort(entries.begin(), entries.end(),
              [](const Entry& a, const Entry& b) { return a.key < b.key; });
    return entries;
  }

  void clear(std::string_view prefix) override {
    std::error_code ignored;
    if (prefix.ends_with('/')) {
      check_key(prefix.substr(0, prefix.size() - 1));
      fs::remove_all(root_ + "/" + std::string(prefix), ignored);
    } else {
      Storage::clear(prefix);
      remove_empty_folders(root_);
    }
    ::rmdir(root_.c_str());  // refused unless it is empty
  }

  std::vector<Buffer> load_all(std::span<const std::string> keys, Deadline deadline) override {
    const Stopwatch clock;
    std::vector<std::optional<Buffer>> found(keys.size());
    std::vector<std::size_t> missing;
    for (std::size_t i = 0; i < keys.size(); ++i)
      if (!(found[i] = load(keys[i]))) missing.push_back(i);
    if (!missing.empty()) {
      const Arrivals::Watch watch = arrivals_.begin();
      while (!missing.empty()) {
        // Watch first, then look: what comes in between is seen by one of the two.
        bool watched = true;
        for (const std::size_t i : missing)
          watched &= watch.folder(fs::path(path_of(keys[i])).parent_path());
        std::erase_if(missing,
                      [&](std::size_t i) { return (found[i] = load(keys[i])).has_value(); });
        if (missing.empty()) break;
        if (deadline.passed()) {
          std::vector<std::string> names;
          for (const std::size_t i : missing) names.push_back(keys[i]);
          fail_missing(describe(), names, clock.seconds());
        }
        watch.wait(watched, deadline.seconds_left());
      }
    }
    std::vector<Buffer> values;
    values.reserve(keys.size());
    for (std::optional<Buffer>& value : found) values.push_back(std::move(*value));
    return values;
  }

 private:
  std::string path_of(std::string_view key) const {
    check_key(key);
    std::string path = root_;
    path += '/';
    path += key;
    return path;
  }

  bool write(std::string_view key, Bytes value, unsigned int rename_flags) {
    static std::atomic<std::uint64_t> serial{0};
    const std::string path = path_of(key);
    const std::string folder = path.substr(0, path.rfind('/'));
    const std::string temporary =
        fmt::format("{}/{}{}-{}", folder, kTemporary, ::getpid(), serial++);
    const std::string doing = fmt::format("saving {}", path);
    constexpr int kFlags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC;
    FileDescriptor file(::open(temporary.c_str(), kFlags, 0644));
    // The folder is made when it is missing; more than once when a clear() removes it meanwhile.
    for (int tries = 0; !file && errno == ENOENT && tries < 10; ++tries) {
      make_folder(folder);
      file = FileDescriptor(::open(temporary.c_str(), kFlags, 0644));
    }
    if (!file) fail_errno(errno, doing);
    const auto give_up = [&](int error) {
      ::unlink(temporary.c_str());
      fail_errno(error, doing);
    };
    std::size_t done = 0;
    while (done < value.size()) {
      const ssize_t n = ::write(file.get(), value.data() + done, value.size() - done);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) give_up(errno);
      done += static_cast<std::size_t>(n);
    }
    file.reset();
    if (::syscall(SYS_renameat2, AT_FDCWD, temporary.c_str(), AT_FDCWD, path.c_str(),
                  rename_flags) == 0)
      return true;
    if (rename_flags != 0 && errno == EEXIST) {
      ::unlink(temporary.c_str());
      return false;
    }
    give_up(errno);
    return false;
  }

  void walk(const std::string& folder, std::string_view prefix, std::vector<Entry>& entries) const {
    std::error_code error;
    const std::string at = folder.empty() ? root_ : root_ + "/" + folder;
    for (const fs::directory_entry& entry : fs::directory_iterator(at, error)) {
      const std::string name = entry.path().filename().string();
      if (name.starts_with(kTemporary)) continue;
      const std::string key = folder.empty() ? name : folder + "/" + name;
      const bool inside = key.starts_with(prefix);
      const bool above = prefix.starts_with(key + "/");
      if (!inside && !above) continue;
      std::error_code gone;
      if (entry.is_directory(gone))
        walk(key, prefix, entries);
      else if (const std::uint64_t bytes = entry.file_size(gone); inside && !gone)
        entries.push_back({key, bytes});
    }
    if (error && error != std::errc::no_such_file_or_directory &&
        error != std::errc::not_a_directory)
      fail_errno(error.value(), fmt::format("listing {}", at));
  }

  static void remove_empty_folders(const std::string& folder) {
    std::error_code ignored;
    std::vector<std::string> inner;
    for (const fs::directory_entry& entry : fs::directory_iterator(folder, ignored))
      if (entry.is_directory(ignored) && !entry.is_symlink(ignored))
        inner.push_back(entry.path().string());
    for (const std::string& path : inner) {
      remove_empty_folders(path);
      ::rmdir(path.c_str());
    }
  }

  const std::string root_;
  Arrivals arrivals_;
};

}  // namespace

void register_plugin(Registry& registry) {
  registry.add(
      {.name = "file",
       .help = "a folder that all workers see; in shared memory by default",
       .open = [](const Uri& uri) { return std::make_shared<FileStorage>(uri.path); },
       .default_uri =
           [] {
             return Uri::parse(
                 (shared_memory_folder() / fmt::format("lambdaml-{}", ::getuid())).string());
           }});
}

}  // namespace lambdaml::storage::file
