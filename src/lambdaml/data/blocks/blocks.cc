#include "lambdaml/data/blocks/blocks.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "lambdaml/base/rng.h"
#include "lambdaml/base/uri.h"

namespace lambdaml::data {
namespace {

constexpr std::uint64_t kBlocks = 2048;
constexpr std::uint64_t kSmallest = 4 << 10;
constexpr std::uint64_t kLargest = 4 << 20;

/// whole · part / parts, which may exceed 64 bits in between.
std::uint64_t share_of(std::uint64_t whole, std::uint64_t part, std::uint64_t parts) {
  return static_cast<std::uint64_t>(static_cast<__uint128_t>(whole) * part / parts);
}

std::vector<Block> blocks_in_order(const BlockPlan& plan) {
  std::vector<Block> out;
  for (std::size_t f = 0; f < plan.files.size(); ++f) {
    const StoredFile& file = plan.files[f];
    const std::uint64_t step = file.can_be_cut ? plan.block_bytes : file.bytes;
    for (std::uint64_t begin = 0; begin < file.bytes; begin += step)
      out.push_back({f, begin, std::min(begin + step, file.bytes)});
  }
  return out;
}

void shuffle(std::vector<Block>& blocks, std::uint64_t seed) {
  constexpr std::uint64_t kStream = 0x626c6f636b73;
  Rng rng(mix({seed, kStream}));
  for (std::size_t i = blocks.size(); i > 1; --i) std::swap(blocks[i - 1], blocks[rng.below(i)]);
}

}  // namespace

std::string StoredFile::display() const { return (Uri::parse(folder) / key).display(); }

std::uint64_t BlockPlan::bytes() const {
  std::uint64_t sum = 0;
  for (const StoredFile& file : files) sum += file.bytes;
  return sum;
}

std::uint64_t block_bytes_for(std::uint64_t bytes) {
  return std::clamp(std::bit_floor(bytes / kBlocks), kSmallest, kLargest);
}

std::pair<std::uint64_t, std::uint64_t> Piece::rows_of(std::uint64_t rows, const Block& of) const {
  return {share_of(rows, begin, of.bytes()), share_of(rows, end, of.bytes())};
}

BlockParts::BlockParts(const BlockPlan& plan)
    : blocks_(blocks_in_order(plan)), parts_(static_cast<std::size_t>(plan.parts)) {
  if (plan.seed) shuffle(blocks_, *plan.seed);
  std::uint64_t offset = 0;
  for (const Block& block : blocks_) {
    offsets_.push_back(offset);
    offset += block.bytes();
    whole_.push_back(!plan.files[block.file].can_be_cut);
  }
  offsets_.push_back(offset);
}

std::uint64_t BlockParts::begin_of(std::size_t part) const {
  return share_of(offsets_.back(), part, parts_);
}

std::vector<Piece> BlockParts::of_part(std::size_t part) const {
  const std::uint64_t begin = begin_of(part), end = begin_of(part + 1);
  std::vector<Piece> out;
  // The first block that ends behind the begin.
  auto at = static_cast<std::size_t>(std::upper_bound(offsets_.begin() + 1, offsets_.end(), begin) -
                                     offsets_.begin() - 1);
  for (; at < blocks_.size() && offsets_[at] < end; ++at) {
    const std::uint64_t from = offsets_[at];
    if (whole_[at])
      out.push_back({at, std::max(begin, from) - from, std::min(end, offsets_[at + 1]) - from});
    else if (from >= begin)
      out.push_back({at, 0, blocks_[at].bytes()});
  }
  return out;
}

std::vector<std::size_t> BlockParts::of_process(std::size_t process, std::size_t processes) const {
  std::vector<std::size_t> out;
  std::size_t owner = 0;
  for (std::size_t part = 0; part < parts_; ++part) {
    const std::vector<Piece> pieces = of_part(part);
    const bool goes_on = part > 0 && !pieces.empty() && pieces.front().begin > 0;
    if (!goes_on) owner = static_cast<std::size_t>(share_of(processes, part, parts_));
    if (owner == process) out.push_back(part);
  }
  return out;
}

}  // namespace lambdaml::data
