#include "lambdaml/ps/server/archive.h"

#include "lambdaml/base/checksum.h"
#include "lambdaml/base/files.h"
#include "lambdaml/base/log.h"

namespace lambdaml::ps {
namespace {

constexpr std::uint32_t kMagic = 0x53504D4C;  // "LMPS"
constexpr std::uint32_t kVersion = 1;

struct Head {
  std::uint32_t magic = kMagic;
  std::uint32_t version = kVersion;
  std::uint32_t kind = 0;
  std::uint32_t zero = 0;
  std::uint64_t checksum = 0;
};
static_assert(sizeof(Head) == kArchiveHead);

std::uint64_t checksum_of(const Head& head, Bytes content) {
  const Bytes fields{reinterpret_cast<const std::byte*>(&head), offsetof(Head, checksum)};
  return checksum(content, checksum(fields));
}

/// Reads what write_archive() wrote; throws data_corrupt for anything else.
Buffer read_archive(const std::filesystem::path& path, FileKind kind) {
  std::optional<Buffer> bytes = read_file(path);
  const auto corrupt = [&](std::string_view why) { fail(Code::data_corrupt, "{}", why); };
  if (!bytes) corrupt("it is no file");
  Head head;
  if (bytes->size() < sizeof head) corrupt("it is shorter than its head");
  std::memcpy(&head, bytes->data(), sizeof head);
  if (head.magic != kMagic) corrupt("it does not begin with LMPS: no file of a parameter server");
  if (head.version != kVersion || head.kind != static_cast<std::uint32_t>(kind))
    corrupt("it is of another version or kind");
  if (head.checksum != checksum_of(head, bytes->view().subspan(sizeof head)))
    corrupt("it does not have its checksum");
  return std::move(*bytes);
}

}  // namespace

std::filesystem::path file_of(const std::filesystem::path& folder, const std::string& id) {
  return folder / fmt::format("{:016x}{:016x}", checksum(as_bytes(id), 1), checksum(as_bytes(id)));
}

void write_archive(const std::filesystem::path& path, FileKind kind, const Writer& content) {
  Head head;
  head.kind = static_cast<std::uint32_t>(kind);
  head.checksum = checksum_of(head, content.bytes());
  Buffer bytes(sizeof head + content.bytes().size());
  std::memcpy(bytes.data(), &head, sizeof head);
  if (!content.bytes().empty())
    std::memcpy(bytes.data() + sizeof head, content.bytes().data(), content.bytes().size());
  write_file(path, bytes);
}

void read_archives(const std::filesystem::path& folder, FileKind kind,
                   const std::function<void(Reader&, const std::filesystem::path&)>& use) {
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    if (file.path().has_extension()) continue;  // set aside, or never finished
    try {
      const Buffer archive = read_archive(file.path(), kind);
      Reader in(archive.view().subspan(kArchiveHead));
      use(in, file.path());
    } catch (const Error& error) {
      if (error.code() != Code::data_corrupt) throw;
      log::warning("{}: {}; it is set aside as .corrupt", file.path().string(), error.what());
      std::error_code ignored;
      std::filesystem::rename(file.path(), file.path().string() + ".corrupt", ignored);
    }
  }
}

}  // namespace lambdaml::ps
