#include "lambdaml/deploy/zip_archive.h"

#include <system_error>

#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zip.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/formats/zip_reader.h"
#include "lambdaml/base/interrupt.h"

namespace lambdaml::deploy {
namespace {

namespace fs = std::filesystem;

/// 1980-01-01 00:00, the earliest time that a zip can represent.
constexpr zip_uint16_t kTime = 0;
constexpr zip_uint16_t kDate = (0 << 9) | (1 << 5) | 1;

/// Discards the archive unless it was closed successfully.
class Archive {
 public:
  explicit Archive(const fs::path& path) : path_(path) {
    int error = 0;
    zip_ = zip_open(path.c_str(), ZIP_CREATE | ZIP_TRUNCATE, &error);
    if (zip_ != nullptr) return;
    zip_error_t described;
    zip_error_init_with_code(&described, error);
    const std::string why = zip_error_strerror(&described);
    zip_error_fini(&described);
    fail(Code::permission_denied, "writing {}: {}", path.string(), why);
  }
  ~Archive() {
    if (zip_ != nullptr) zip_discard(zip_);
  }
  Archive(const Archive&) = delete;

  void add(const std::string& name, const ZipEntry& entry) {
    zip_source_t* source = zip_source_buffer(zip_, entry.content.data(), entry.content.size(), 0);
    if (source == nullptr) give_up(name);
    const zip_int64_t index = zip_file_add(zip_, name.c_str(), source, ZIP_FL_ENC_UTF_8);
    if (index < 0) {
      zip_source_free(source);
      give_up(name);
    }
    const auto at = static_cast<zip_uint64_t>(index);
    const zip_uint32_t mode = S_IFREG | (entry.executable ? 0755U : 0644U);
    if (zip_file_set_external_attributes(zip_, at, 0, ZIP_OPSYS_UNIX, mode << 16) != 0 ||
        zip_file_set_dostime(zip_, at, kTime, kDate, 0) != 0 ||
        zip_set_file_compression(zip_, at, ZIP_CM_DEFLATE, 9) != 0)
      give_up(name);
  }
  void close() {
    if (zip_close(zip_) != 0) give_up("its end");
    zip_ = nullptr;
  }

 private:
  [[noreturn]] void give_up(const std::string& at) {
    fail(Code::resource_exhausted, "writing {}, {}: {}", path_.string(), at, zip_strerror(zip_));
  }

  fs::path path_;
  zip_t* zip_ = nullptr;
};

}  // namespace

std::uint64_t write_zip(const fs::path& path, const ZipEntries& entries) {
  const fs::path temporary = path.string() + fmt::format(".{}.part", ::getpid());
  try {
    Archive archive(temporary);
    for (const auto& [name, entry] : entries) archive.add(name, entry);
    archive.close();
    throw_if_interrupted();
    const std::uint64_t bytes = fs::file_size(temporary);
    fs::rename(temporary, path);
    return bytes;
  } catch (const fs::filesystem_error& error) {
    std::error_code ignored;
    fs::remove(temporary, ignored);
    fail_errno(error.code().value(), fmt::format("writing {}", path.string()));
  } catch (...) {
    std::error_code ignored;
    fs::remove(temporary, ignored);
    throw;
  }
}

std::optional<Buffer> read_zip_entry(Bytes zip, const std::string& name, const std::string& what) {
  constexpr std::uint64_t kMostBytes = 250ULL << 20;
  const ZipReader reader(zip, what);
  const std::optional<std::size_t> entry = reader.find(name);
  if (!entry) return {};
  std::string content;
  if (!reader.read(*entry, kMostBytes, [&](Bytes piece) { content += as_text(piece); }))
    fail(Code::data_corrupt, "{}: its {} has more than 250 MB", what, name);
  return Buffer(as_bytes(content));
}

}  // namespace lambdaml::deploy
