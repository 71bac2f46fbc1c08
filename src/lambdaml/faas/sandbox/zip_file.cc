#include "lambdaml/faas/sandbox/zip_file.h"

#include <array>
#include <cerrno>
#include <fstream>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/files.h"
#include "lambdaml/base/formats/elf.h"
#include "lambdaml/base/formats/zip_reader.h"
#include "lambdaml/base/text.h"
#include "lambdaml/faas/sandbox/service_error.h"

namespace lambdaml::faas::sandbox {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostLinkBytes = 4096;
#if defined(__aarch64__)
constexpr std::string_view kMachine = "arm64";
#else
constexpr std::string_view kMachine = "x86_64";
#endif

ServiceError bad_zip(const std::string& why) {
  return invalid_parameter("Could not unzip uploaded file. " + why);
}

ZipReader opened(std::string_view zip) {
  try {
    return ZipReader(as_bytes(zip), "the zip");
  } catch (const Error& error) {
    if (error.code() != Code::data_corrupt) throw;
    throw bad_zip("Please check your file, then try to upload again.");
  }
}

/// The entry's path below the folder; throws if it would be outside.
fs::path place_of(const std::string& name) {
  const fs::path path(name);
  bool bad = name.empty() || path.is_absolute() || name.find('\\') != std::string::npos;
  for (const fs::path& part : path) bad = bad || part == "..";
  if (bad) throw bad_zip(fmt::format("The name '{}' leads out of it.", printable(name)));
  return path.lexically_normal();
}

/// Calls `take` with the entry's bytes, piece by piece, and subtracts them from `left`.
template <class Take>
void read_entry(const ZipReader& zip, std::size_t entry, std::uint64_t& left, Take take) {
  bool fits = false;
  try {
    fits = zip.read(entry, left, [&](Bytes piece) {
      left -= piece.size();
      take(as_text(piece));
    });
  } catch (const Error& error) {
    if (error.code() == Code::data_corrupt) throw bad_zip("An entry is damaged.");
    throw;
  }
  if (!fits)
    throw invalid_parameter("Unzipped size must be smaller than the limit of its platform");
}

void write_entry(const ZipReader& zip, std::size_t entry, std::uint64_t& left, const fs::path& path,
                 mode_t mode) {
  const FileDescriptor file(
      open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file) {
    if (errno == ENOSPC || errno == EMFILE) fail_errno(errno, "cannot unzip the function");
    throw bad_zip(fmt::format("'{}' cannot be written; does it come twice?",
                              printable(path.filename().string())));
  }
  read_entry(zip, entry, left, [&](std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = write(file.get(), bytes.data(), bytes.size());
      if (n < 0 && errno != EINTR) fail_errno(errno, "cannot unzip the function");
      if (n > 0) bytes.remove_prefix(static_cast<std::size_t>(n));
    }
  });
  fchmod(file.get(), (mode & S_IRWXU) | S_IRUSR | S_IWUSR);
}

void make_folder_of(const fs::path& folder, const std::string& entry) {
  try {
    make_folder(folder);
  } catch (const Error& error) {
    throw bad_zip(fmt::format("'{}': {}", printable(entry), error.what()));
  }
}

/// Links come after all files, so that no file is written through one.
void make_links(const fs::path& root, const std::vector<std::pair<fs::path, std::string>>& links) {
  std::error_code error;
  for (const auto& [path, target] : links) {
    fs::create_symlink(target, path, error);
    if (error || fs::path(target).is_absolute())
      throw bad_zip(fmt::format("The link '{}' cannot be.", printable(path.filename().string())));
  }
  const std::string inside = fs::canonical(root).string() + "/";
  for (const auto& [path, target] : links) {
    const fs::path real = fs::canonical(path, error);
    if (error || !(real.string() + "/").starts_with(inside))
      throw bad_zip(
          fmt::format("The link '{}' leads out of it.", printable(path.filename().string())));
  }
}

}  // namespace

void unzip(std::string_view bytes, const fs::path& into, std::uint64_t most_bytes) {
  const ZipReader zip = opened(bytes);
  std::vector<std::pair<fs::path, std::string>> links;
  for (std::size_t i = 0; i < zip.entries(); ++i) {
    const std::string name = zip.name(i);
    const fs::path path = into / place_of(name);
    const mode_t mode = zip.mode(i).value_or(0644);
    if (name.ends_with('/')) {
      make_folder_of(path, name);
      continue;
    }
    make_folder_of(path.parent_path(), name);
    if (!S_ISLNK(mode)) {
      write_entry(zip, i, most_bytes, path, mode);
      continue;
    }
    std::string target;
    read_entry(zip, i, most_bytes, [&](std::string_view piece) {
      if (target.size() + piece.size() > kMostLinkBytes) throw bad_zip("A link is too long.");
      target += piece;
    });
    links.emplace_back(path, target);
  }
  make_links(into, links);
}

void check_bootstrap(const fs::path& folder, const std::string& architecture) {
  if (architecture != kMachine)
    throw invalid_parameter(fmt::format(
        "The architecture {} cannot be run here: this machine's is {}.", architecture, kMachine));
  std::error_code ignored;
  if (!fs::is_regular_file(folder / "bootstrap", ignored))
    throw invalid_parameter(
        "The zip has no file 'bootstrap' at its top, which a custom runtime is.");
  std::ifstream file(folder / "bootstrap", std::ios::binary);
  std::array<char, 64> head{};
  file.read(head.data(), head.size());
  const auto size = static_cast<std::size_t>(file.gcount());
  const std::optional<std::string> machine =
      elf_architecture(as_bytes(std::string_view(head.data(), size)));
  if (machine && *machine != architecture)
    throw invalid_parameter(
        fmt::format("The zip's 'bootstrap' is no executable of {}.", architecture));
}

}  // namespace lambdaml::faas::sandbox
