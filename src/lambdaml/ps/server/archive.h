#pragma once

#include <cstring>
#include <filesystem>
#include <functional>
#include <string>
#include <type_traits>
#include <vector>

#include "lambdaml/base/bytes.h"
#include "lambdaml/base/error.h"

/// Files of the server's state: magic "LMPS", version, kind, checksum, then the bytes of a Writer.
namespace lambdaml::ps {

class Writer {
 public:
  template <class T>
  requires std::is_trivially_copyable_v<T>
  void put(const T& value) {
    const auto* bytes = reinterpret_cast<const std::byte*>(&value);
    bytes_.insert(bytes_.end(), bytes, bytes + sizeof value);
  }
  void put(Bytes bytes) {
    put(static_cast<std::uint64_t>(bytes.size()));
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  }
  void put(const std::string& text) { put(as_bytes(text)); }
  template <class T>
  void put(const std::vector<T>& values) {
    put(Bytes(std::as_bytes(std::span(values))));
  }
  Bytes bytes() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

/// Reads in the order of writing. Throws data_corrupt if the bytes end too early.
class Reader {
 public:
  explicit Reader(Bytes bytes) : bytes_(bytes) {}
  template <class T>
  requires std::is_trivially_copyable_v<T> T get() {
    T value;
    const Bytes bytes = take(sizeof value);
    std::memcpy(&value, bytes.data(), sizeof value);
    return value;
  }
  Bytes get_bytes() { return take(get<std::uint64_t>()); }
  std::string get_text() { return std::string(as_text(get_bytes())); }
  template <class T>
  std::vector<T> get_vector() {
    const Bytes bytes = get_bytes();
    if (bytes.size() % sizeof(T) != 0) fail(Code::data_corrupt, "a vector is cut");
    std::vector<T> values(bytes.size() / sizeof(T));
    if (!values.empty()) std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
  }
  bool empty() const { return bytes_.empty(); }

 private:
  Bytes take(std::uint64_t n) {
    if (n > bytes_.size()) fail(Code::data_corrupt, "it ends too early");
    const Bytes out = bytes_.first(n);
    bytes_ = bytes_.subspan(n);
    return out;
  }
  Bytes bytes_;
};

enum class FileKind : std::uint32_t { model = 1, key = 2 };

/// The file of an id; every id, whatever its characters, has its own file name.
std::filesystem::path file_of(const std::filesystem::path& folder, const std::string& id);
/// Writes the whole file or, on an error, leaves the old one.
void write_archive(const std::filesystem::path& path, FileKind kind, const Writer& content);
inline constexpr std::size_t kArchiveHead = 24;

/// Calls use(reader) with the content of each file of a folder that the server wrote. One that is
/// damaged, or that `use` finds to be, is set aside as .corrupt, with a warning.
void read_archives(const std::filesystem::path& folder, FileKind kind,
                   const std::function<void(Reader&, const std::filesystem::path&)>& use);

}  // namespace lambdaml::ps
