#include "lambdaml/base/formats/zip_reader.h"

#include <vector>

#include <zip.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/programs/shared_library.h"
#include "lambdaml/base/sonames.h"
#include "lambdaml/base/text.h"

namespace lambdaml {
namespace {

struct ZipLibrary : SharedLibrary {
  ZipLibrary() : SharedLibrary(soname::kZip, "reading a zip") {}

  decltype(&::zip_discard) discard = find("zip_discard");
  decltype(&::zip_fclose) fclose = find("zip_fclose");
  decltype(&::zip_file_get_external_attributes) file_get_external_attributes =
      find("zip_file_get_external_attributes");
  decltype(&::zip_fopen_index) fopen_index = find("zip_fopen_index");
  decltype(&::zip_fread) fread = find("zip_fread");
  decltype(&::zip_get_name) get_name = find("zip_get_name");
  decltype(&::zip_get_num_entries) get_num_entries = find("zip_get_num_entries");
  decltype(&::zip_name_locate) name_locate = find("zip_name_locate");
  decltype(&::zip_open_from_source) open_from_source = find("zip_open_from_source");
  decltype(&::zip_source_buffer_create) source_buffer_create = find("zip_source_buffer_create");
  decltype(&::zip_source_free) source_free = find("zip_source_free");
};

const ZipLibrary& libzip() {
  static const ZipLibrary library;
  return library;
}

constexpr zip_int64_t kMostEntries = 100'000;

}  // namespace

struct ZipReader::Archive {
  explicit Archive(zip_t* from) : zip(from) {}
  Archive(const Archive&) = delete;
  ~Archive() { libzip().discard(zip); }
  zip_t* zip;
};

ZipReader::ZipReader(Bytes zip, std::string what) : what_(std::move(what)) {
  zip_source_t* const source = libzip().source_buffer_create(zip.data(), zip.size(), 0, nullptr);
  zip_t* const archive =
      source == nullptr ? nullptr : libzip().open_from_source(source, ZIP_RDONLY, nullptr);
  if (archive == nullptr) {
    if (source != nullptr) libzip().source_free(source);
    fail(Code::data_corrupt, "{}: it is no zip, or a damaged one", what_);
  }
  archive_ = std::make_unique<Archive>(archive);
  const zip_int64_t entries = libzip().get_num_entries(archive, 0);
  if (entries < 0 || entries > kMostEntries)
    fail(Code::data_corrupt, "{}: it has too many entries", what_);
  entries_ = static_cast<std::size_t>(entries);
}

ZipReader::~ZipReader() = default;

std::string ZipReader::name(std::size_t entry) const {
  const char* const name = libzip().get_name(archive_->zip, entry, 0);
  return name == nullptr ? "" : name;
}

std::optional<std::uint32_t> ZipReader::mode(std::size_t entry) const {
  zip_uint8_t system = ZIP_OPSYS_DOS;
  zip_uint32_t attributes = 0;
  libzip().file_get_external_attributes(archive_->zip, entry, 0, &system, &attributes);
  if (system != ZIP_OPSYS_UNIX) return {};
  return attributes >> 16U;
}

std::optional<std::size_t> ZipReader::find(const std::string& name) const {
  const zip_int64_t at = libzip().name_locate(archive_->zip, name.c_str(), 0);
  if (at < 0) return {};
  return static_cast<std::size_t>(at);
}

bool ZipReader::read(std::size_t entry, std::uint64_t most_bytes,
                     const std::function<void(Bytes)>& take) const {
  struct Close {
    void operator()(zip_file_t* file) const { libzip().fclose(file); }
  };
  const auto fail_damaged = [&] {
    fail(Code::data_corrupt, "{}: its '{}' is damaged, or of a kind that cannot be read", what_,
         printable(name(entry)));
  };
  const std::unique_ptr<zip_file_t, Close> file(libzip().fopen_index(archive_->zip, entry, 0));
  if (!file) fail_damaged();
  std::vector<std::byte> piece(64 << 10);
  while (true) {
    const zip_int64_t n = libzip().fread(file.get(), piece.data(), piece.size());
    if (n < 0) fail_damaged();
    if (n == 0) return true;
    if (static_cast<std::uint64_t>(n) > most_bytes) return false;
    most_bytes -= static_cast<std::uint64_t>(n);
    take(Bytes(piece).first(static_cast<std::size_t>(n)));
  }
}

}  // namespace lambdaml
