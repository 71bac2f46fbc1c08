#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <mutex>
#include <set>

#include "lambdaml/base/checksum.h"
#include "lambdaml/base/fibers/waiting_mutex.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/unique_id.h"
#include "lambdaml/storage/decorators.h"
#include "lambdaml/storage/wrapper.h"

namespace lambdaml::storage {
namespace {

constexpr std::uint64_t kPlain = 0x31304c4156444d4cULL;  // "LMDVAL01": the value follows
constexpr std::uint64_t kIndex = 0x3130584449444d4cULL;  // "LMDIDX01": an Index
constexpr std::string_view kPieces = ".chunk/";
constexpr std::uint64_t kMostPieces = 1 << 20;  ///< bounds what a damaged index requests

/// The index stored under the key of a value that is kept in pieces.
struct Index {
  std::uint64_t mark = kIndex;
  std::uint64_t bytes = 0;        ///< of the value
  std::uint64_t piece_bytes = 0;  ///< of each piece but the last
  std::uint64_t generation = 0;   ///< in the pieces' names
  std::uint64_t value_checksum = 0;
  std::uint64_t own_checksum = 0;  ///< of the fields above

  std::uint64_t compute_own() const {
    return checksum({reinterpret_cast<const std::byte*>(this), offsetof(Index, own_checksum)});
  }
  std::uint64_t pieces() const { return bytes / piece_bytes + (bytes % piece_bytes == 0 ? 0 : 1); }
  Bytes view() const { return {reinterpret_cast<const std::byte*>(this), sizeof *this}; }
};
static_assert(sizeof(Index) == 48);

std::string piece_key(std::string_view key, const Index& index, std::uint64_t i) {
  return fmt::format("{}{}{:016x}-{}", key, kPieces, index.generation, i);
}

std::vector<std::string> piece_keys(std::string_view key, const Index& index) {
  std::vector<std::string> keys;
  for (std::uint64_t i = 0; i < index.pieces(); ++i) keys.push_back(piece_key(key, index, i));
  return keys;
}

class ChunkedWatch;

class Chunked final : public Wrapper {
 public:
  Chunked(std::shared_ptr<Storage> inner, std::uint64_t limit)
      : Wrapper(std::move(inner)), limit_(limit) {}

  Capabilities capabilities() const override {
    Capabilities out = inner().capabilities();
    out.max_value_bytes = Capabilities{}.max_value_bytes;
    return out;
  }

  void save(std::string_view key, Bytes value) override {
    check_name(key);
    const std::optional<Index> index = save_pieces(key, value);
    const auto turn = take_turn({&key, 1});
    if (index)
      inner().save(key, index->view());
    else
      inner().save(key, marked(value));
    replace_known(key, index);
  }

  void save_all(std::span<const Item> items) override {
    std::vector<Buffer> values;
    std::vector<Item> small;
    std::vector<std::string_view> keys;
    values.reserve(items.size());
    for (const Item& item : items) {
      check_name(item.key);
      if (item.value.size() + sizeof kPlain > limit_) {
        save(item.key, item.value);
      } else {
        small.push_back({item.key, values.emplace_back(marked(item.value))});
        keys.push_back(item.key);
      }
    }
    const auto turn = take_turn(keys);
    inner().save_all(small);
    for (const Item& item : small) replace_known(item.key, {});
  }

  /// In one call of the inner store if no value is in pieces, as far as this handle knows.
  void save_and_remove(std::span<const Item> items, std::span<const std::string> keys) override {
    std::vector<std::string_view> names(keys.begin(), keys.end());
    for (const Item& item : items) names.push_back(item.key);
    for (const std::string_view name : names) check_name(name);
    {
      const auto turn = take_turn(names);
      if (std::ranges::all_of(items, [&](const Item& item) { return fits_whole(item); }) &&
          std::ranges::all_of(keys, [&](const std::string& key) { return is_whole(key, false); })) {
        std::vector<Buffer> values;
        std::vector<Item> whole;
        for (const Item& item : items)
          whole.push_back({item.key, values.emplace_back(marked(item.value))});
        inner().save_and_remove(whole, keys);
        for (const Item& item : items) replace_known(item.key, {});
        forget(keys);
        return;
      }
    }
    Wrapper::save_and_remove(items, keys);
  }

