#include "lambdaml/data/blocks/block_source.h"

#include <algorithm>
#include <cstring>

#include "lambdaml/base/checksum.h"
#include "lambdaml/base/error.h"
#include "lambdaml/data/compression/compression.h"
#include "lambdaml/data/text/blocks.h"

namespace lambdaml::data {
namespace {

constexpr std::uint64_t kFirstHead = 256 << 10;
/// Of a further file: enough for a header, and to tell whether there is one.
constexpr std::uint64_t kFurtherHead = 64 << 10;
constexpr std::uint64_t kLongestHead = 64 << 20;
/// What is read behind a block for the rest of its last row.
constexpr std::uint64_t kBehind = 4 << 10;

[[noreturn]] void fail_changed(const StoredFile& file) {
  fail(Code::data_corrupt,
       "reading {}: it does not have the {} bytes any more that it had when the job began: it was "
       "changed meanwhile; begin again",
       file.display(), file.bytes);
}

std::uint64_t count_lines(std::string_view text) {
  return static_cast<std::uint64_t>(std::count(text.begin(), text.end(), '\n'));
}

Buffer appended(const Buffer& a, const Buffer& b) {
  Buffer out(a.size() + b.size());
  std::memcpy(out.data(), a.data(), a.size());
  if (b.size() != 0) std::memcpy(out.data() + a.size(), b.data(), b.size());
  return out;
}

}  // namespace

FileHead head_of(storage::Storage& store, const StoredFile& file, std::uint64_t bytes) {
  FileHead out;
  for (std::uint64_t wanted = bytes;; wanted *= 4) {
    std::optional<Buffer> part = store.load_range(file.key, 0, wanted);
    if (!part) fail(Code::not_found, "reading {}: there is no such file", file.display());
    out.is_compressed = is_compressed(*part);
    out.is_all = part->size() >= file.bytes && !out.is_compressed;
    out.bytes =
        out.is_compressed ? decompressed_head(*part, file.display(), bytes) : std::move(*part);
    if (out.is_all) return out;
    const std::size_t end = out.bytes.text().rfind('\n');
    if (end != std::string_view::npos) out.bytes.truncate(end + 1);
    if (end != std::string_view::npos || wanted >= std::min(file.bytes, kLongestHead)) return out;
  }
}

BlockSource::BlockSource(BlockPlan plan, const Open& open)
    : plan_(std::move(plan)), choice_(choose_format(plan_.format, plan_.options)) {
  if (choice_.plugin == nullptr)
    fail(Code::internal, "a plan of blocks must name the format of its files");
  for (const StoredFile& file : plan_.files)
    if (!stores_.contains(file.folder)) stores_[file.folder] = open(file.folder);
  if (!choice_.plugin->blocks) return;
  const StoredFile& first = plan_.files.at(plan_.first_with_rows);
  const FileHead head = head_of(*stores_.at(first.folder), first, kFirstHead);
  ReadOptions options = options_for(plan_.first_with_rows);
  options.names = plan_.model.names;
  options.is_further_file = false;
  first_reader_ = choice_.plugin->blocks(head.bytes.text(), options);
}

BlockSource::~BlockSource() = default;

ReadOptions BlockSource::options_for(std::size_t file) const {
  return {.what = plan_.files.at(file).display(),
          .form = choice_.form,
          .threads = 1,
          .options = options_of(*choice_.plugin, plan_.options),
          .features = plan_.model.features,
          .names = plan_.model.names,
          .tensors = plan_.model.tensors,
          .is_further_file = file != plan_.first_with_rows};
}

const BlockReader& BlockSource::reader_of(std::size_t file, std::string_view text) const {
  const std::shared_ptr<const Names> names = first_reader_->names();
  if (file == plan_.first_with_rows || !names) return *first_reader_;
  const std::lock_guard lock(mutex_);
  std::unique_ptr<BlockReader>& reader = readers_[file];
  if (!reader) {
    ReadOptions options = options_for(file);
    options.names = names;
    FileHead head;
    if (text.empty()) {
      const StoredFile& stored = plan_.files[file];
      head = head_of(*stores_.at(stored.folder), stored, kFurtherHead);
      text = head.bytes.text();
    }
    reader = choice_.plugin->blocks(text, options);
  }
  return *reader;
}

BlockSource::Content BlockSource::load_whole(const StoredFile& file) const {
  std::optional<Buffer> stored = stores_.at(file.folder)->load(file.key);
  if (!stored || stored->size() != file.bytes) fail_changed(file);
  Content out;
  out.checksum = checksum(*stored);
  out.bytes = decompress(std::make_shared<const Buffer>(std::move(*stored)), file.display());
  out.lines = out.bytes->text();
  return out;
}

Buffer BlockSource::load_bytes(const Block& block, std::uint64_t from, std::uint64_t bytes) const {
  const StoredFile& file = plan_.files[block.file];
  const std::uint64_t there = std::min(bytes, file.bytes - from);
  std::optional<Buffer> part = stores_.at(file.folder)->load_range(file.key, from, there);
  if (!part || part->size() != there) fail_changed(file);
  return std::move(*part);
}

BlockSource::Content BlockSource::load(const Block& block) const {
  const StoredFile& file = plan_.files.at(block.file);
  if (!file.can_be_cut) {
    Content out = load_whole(file);
    if (!choice_.plugin->blocks) return out;
    const std::uint64_t begin = block.file != plan_.first_with_rows && !first_reader_->names()
                                    ? out.lines.size() - without_mark(out.lines).size()
                                    : reader_of(block.file, out.lines).first_row();
    out.lines_skipped = count_lines(out.lines.substr(0, begin));
    out.lines.remove_prefix(begin);
    return out;
  }
  // The byte before the block tells whether a row begins with it.
  const std::uint64_t before = block.begin > 0 ? 1 : 0;
  const std::uint64_t from = block.begin - before;
  Buffer bytes = load_bytes(block, from, before + block.bytes() + kBehind);
  const std::uint64_t last = before + block.bytes() - 1;
  std::size_t end = bytes.text().find('\n', last);
  for (std::uint64_t more = kBehind; end == std::string_view::npos; more *= 4) {
    const std::uint64_t read = from + bytes.size();
    if (read >= file.bytes) {
      end = bytes.size() - 1;
      break;
    }
    const std::size_t searched = bytes.size();
    bytes = appended(bytes, load_bytes(block, read, more));
    end = bytes.text().find('\n', searched);
  }
  Content out;
  out.bytes = std::make_shared<const Buffer>(std::move(bytes));
  const std::string_view text = out.bytes->text();
  const std::string_view own = text.substr(before, block.bytes());
  out.checksum = checksum(as_bytes(own));
  out.line_ends = count_lines(own);
  std::size_t begin = 0;
  if (block.begin > 0) {
    begin = text.find('\n') + 1;  // 0 if there is none: the block is within a row
    if (begin == 0 || begin > last) return out;
  } else if (block.file != plan_.first_with_rows && !first_reader_->names()) {
    begin = text.size() - without_mark(text).size();
  } else {
    begin = static_cast<std::size_t>(reader_of(block.file, {}).first_row());
    // A header that is longer than the block.
    if (begin > last) return out;
  }
  out.lines = text.substr(begin, end + 1 - begin);
  out.lines_skipped = begin > before ? count_lines(text.substr(before, begin - before)) : 0;
  out.can_be_cut = first_reader_->rows_are_lines(out.lines);
  return out;
}

Dataset BlockSource::rows_of(const Block& block, const Content& content, std::uint64_t lines_before,
                             std::uint64_t rows_before) const {
  ReadOptions options = options_for(block.file);
  if (!first_reader_) return read_with(*choice_.plugin, content.bytes, options, plan_.options);
  if (content.lines.empty()) return {};
  options.lines_before = lines_before + content.lines_skipped;
  options.rows_before = rows_before;
  const std::string_view text =
      plan_.files[block.file].can_be_cut ? std::string_view() : content.bytes->text();
  return reader_of(block.file, text).read(content.lines, options);
}

Form BlockSource::form_of(std::uint64_t rows, std::uint64_t cols, std::uint64_t nonzeros,
                          bool any_sparse) const {
  if (choice_.form != Form::automatic) return choice_.form;
  if (first_reader_) return first_reader_->form_of(rows, cols, nonzeros);
  return any_sparse ? Form::sparse : Form::dense;
}

}  // namespace lambdaml::data
