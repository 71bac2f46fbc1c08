#include "lambdaml/deploy/oci_image.h"

#include <array>
#include <cstring>
#include <set>

#include <fmt/core.h>
#include <nlohmann/json.hpp>
#include <zlib.h>

#include "lambdaml/aws/sigv4.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/files.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/text.h"

namespace lambdaml::deploy {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr std::size_t kBlock = 512;

/// The header of an entry in a tar archive (POSIX ustar): fields of text at fixed places.
class TarHeader {
 public:
  TarHeader(const std::string& name, std::size_t bytes, unsigned mode, char type) {
    // Longer names could be split at a slash; none is.
    if (name.size() > 100)
      fail(Code::invalid_argument, "packaging: the name {} is too long for a layer",
           printable(name));
    put(0, name);
    put(100, fmt::format("{:07o}", mode));
    put(108, "0000000");  // user and group: root
    put(116, "0000000");
    put(124, fmt::format("{:011o}", bytes));
    put(136, "00000000000");  // time: 1970, so that the same files give the same bytes
    bytes_[156] = type;
    put(257, "ustar");
    put(263, "00");
    put(148, "        ");  // the sum is taken with blanks in its own place
    unsigned sum = 0;
    for (const char byte : bytes_) sum += static_cast<unsigned char>(byte);
    put(148, fmt::format("{:06o}", sum));
    bytes_[154] = '\0';
  }
  std::string_view bytes() const { return {bytes_.data(), bytes_.size()}; }

 private:
  void put(std::size_t at, std::string_view text) {
    std::memcpy(bytes_.data() + at, text.data(), text.size());
  }
  std::array<char, kBlock> bytes_{};
};

/// The layer: each folder before what is in it.
std::string tar_of(const ZipEntries& entries, const std::string& folder) {
  std::string tar;
  std::set<std::string> folders;
  const std::string root = folder.substr(1) + "/";
  for (const auto& [name, entry] : entries) {
    const std::string path = root + name;
    for (std::size_t at = path.find('/'); at != std::string::npos; at = path.find('/', at + 1))
      if (folders.insert(path.substr(0, at + 1)).second)
        tar += TarHeader(path.substr(0, at + 1), 0, 0755, '5').bytes();
    tar += TarHeader(path, entry.content.size(), entry.executable ? 0755 : 0644, '0').bytes();
    tar += entry.content.text();
    tar.append((kBlock - tar.size() % kBlock) % kBlock, '\0');
  }
  tar.append(2 * kBlock, '\0');
  return tar;
}

std::string compressed(std::string_view text) {
  constexpr int kGzip = 15 + 16;
  z_stream stream{};
  if (deflateInit2(&stream, 6, Z_DEFLATED, kGzip, 8, Z_DEFAULT_STRATEGY) != Z_OK)
    throw std::bad_alloc();
  std::string out(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int end = deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  if (end != Z_STREAM_END) fail(Code::internal, "packaging: zlib gives up ({})", end);
  return out;
}

std::string digest_of(std::string_view text) { return "sha256:" + aws::sha256_hex(as_bytes(text)); }

/// Writes the blobs, and tells what refers to them.
class Layout {
 public:
  explicit Layout(fs::path path) : path_(std::move(path)) {
    std::error_code none;
    const bool is_ours = fs::exists(path_ / "oci-layout", none) || fs::is_empty(path_, none);
    if (fs::exists(path_, none) && (!fs::is_directory(path_, none) || !is_ours))
      fail(Code::already_exists,
           "packaging {}: an image is a folder of its own, and something else is there",
           path_.string());
    make_folder(path_ / "blobs" / "sha256", Access::umask);
  }

  Json blob(const std::string& type, std::string_view text) {
    const std::string digest = digest_of(text);
    write(fs::path("blobs") / "sha256" / digest.substr(digest.find(':') + 1), text);
    return {{"mediaType", "application/vnd.oci.image." + type},
            {"digest", digest},
            {"size", text.size()}};
  }
  void write(const fs::path& name, std::string_view text) {
    write_file(path_ / name, as_bytes(text), {.access = Access::umask});
    bytes_ += text.size();
  }
  std::uint64_t bytes() const { return bytes_; }

 private:
  const fs::path path_;
  std::uint64_t bytes_ = 0;
};

}  // namespace

std::uint64_t write_oci_image(const fs::path& path, const ZipEntries& entries,
                              const ImageOptions& options) {
  Layout layout(path);
  const std::string tar = tar_of(entries, options.folder);
  const Json layer = layout.blob("layer.v1.tar+gzip", compressed(tar));
  const Json about = {{"org.opencontainers.image.title", "lambdaml"},
                      {"org.opencontainers.image.version", options.version}};
  const Json config = {{"architecture", options.architecture},
                       {"os", "linux"},
                       {"config",
                        {{"Env", options.environment},
                         {"Entrypoint", options.entrypoint},
                         {"Cmd", options.command},
                         {"WorkingDir", options.folder},
                         {"Labels", about}}},
                       {"rootfs", {{"type", "layers"}, {"diff_ids", {digest_of(tar)}}}}};
  const Json manifest = {{"schemaVersion", 2},
                         {"mediaType", "application/vnd.oci.image.manifest.v1+json"},
                         {"config", layout.blob("config.v1+json", json_text(config))},
                         {"layers", Json::array({layer})}};
  Json named = layout.blob("manifest.v1+json", json_text(manifest));
  named["annotations"] = {{"org.opencontainers.image.ref.name", "latest"}};
  named["platform"] = {{"architecture", options.architecture}, {"os", "linux"}};
  layout.write("index.json",
               json_text(Json{{"schemaVersion", 2},
                              {"mediaType", "application/vnd.oci.image.index.v1+json"},
                              {"manifests", Json::array({named})}}));
  layout.write("oci-layout", R"({"imageLayoutVersion":"1.0.0"})");
  return layout.bytes();
}

}  // namespace lambdaml::deploy