  bool create(std::string_view key, Bytes value) override {
    check_name(key);
    const std::optional<Index> index = save_pieces(key, value);
    const auto turn = take_turn({&key, 1});
    const bool created =
        index ? inner().create(key, index->view()) : inner().create(key, marked(value));
    if (created)
      replace_known(key, index);
    else if (index)
      inner().remove_all(piece_keys(key, *index));
    return created;
  }

  std::optional<Buffer> load(std::string_view key) override {
    check_name(key);
    while (std::optional<Buffer> raw = inner().load(key))
      if (std::optional<Buffer> value = whole(key, std::move(*raw))) return value;
    return {};
  }

  bool exists(std::string_view key) override {
    check_name(key);
    return inner().exists(key);
  }

  /// One request for a plain value, which also transfers the bytes before the part: at most one
  /// piece. For a value in pieces, one request for the index and one for each piece that overlaps
  /// the part.
  std::optional<Buffer> load_range(std::string_view key, std::uint64_t begin,
                                   std::uint64_t bytes) override {
    check_name(key);
    const std::uint64_t end = bytes > limit_ || begin > limit_ ? limit_ : begin + bytes;
    const std::uint64_t wanted = std::max<std::uint64_t>(sizeof(Index), sizeof kPlain + end);
    while (std::optional<Buffer> raw = inner().load_range(key, 0, wanted)) {
      const std::optional<Index> index = index_of(*raw, key);
      if (!index) return Buffer(part_of_value(raw->view().subspan(sizeof kPlain), begin, bytes));
      if (std::optional<Buffer> part = part_of_pieces(key, *index, begin, bytes)) return part;
    }
    return {};
  }

  std::vector<std::optional<Buffer>> load_present(std::span<const std::string> keys) override {
    for (const std::string& key : keys) check_name(key);
    std::vector<std::optional<Buffer>> raws = inner().load_present(keys);
    std::vector<std::string> there;
    std::vector<Buffer> values;
    for (std::size_t i = 0; i < keys.size(); ++i) {
      if (!raws[i]) continue;
      there.push_back(keys[i]);
      values.push_back(std::move(*raws[i]));
    }
    std::vector<std::optional<Buffer>> wholes = assemble(there, std::move(values));
    std::vector<std::optional<Buffer>> out(keys.size());
    for (std::size_t i = 0, at = 0; i < keys.size(); ++i)
      if (raws[i]) out[i] = wholes[at] ? std::move(wholes[at]) : load(keys[i]), ++at;
    return out;
  }

  std::unique_ptr<KeyWatch> watch(std::vector<std::string> keys) override;

  void remove(std::string_view key) override {
    const std::string one(key);
    remove_all({&one, 1});
  }

  void remove_all(std::span<const std::string> keys) override {
    std::vector<std::string_view> names;
    for (const std::string& key : keys) {
      check_name(key);
      names.push_back(key);
    }
    const auto turn = take_turn(names);
    std::vector<std::string> pieces;
    for (const std::string& key : keys) {
      std::optional<Index> index;
      if (!known(key, index)) {
        // One byte more than an index has tells a longer value from one.
        const std::optional<Buffer> raw = inner().load_range(key, 0, sizeof(Index) + 1);
        if (raw) index = index_in(*raw);
      }
      if (!index) continue;
      for (std::string& piece : piece_keys(key, *index)) pieces.push_back(std::move(piece));
    }
    inner().remove_all(keys);
    forget(keys);
    if (!pieces.empty()) inner().remove_all(pieces);
  }

  std::vector<Entry> list(std::string_view prefix) override {
    std::vector<Entry> out;
    for (Entry& entry : inner().list(prefix)) {
      if (value_of_piece(entry.key)) continue;
      // An index is as long as a plain value may be, so only its contents can tell them apart.
      if (entry.bytes == sizeof(Index)) {
        const std::optional<Buffer> raw = inner().load(entry.key);
        if (!raw) continue;
        if (const std::optional<Index> index = index_in(*raw)) {
          out.push_back({std::move(entry.key), index->bytes});
          continue;
        }
        if (!is_plain(*raw)) {  // not ours: listed as what it is
          out.push_back(std::move(entry));
          continue;
        }
      }
      entry.bytes -= std::min<std::uint64_t>(entry.bytes, sizeof kPlain);
      out.push_back(std::move(entry));
    }
    return out;
  }

