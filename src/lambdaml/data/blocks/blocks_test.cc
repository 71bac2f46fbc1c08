#include "lambdaml/data/blocks/blocks.h"

#include <map>
#include <set>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "lambdaml/data/partition.h"
#include "lambdaml/data/source.h"

namespace lambdaml::data {
namespace {

BlockPlan plan_of(std::vector<StoredFile> files, std::uint64_t parts,
                  std::optional<std::uint64_t> seed) {
  BlockPlan plan;
  plan.files = std::move(files);
  plan.block_bytes = 10;
  plan.parts = parts;
  plan.seed = seed;
  return plan;
}

/// Every byte of a file that is cut is in one piece, and every row of one that is not.
TEST(Blocks, PartsHaveEachByteOnce) {
  for (const std::optional<std::uint64_t>& seed :
       {std::optional<std::uint64_t>(), std::optional<std::uint64_t>(5)})
    for (const std::uint64_t n : {1U, 2U, 3U, 7U, 40U}) {
      const BlockParts parts(plan_of({{"memory://x", "a", 95},
                                      {"memory://x", "z", 333, false},
                                      {"memory://x", "b", 10},
                                      {"memory://x", "y", 3, false}},
                                     n, seed));
      constexpr std::uint64_t kRowsOfAFile = 50;
      std::map<std::size_t, std::uint64_t> bytes, rows;
      for (std::size_t part = 0; part < n; ++part)
        for (const Piece& piece : parts.of_part(part)) {
          const Block& block = parts.blocks()[piece.block];
          EXPECT_EQ(bytes[piece.block], piece.begin) << "the shares of a block ascend";
          bytes[piece.block] = piece.end;
          const auto [first, last] = piece.rows_of(kRowsOfAFile, block);
          EXPECT_EQ(rows[piece.block], first);
          rows[piece.block] = last;
        }
      ASSERT_EQ(bytes.size(), parts.blocks().size());
      for (std::size_t i = 0; i < parts.blocks().size(); ++i) {
        EXPECT_EQ(bytes[i], parts.blocks()[i].bytes());
        EXPECT_EQ(rows[i], kRowsOfAFile);
      }
    }
}

TEST(Blocks, EachPartHasOneProcessAndEachWholeFileToo) {
  for (const std::size_t processes : {1U, 2U, 3U, 5U, 20U}) {
    const BlockParts parts(
        plan_of({{"memory://x", "a", 950}, {"memory://x", "z", 500, false}}, 12, 3));
    std::map<std::size_t, std::size_t> process_of_part, process_of_whole;
    for (std::size_t p = 0; p < processes; ++p)
      for (const std::size_t part : parts.of_process(p, processes)) {
        EXPECT_TRUE(process_of_part.emplace(part, p).second);
        for (const Piece& piece : parts.of_part(part)) {
          if (parts.blocks()[piece.block].file != 1) continue;
          EXPECT_EQ(process_of_whole.emplace(piece.block, p).first->second, p);
        }
      }
    EXPECT_EQ(process_of_part.size(), 12U);
    EXPECT_EQ(process_of_whole.size(), 1U);
  }
}

TEST(Blocks, OfSeveralThousand) {
  EXPECT_EQ(block_bytes_for(1000), 4U << 10);
  EXPECT_EQ(block_bytes_for(64U << 20), 32U << 10);
  EXPECT_EQ(block_bytes_for(1ULL << 30), 512U << 10);
  EXPECT_EQ(block_bytes_for(1ULL << 40), 4U << 20);
}

/// Parts of equal size may be consecutive ones too: then they say so.
TEST(Blocks, RowsInOrderHaveTheirNumbers) {
  const std::vector<std::uint64_t> part_rows = {10, 10, 10};
  EXPECT_EQ(row_numbers(part_rows, 1).of(2), 7U);
  EXPECT_EQ(row_numbers(part_rows, 1, true).of(2), 12U);
  Manifest manifest;
  manifest.part_rows = part_rows;
  manifest.in_order = true;
  EXPECT_TRUE(Manifest::from_json(manifest.to_json(), "a manifest").in_order);
  manifest.in_order = false;
  EXPECT_FALSE(manifest.facts().contains("in_order")) << "as in files of earlier versions";
}

}  // namespace
}  // namespace lambdaml::data
