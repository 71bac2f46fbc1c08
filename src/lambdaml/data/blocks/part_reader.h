#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "lambdaml/data/blocks/block_source.h"
#include "lambdaml/data/blocks/blocks.h"
#include "lambdaml/data/blocks/findings.h"
#include "lambdaml/data/dataset.h"

namespace lambdaml::data {

/// One of several processes that read the parts of a plan together. Each reads its blocks and says
/// what it has found; when they have agreed, each has the rows of its parts. Used by one thread.
///
/// A process with one part reads its blocks once and keeps their rows; one with several reads them
/// twice, and holds the rows of one part at a time.
class PartReader {
 public:
  /// `between` is called every few blocks; an exception ends the reading. Throws as BlockSource.
  PartReader(const BlockPlan& plan, const BlockSource::Open& open, std::size_t process,
             std::size_t processes, std::function<void()> between);

  const std::vector<std::size_t>& own_parts() const { return own_; }
  /// Reads all own blocks. Throws what the store throws; faults in rows are findings.
  Findings find();
  /// What all processes have found, in their order.
  Agreement agree(const std::vector<Findings>& all) const;
  /// The rows of an own part. `found` are this process's findings: blocks that have other bytes now
  /// were changed meanwhile, which throws data_corrupt. Throws as as_agreed() does.
  Dataset rows(std::size_t part, const Agreement& agreement, const Findings& found);

 private:
  struct Read {
    Findings::OfBlock found;
    Dataset rows;
    bool can_be_read = true;
    bool can_be_cut = true;
  };
  Read read(std::size_t block) const;
  /// Throws data_corrupt for an agreement that cannot be of this plan.
  void require_possible(const Agreement& agreement) const;
  /// Calls take(piece, read) for each piece of a part, in order; reads several blocks at a time.
  void each_piece(std::size_t part, const std::function<void(const Piece&, Read)>& take);

  const BlockPlan plan_;
  const BlockParts parts_;
  const BlockSource source_;
  const std::vector<std::size_t> own_;
  const std::function<void()> between_;
  std::vector<std::pair<Piece, Dataset>> kept_;  ///< of the only own part, once found
  /// The last block that cannot be cut: the next part may have rows of it too.
  std::optional<std::pair<std::size_t, Read>> whole_;
};

}  // namespace lambdaml::data