  void clear(std::string_view prefix) override {
    {
      const std::lock_guard lock(mutex_);
      std::erase_if(known_, [&](const auto& item) { return item.first.starts_with(prefix); });
    }
    // A prefix that ends within a name may match a piece but not its value: `a.` and `a.chunk/…`.
    if (prefix.empty() || prefix.ends_with('/') || !inner().capabilities().can_list)
      return inner().clear(prefix);
    std::vector<std::string> keys;
    for (Entry& entry : inner().list(prefix)) {
      const std::optional<std::string_view> value = value_of_piece(entry.key);
      if (!value || value->starts_with(prefix)) keys.push_back(std::move(entry.key));
    }
    inner().remove_all(keys);
  }

 private:
  friend class ChunkedWatch;

  /// Rejects names that are reserved for pieces.
  static void check_name(std::string_view key) {
    check_key(key);
    const std::string closed = std::string(key) + "/";
    if (closed.find(kPieces) != std::string::npos)
      fail(Code::invalid_argument, "the key '{}' has a part that ends in .chunk, which is taken",
           printable(key));
  }

  /// The key of the value that the piece under `key` belongs to; nullopt if it is not a piece.
  static std::optional<std::string_view> value_of_piece(std::string_view key) {
    const std::size_t at = key.rfind(kPieces);
    if (at == std::string_view::npos) return {};
    return key.substr(0, at);
  }

  static Buffer marked(Bytes value) {
    Buffer out(sizeof kPlain + value.size());
    std::memcpy(out.data(), &kPlain, sizeof kPlain);
    if (!value.empty()) std::memcpy(out.data() + sizeof kPlain, value.data(), value.size());
    return out;
  }

  static std::uint64_t mark_of(const Buffer& raw) {
    std::uint64_t mark = 0;
    if (raw.size() >= sizeof mark) std::memcpy(&mark, raw.data(), sizeof mark);
    return mark;
  }

  static bool is_plain(const Buffer& raw) { return mark_of(raw) == kPlain; }

  /// Parses `raw` as an index; nullopt if it is anything else.
  static std::optional<Index> index_in(const Buffer& raw) {
    Index index;
    if (mark_of(raw) != kIndex || raw.size() != sizeof index) return {};
    std::memcpy(&index, raw.data(), sizeof index);
    if (index.own_checksum != index.compute_own() || index.piece_bytes == 0 ||
        index.bytes / index.piece_bytes >= kMostPieces)
      return {};
    return index;
  }

  /// Parses `raw` as an index; nullopt for a plain value. Throws data_corrupt if it is neither.
  static std::optional<Index> index_of(const Buffer& raw, std::string_view key) {
    if (is_plain(raw)) return {};
    if (const std::optional<Index> index = index_in(raw)) return index;
    fail(Code::data_corrupt, "the value of '{}' was not written in pieces or is damaged", key);
  }

  /// Saves the pieces of a value that is too large for one request; nullopt if it is not.
  std::optional<Index> save_pieces(std::string_view key, Bytes value) {
    if (value.size() + sizeof kPlain <= limit_) return {};
    Index index;
    index.bytes = value.size();
    index.piece_bytes = limit_;
    index.generation = unique_number();
    index.value_checksum = checksum(value);
    index.own_checksum = index.compute_own();
    const std::vector<std::string> keys = piece_keys(key, index);
    std::vector<Item> items;
    for (std::size_t i = 0; i < keys.size(); ++i) {
      const std::size_t begin = i * limit_;
      items.push_back(
          {keys[i], value.subspan(begin, std::min<std::size_t>(limit_, value.size() - begin))});
    }
    inner().save_all(items);
    return index;
  }

  /// The value that the bytes under `key` stand for. nullopt if its pieces are missing because the
  /// value was overwritten or removed meanwhile: load the key again.
  std::optional<Buffer> whole(std::string_view key, Buffer raw) {
    const std::string one(key);
    std::vector<Buffer> values;
    values.push_back(std::move(raw));
    return std::move(assemble({&one, 1}, std::move(values)).front());
  }

