#include "lambdaml/faas/sandbox/zip_file.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zip.h>

#include "lambdaml/base/elf.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/files.h"
#include "lambdaml/base/shared_library.h"
#include "lambdaml/base/sonames.h"
#include "lambdaml/base/text.h"
#include "lambdaml/faas/sandbox/service_error.h"

namespace lambdaml::faas::sandbox {
namespace {

namespace fs = std::filesystem;

struct ZipLibrary : SharedLibrary {
  ZipLibrary() : SharedLibrary(soname::kZip, "unpacking a function's zip") {}

  decltype(&::zip_discard) discard = find("zip_discard");
  decltype(&::zip_error_fini) error_fini = find("zip_error_fini");
  decltype(&::zip_error_init) error_init = find("zip_error_init");
  decltype(&::zip_fclose) fclose = find("zip_fclose");
  decltype(&::zip_file_get_external_attributes) file_get_external_attributes =
      find("zip_file_get_external_attributes");
  decltype(&::zip_fopen_index) fopen_index = find("zip_fopen_index");
  decltype(&::zip_fread) fread = find("zip_fread");
  decltype(&::zip_get_name) get_name = find("zip_get_name");
  decltype(&::zip_get_num_entries) get_num_entries = find("zip_get_num_entries");
  decltype(&::zip_open_from_source) open_from_source = find("zip_open_from_source");
  decltype(&::zip_source_buffer_create) source_buffer_create = find("zip_source_buffer_create");
  decltype(&::zip_source_free) source_free = find("zip_source_free");
  decltype(&::zip_strerror) strerror = find("zip_strerror");
};

const ZipLibrary& libzip() {
  static const ZipLibrary library;
  return library;
}

constexpr zip_int64_t kMostEntries = 100'000;
constexpr std::size_t kMostLinkBytes = 4096;
#if defined(__aarch64__)
constexpr std::string_view kMachine = "arm64";
#else
constexpr std::string_view kMachine = "x86_64";
#endif

ServiceError bad_zip(const std::string& why) {
  return invalid_parameter("Could not unzip uploaded file. " + why);
}

struct CloseArchive {
  void operator()(zip_t* archive) const { libzip().discard(archive); }
};
struct CloseFile {
  void operator()(zip_file_t* file) const { libzip().fclose(file); }
};

/// The entry's place below the folder; throws for one that is not.
fs::path place_of(const char* name) {
  const fs::path path(name);
  bool bad = *name == '\0' || path.is_absolute() || std::strchr(name, '\\') != nullptr;
  for (const fs::path& part : path) bad = bad || part == "..";
  if (bad) throw bad_zip(fmt::format("The name '{}' leads out of it.", printable(name)));
  return path.lexically_normal();
}

/// Calls `take` with the entry's bytes, piece by piece, and counts them off `left`.
template <class Take>
void read_entry(zip_t* archive, zip_uint64_t index, std::uint64_t& left, Take take) {
  const std::unique_ptr<zip_file_t, CloseFile> file(libzip().fopen_index(archive, index, 0));
  if (!file) throw bad_zip(libzip().strerror(archive));
  std::vector<char> buffer(64 << 10);
  while (true) {
    const zip_int64_t n = libzip().fread(file.get(), buffer.data(), buffer.size());
    if (n < 0) throw bad_zip("An entry is damaged.");
    if (n == 0) return;
    if (static_cast<std::uint64_t>(n) > left)
      throw invalid_parameter("Unzipped size must be smaller than the limit of its platform");
    left -= static_cast<std::uint64_t>(n);
    take(std::string_view(buffer.data(), static_cast<std::size_t>(n)));
  }
}

void write_entry(zip_t* archive, zip_uint64_t index, std::uint64_t& left, const fs::path& path,
                 mode_t mode) {
  const FileDescriptor file(
      open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file) {
    if (errno == ENOSPC || errno == EMFILE) fail_errno(errno, "cannot unzip the function");
    throw bad_zip(fmt::format("'{}' cannot be written; does it come twice?",
                              printable(path.filename().string())));
  }
  read_entry(archive, index, left, [&](std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = write(file.get(), bytes.data(), bytes.size());
      if (n < 0 && errno != EINTR) fail_errno(errno, "cannot unzip the function");
      if (n > 0) bytes.remove_prefix(static_cast<std::size_t>(n));
    }
  });
  fchmod(file.get(), (mode & S_IRWXU) | S_IRUSR | S_IWUSR);
}

void make_folder_of(const fs::path& folder, const char* entry) {
  try {
    make_folder(folder);
  } catch (const Error& error) {
    throw bad_zip(fmt::format("'{}': {}", printable(entry), error.what()));
  }
}

/// After all files, so that none was written through a link.
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

void unzip(std::string_view zip, const fs::path& into, std::uint64_t most_bytes) {
  zip_error_t error;
  libzip().error_init(&error);
  zip_source_t* source = libzip().source_buffer_create(zip.data(), zip.size(), 0, &error);
  const std::unique_ptr<zip_t, CloseArchive> archive(
      source ? libzip().open_from_source(source, ZIP_RDONLY, &error) : nullptr);
  if (!archive) {
    if (source) libzip().source_free(source);
    libzip().error_fini(&error);
    throw bad_zip("Please check your file, then try to upload again.");
  }
  const zip_int64_t entries = libzip().get_num_entries(archive.get(), 0);
  if (entries > kMostEntries) throw bad_zip("It has too many entries.");
  std::vector<std::pair<fs::path, std::string>> links;
  for (zip_uint64_t i = 0; i < static_cast<zip_uint64_t>(entries); ++i) {
    const char* name = libzip().get_name(archive.get(), i, 0);
    const fs::path path = into / place_of(name ? name : "");
    zip_uint8_t system = ZIP_OPSYS_DOS;
    zip_uint32_t attributes = 0;
    libzip().file_get_external_attributes(archive.get(), i, 0, &system, &attributes);
    const mode_t mode = system == ZIP_OPSYS_UNIX ? attributes >> 16 : 0644;
    if (std::string_view(name).ends_with('/')) {
      make_folder_of(path, name);
    } else {
      make_folder_of(path.parent_path(), name);
      if (S_ISLNK(mode)) {
        std::string target;
        read_entry(archive.get(), i, most_bytes, [&](std::string_view bytes) {
          if (target.size() + bytes.size() > kMostLinkBytes) throw bad_zip("A link is too long.");
          target += bytes;
        });
        links.emplace_back(path, target);
      } else {
        write_entry(archive.get(), i, most_bytes, path, mode);
      }
    }
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
