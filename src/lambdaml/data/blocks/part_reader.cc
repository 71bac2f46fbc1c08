#include "lambdaml/data/blocks/part_reader.h"

#include <algorithm>

#include "lambdaml/base/error.h"
#include "lambdaml/base/parallel.h"
#include "lambdaml/data/rows.h"

namespace lambdaml::data {
namespace {

/// While one block is on its way, others are parsed; more than the processors of a function,
/// because most of the time is waiting.
constexpr std::size_t kBlocksAtOnce = 8;
/// Blocks that are read before it is asked whether to go on.
constexpr std::size_t kBlocksOfAWave = 4 * kBlocksAtOnce;

}  // namespace

PartReader::PartReader(const BlockPlan& plan, const BlockSource::Open& open, std::size_t process,
                       std::size_t processes, std::function<void()> between)
    : plan_(plan),
      parts_(plan),
      source_(plan, open),
      own_(parts_.of_process(process, processes)),
      between_(std::move(between)) {}

PartReader::Read PartReader::read(std::size_t block) const {
  const Block& at = parts_.blocks()[block];
  const BlockSource::Content content = source_.load(at);
  Read out;
  out.found = {block, 0, content.line_ends, content.checksum};
  out.can_be_cut = content.can_be_cut;
  if (!out.can_be_cut) return out;
  try {
    out.rows = source_.rows_of(at, content);
    out.found.rows = out.rows.rows();
  } catch (const Error& error) {
    if (error.code() != Code::data_corrupt && error.code() != Code::invalid_argument) throw;
    out.can_be_read = false;
  }
  return out;
}

void PartReader::each_piece(std::size_t part, const std::function<void(const Piece&, Read)>& take) {
  const std::vector<Piece> pieces = parts_.of_part(part);
  const auto is_whole = [&](const Piece& piece) {
    return !plan_.files[parts_.blocks()[piece.block].file].can_be_cut;
  };
  for (std::size_t begin = 0; begin < pieces.size();) {
    if (between_) between_();
    if (const Piece& piece = pieces[begin]; is_whole(piece)) {
      if (!whole_ || whole_->first != piece.block) {
        whole_.reset();
        whole_.emplace(piece.block, read(piece.block));
      }
      take(piece, whole_->second);
      ++begin;
      continue;
    }
    std::size_t end = begin;
    while (end < pieces.size() && end < begin + kBlocksOfAWave && !is_whole(pieces[end])) ++end;
    std::vector<Read> wave(end - begin);
    parallel_for(wave.size(), kBlocksAtOnce,
                 [&](std::size_t i) { wave[i] = read(pieces[begin + i].block); });
    for (std::size_t i = 0; i < wave.size(); ++i) take(pieces[begin + i], std::move(wave[i]));
    begin = end;
  }
}

Findings PartReader::find() {
  Findings out;
  for (const std::size_t part : own_)
    each_piece(part, [&](const Piece& piece, Read read) {
      const std::size_t file = parts_.blocks()[piece.block].file;
      // A block that cannot be cut is found by its first piece.
      if (piece.begin == 0) {
        if (!read.can_be_cut)
          out.add_not_lines(file);
        else if (!read.can_be_read)
          out.add_fault(read.found, parts_);
        else
          out.add(read.found, read.rows, source_.reader(), plan_.files[file].display());
      }
      if (own_.size() == 1) kept_.emplace_back(piece, std::move(read.rows));
    });
  return out;
}

Agreement PartReader::agree(const std::vector<Findings>& all) const {
  return data::agree(all, plan_, parts_, source_);
}

void PartReader::require_possible(const Agreement& agreement) const {
  // A dense form has no more columns than some of its rows' bytes say, and what a model knows.
  const bool has_columns = agreement.form == Form::sparse ||
                           agreement.features <= plan_.bytes() + plan_.model.features ||
                           (agreement.names && !agreement.names->features.empty());
  if (!has_columns || agreement.part_rows.size() != plan_.parts ||
      agreement.checksums.size() != plan_.files.size())
    fail(Code::data_corrupt, "what the workers have agreed on is of other data");
}

Dataset PartReader::rows(std::size_t part, const Agreement& agreement, const Findings& found) {
  std::vector<Dataset> out;
  require_possible(agreement);
  const auto take = [&](const Piece& piece, const Dataset& rows) {
    const Block& block = parts_.blocks()[piece.block];
    const auto [first, last] = piece.rows_of(rows.rows(), block);
    if (first == last) return;
    out.push_back(
        as_agreed(rows.slice(static_cast<std::size_t>(first), static_cast<std::size_t>(last)),
                  agreement, plan_.model.ignore_labels, plan_.files[block.file].display()));
  };
  if (!kept_.empty()) {
    for (auto& [piece, rows] : kept_) {
      take(piece, rows);
      rows = {};
    }
    kept_.clear();
  } else {
    std::map<std::uint64_t, Findings::OfBlock> before;
    for (const Findings::OfBlock& block : found.blocks) before.emplace(block.block, block);
    each_piece(part, [&](const Piece& piece, const Read& read) {
      const auto then = before.find(piece.block);
      if (then == before.end() || then->second != read.found)
        fail(Code::data_corrupt, "reading {}: it was changed while it was read; begin again",
             plan_.files[parts_.blocks()[piece.block].file].display());
      take(piece, read.rows);
    });
  }
  if (out.empty()) fail(Code::internal, "part {} of the data has no rows", part);
  return out.size() == 1 ? out[0] : concatenate(std::move(out));
}

}  // namespace lambdaml::data