  /// The same for several keys; loads all pieces in one batch.
  std::vector<std::optional<Buffer>> assemble(std::span<const std::string> keys,
                                              std::vector<Buffer> raws) {
    std::vector<std::optional<Buffer>> out(keys.size());
    std::vector<std::optional<Index>> indices(keys.size());
    std::vector<std::string> wanted;
    for (std::size_t i = 0; i < keys.size(); ++i) {
      Buffer& raw = raws[i];
      indices[i] = index_of(raw, keys[i]);
      if (indices[i]) {
        for (std::string& piece : piece_keys(keys[i], *indices[i]))
          wanted.push_back(std::move(piece));
      } else {
        std::memmove(raw.data(), raw.data() + sizeof kPlain, raw.size() - sizeof kPlain);
        raw.truncate(raw.size() - sizeof kPlain);
        out[i] = std::move(raw);
      }
    }
    if (wanted.empty()) return out;
    const std::vector<std::optional<Buffer>> pieces = inner().load_present(wanted);
    std::size_t at = 0;
    for (std::size_t i = 0; i < keys.size(); ++i) {
      if (!indices[i]) continue;
      const auto n = static_cast<std::size_t>(indices[i]->pieces());
      const auto own = std::span(pieces).subspan(at, n);
      if (std::ranges::all_of(own, [](const auto& piece) { return piece.has_value(); }))
        out[i] = joined(keys[i], *indices[i], own);
      else
        require_replaced(keys[i], *indices[i]);
      at += n;
    }
    return out;
  }

  /// A part of the value of `index`; nullopt if its pieces are missing because the value was
  /// overwritten or removed meanwhile.
  std::optional<Buffer> part_of_pieces(std::string_view key, const Index& index,
                                       std::uint64_t begin, std::uint64_t bytes) {
    begin = std::min(begin, index.bytes);
    const std::uint64_t end = begin + std::min(bytes, index.bytes - begin);
    Buffer part(end - begin);
    for (std::uint64_t at = begin; at < end;) {
      const std::uint64_t piece = at / index.piece_bytes;
      const std::uint64_t within = at % index.piece_bytes;
      const std::uint64_t n = std::min(index.piece_bytes - within, end - at);
      const std::string name = piece_key(key, index, piece);
      const std::optional<Buffer> got =
          n == index.piece_bytes ? inner().load(name) : inner().load_range(name, within, n);
      if (!got) {
        require_replaced(key, index);
        return {};
      }
      if (got->size() != n)
        fail(Code::data_corrupt, "the value of '{}' does not have its index's size", key);
      std::memcpy(part.data() + (at - begin), got->data(), n);
      at += n;
    }
    return part;
  }

  /// Throws data_corrupt if pieces of `index` are missing although it is still stored under `key`.
  void require_replaced(std::string_view key, const Index& index) {
    const std::optional<Buffer> again = inner().load(key);
    const std::optional<Index> newer = again ? index_of(*again, key) : std::nullopt;
    if (newer && newer->generation == index.generation)
      fail(Code::data_corrupt, "the value of '{}' has lost pieces: {} may have dropped them", key,
           describe());
  }

  Buffer joined(std::string_view key, const Index& index,
                std::span<const std::optional<Buffer>> pieces) const {
    std::uint64_t bytes = 0;
    for (const std::optional<Buffer>& piece : pieces) bytes += piece->size();
    if (bytes == index.bytes) {
      Buffer value(bytes);
      std::byte* to = value.data();
      for (const std::optional<Buffer>& piece : pieces) {
        std::memcpy(to, piece->data(), piece->size());
        to += piece->size();
      }
      if (checksum(value) == index.value_checksum) return value;
    }
    fail(Code::data_corrupt, "the value of '{}' does not have its index's size and checksum", key);
  }

  /// Serializes changes of a key within this handle; otherwise the pieces of the later value might
  /// be mistaken for those that it replaced.
  std::vector<std::unique_lock<WaitingMutex>> take_turn(std::span<const std::string_view> keys) {
    std::set<std::size_t> chosen;
    for (const std::string_view key : keys)
      chosen.insert(std::hash<std::string_view>{}(key) % turns_.size());
    std::vector<std::unique_lock<WaitingMutex>> locks;
    for (const std::size_t i : chosen) locks.emplace_back(turns_[i]);
    return locks;
  }

  /// Whether this handle saved the current value of `key`, and if so its index, nullopt for a plain
  /// one.
  bool known(std::string_view key, std::optional<Index>& index) const {
    const std::lock_guard lock(mutex_);
    const auto at = known_.find(key);
    if (at == known_.end()) return false;
    index = at->second;
    return true;
  }

