#include <algorithm>
#include <map>

#include "lambdaml/base/checksum.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"
#include "lambdaml/storage/decorators.h"

namespace lambdaml::storage {
namespace {

constexpr std::size_t kMarkBytes = 8;
constexpr std::string_view kWhole = "LMWHOLE1";
constexpr std::string_view kIndex = "LMCHUNK1";
constexpr std::string_view kPieces = ".chunk/";

/// What lies under the key of a value in pieces. The generation is the value's checksum, so the
/// same value is the same pieces, and a reader who finds pieces of another one knows it.
struct Index {
  std::uint64_t bytes = 0;
  std::uint64_t chunk = 0;
  std::uint64_t generation = 0;

  std::uint64_t pieces() const { return (bytes + chunk - 1) / chunk; }
};

class ChunkedStorage final : public Storage {
 public:
  ChunkedStorage(std::shared_ptr<Storage> inner, std::uint64_t chunk_bytes)
      : inner_(std::move(inner)),
        chunk_(chunk_bytes != 0 ? chunk_bytes : inner_->capabilities().max_value_bytes) {
    if (chunk_ < 64)
      fail(Code::invalid_argument, "chunks of {} bytes: at least 64 are needed", chunk_);
  }

  Capabilities capabilities() const override {
    Capabilities capabilities = inner_->capabilities();
    capabilities.max_value_bytes = Capabilities{}.max_value_bytes;
    return capabilities;
  }
  std::string describe() const override { return inner_->describe(); }

  void save(std::string_view key, Bytes value) override {
    const std::optional<Index> before = is_long(value) ? load_index(key) : std::nullopt;
    const Buffer head = save_pieces(key, value);
    inner_->save(key, head);
    if (before && before->generation != checksum(value)) remove_pieces(key, *before);
  }

  bool create(std::string_view key, Bytes value) override {
    return inner_->create(key, save_pieces(key, value));
  }

  std::optional<Buffer> load(std::string_view key) override {
    constexpr int kTries = 10;
    for (int i = 0; i < kTries; ++i) {
      std::optional<Buffer> head = inner_->load(key);
      if (!head) return {};
      std::optional<Buffer> value = assemble(key, *head);
      if (value) return value;
      // The pieces went while we read: the value was replaced. Look again.
    }
    fail(Code::unavailable, "loading {}: it is replaced faster than it can be read", key);
  }

  void remove(std::string_view key) override {
    const std::optional<Index> index = load_index(key);
    inner_->remove(key);
    if (index) remove_pieces(key, *index);
  }

  std::vector<Entry> list(std::string_view prefix) override {
    std::vector<Entry> entries;
    std::map<std::string, bool, std::less<>> in_pieces;
    for (Entry& entry : inner_->list(prefix)) {
      const std::size_t mark = entry.key.rfind(kPieces);
      if (mark != std::string::npos)
        in_pieces[entry.key.substr(0, mark)] = true;
      else
        entries.push_back(std::move(entry));
    }
    for (Entry& entry : entries) {
      const std::optional<Index> index =
          in_pieces.contains(entry.key) ? load_index(entry.key) : std::nullopt;
      entry.bytes =
          index ? index->bytes : entry.bytes - std::min<std::uint64_t>(entry.bytes, kMarkBytes);
    }
    return entries;
  }

  void clear(std::string_view prefix) override { inner_->clear(prefix); }

  std::vector<Buffer> load_all(std::span<const std::string> keys, Deadline deadline) override {
    std::vector<Buffer> heads = inner_->load_all(keys, deadline);
    std::vector<Buffer> values;
    for (std::size_t i = 0; i < heads.size(); ++i) {
      std::optional<Buffer> value = assemble(keys[i], heads[i]);
      values.push_back(value ? std::move(*value) : load_or_wait(keys[i], deadline));
    }
    return values;
  }

 private:
  bool is_long(Bytes value) const { return value.size() > chunk_ - kMarkBytes; }