  /// Whether this handle knows that the value of `key` is in no pieces; `of_new` is the answer for
  /// a key that it has not saved.
  bool is_whole(std::string_view key, bool of_new) const {
    std::optional<Index> index;
    return known(key, index) ? !index : of_new;
  }
  /// Whether the item is saved as one value and replaces none in pieces.
  bool fits_whole(const Item& item) const {
    return item.value.size() + sizeof kPlain <= limit_ && is_whole(item.key, true);
  }

  /// Of keys that were removed.
  void forget(std::span<const std::string> keys) {
    const std::lock_guard lock(mutex_);
    for (const std::string& key : keys) known_.erase(key);
  }

  /// Records what was just saved and removes the pieces of the value that this handle had saved
  /// before.
  void replace_known(std::string_view key, const std::optional<Index>& index) {
    std::optional<Index> old;
    {
      const std::lock_guard lock(mutex_);
      old = std::exchange(known_[std::string(key)], index);
    }
    if (old) inner().remove_all(piece_keys(key, *old));
  }

  std::uint64_t limit_;
  std::array<WaitingMutex, 16> turns_;
  mutable std::mutex mutex_;
  std::map<std::string, std::optional<Index>, std::less<>> known_;
};

/// Watches the keys and, when an index arrives, loads its pieces.
class ChunkedWatch final : public KeyWatch {
 public:
  ChunkedWatch(Chunked& store, std::vector<std::string> keys)
      : store_(store), keys_(std::move(keys)), there_(keys_.size()) {
    begin();
  }

  std::vector<Arrival> next(Deadline deadline, std::size_t below) override {
    const auto end = std::ranges::lower_bound(index_of_, below);
    return whole(inner_->next(deadline, static_cast<std::size_t>(end - index_of_.begin())));
  }
  std::vector<Arrival> poll_all() override { return whole(inner_->poll_all()); }
  double receiving_s() const override { return received_s_ + inner_->receiving_s(); }

 private:
  void begin() {
    if (inner_) received_s_ += inner_->receiving_s();
    index_of_.clear();
    std::vector<std::string> missing;
    for (std::size_t i = 0; i < keys_.size(); ++i) {
      if (there_[i]) continue;
      index_of_.push_back(i);
      missing.push_back(keys_[i]);
    }
    inner_ = store_.inner().watch(std::move(missing));
  }

  std::vector<Arrival> whole(std::vector<Arrival> raws) {
    std::vector<std::string> keys;
    std::vector<Buffer> values;
    for (Arrival& raw : raws) {
      keys.push_back(keys_[index_of_[raw.index]]);
      values.push_back(std::move(raw.value));
    }
    const Stopwatch clock;
    std::vector<std::optional<Buffer>> wholes = store_.assemble(keys, std::move(values));
    received_s_ += clock.seconds();
    std::vector<Arrival> out;
    for (std::size_t i = 0; i < raws.size(); ++i) {
      if (!wholes[i]) continue;
      const std::size_t index = index_of_[raws[i].index];
      there_[index] = true;
      out.push_back({index, std::move(*wholes[i])});
    }
    // The pieces are missing because the value was overwritten or removed meanwhile.
    if (out.size() < raws.size()) begin();
    return out;
  }

  Chunked& store_;
  std::vector<std::string> keys_;
  std::vector<bool> there_;
  std::vector<std::size_t> index_of_;  ///< of the inner watch's keys; ascending
  std::unique_ptr<KeyWatch> inner_;
  double received_s_ = 0;  ///< by former inner watches, and for pieces
};

std::unique_ptr<KeyWatch> Chunked::watch(std::vector<std::string> keys) {
  for (const std::string& key : keys) check_name(key);
  return std::make_unique<ChunkedWatch>(*this, std::move(keys));
}

}  // namespace

std::shared_ptr<Storage> with_chunks(std::shared_ptr<Storage> inner, std::uint64_t chunk_bytes) {
  const std::uint64_t most = inner->capabilities().max_value_bytes;
  const std::uint64_t limit = chunk_bytes == 0 ? most : std::min(chunk_bytes, most);
  if (limit == Capabilities{}.max_value_bytes) return inner;
  if (limit < sizeof(Index))
    fail(Code::invalid_argument, "pieces of {} bytes are too small: at least {}", limit,
         sizeof(Index));
  return std::make_shared<Chunked>(std::move(inner), limit);
}

}  // namespace lambdaml::storage