  static std::string piece_key(std::string_view key, std::uint64_t generation, std::uint64_t i) {
    return fmt::format("{}{}{:016x}-{}", key, kPieces, generation, i);
  }
  static std::vector<std::string> piece_keys(std::string_view key, const Index& index) {
    std::vector<std::string> keys;
    for (std::uint64_t i = 0; i < index.pieces(); ++i)
      keys.push_back(piece_key(key, index.generation, i));
    return keys;
  }

  /// Saves the pieces of a long value; returns what belongs under the key itself.
  Buffer save_pieces(std::string_view key, Bytes value) {
    if (!is_long(value)) {
      Buffer head(kMarkBytes + value.size());
      std::memcpy(head.data(), kWhole.data(), kMarkBytes);
      if (!value.empty()) std::memcpy(head.data() + kMarkBytes, value.data(), value.size());
      return head;
    }
    const Index index{value.size(), chunk_, checksum(value)};
    const std::vector<std::string> keys = piece_keys(key, index);
    std::vector<Item> items;
    for (std::size_t i = 0; i < keys.size(); ++i)
      items.push_back({keys[i], value.subspan(i * chunk_, std::min<std::size_t>(
                                                              chunk_, value.size() - i * chunk_))});
    inner_->save_all(items);
    Buffer head(kMarkBytes + sizeof index);
    std::memcpy(head.data(), kIndex.data(), kMarkBytes);
    std::memcpy(head.data() + kMarkBytes, &index, sizeof index);
    return head;
  }

  std::optional<Index> parse_index(std::string_view key, Bytes head) const {
    const std::string_view text = as_text(head);
    if (text.starts_with(kWhole)) return {};
    Index index;
    if (!text.starts_with(kIndex) || head.size() != kMarkBytes + sizeof index)
      fail(Code::data_corrupt, "{} in {}: it was not written by this program, or damaged",
           printable(key), describe());
    std::memcpy(&index, head.data() + kMarkBytes, sizeof index);
    if (index.chunk < 64 || index.bytes / index.chunk > (1 << 24))
      fail(Code::data_corrupt, "{} in {}: its index makes no sense", printable(key), describe());
    return index;
  }

  std::optional<Index> load_index(std::string_view key) {
    const std::optional<Buffer> head = inner_->load(key);
    return head ? parse_index(key, *head) : std::nullopt;
  }

  /// Absent when pieces are missing.
  std::optional<Buffer> assemble(std::string_view key, const Buffer& head) {
    const std::optional<Index> index = parse_index(key, head);
    if (!index) return Buffer(head.view().subspan(kMarkBytes));
    std::vector<Buffer> pieces;
    std::uint64_t bytes = 0;
    for (const std::string& piece : piece_keys(key, *index)) {
      std::optional<Buffer> part = inner_->load(piece);
      if (!part) return {};
      bytes += part->size();
      pieces.push_back(std::move(*part));
    }
    if (bytes != index->bytes)
      fail(Code::data_corrupt, "{} in {}: {} bytes in pieces instead of {}", printable(key),
           describe(), bytes, index->bytes);
    Buffer value(bytes);
    std::size_t at = 0;
    for (const Buffer& piece : pieces) {
      std::memcpy(value.data() + at, piece.data(), piece.size());
      at += piece.size();
    }
    if (checksum(value) != index->generation)
      fail(Code::data_corrupt, "{} in {}: its checksum does not fit; it was damaged",
           printable(key), describe());
    return value;
  }

  void remove_pieces(std::string_view key, const Index& index) {
    inner_->remove_all(piece_keys(key, index));
  }

  const std::shared_ptr<Storage> inner_;
  const std::uint64_t chunk_;
};

}  // namespace

std::shared_ptr<Storage> with_chunks(std::shared_ptr<Storage> inner, std::uint64_t chunk_bytes) {
  return std::make_shared<ChunkedStorage>(std::move(inner), chunk_bytes);
}

}  // namespace lambdaml::storage
