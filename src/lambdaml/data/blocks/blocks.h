#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lambdaml/base/options.h"
#include "lambdaml/data/align.h"

/// Large data sets in storage that many processes read together, each a part, so that no process
/// reads them all.
///
/// Text whose lines are rows is cut every `block_bytes` bytes. A row belongs to the block that has
/// its first byte: a process that reads a block skips the end of a line at its begin, and reads the
/// rest of the last line beyond its end. A file that cannot be cut (it is compressed, or of another
/// form) is one block.
///
/// The blocks in an order that is drawn from a seed, and in each of them the rows in their order,
/// are the set's order, in which rows have their numbers. The set is cut into parts by bytes in
/// this order, so that a part of a sorted file has rows from everywhere in it, and a row has the
/// same number whatever the number of parts.
namespace lambdaml::data {

struct StoredFile {
  std::string folder;  ///< the URI of its store
  std::string key;
  std::uint64_t bytes = 0;
  bool can_be_cut = true;

  /// For messages, as data::read() names it.
  std::string display() const;
};

/// What all processes that read a set know of it.
struct BlockPlan {
  std::vector<StoredFile> files;           ///< none of them empty
  std::size_t first_with_rows = 0;         ///< the file that says how all are read
  std::uint64_t block_bytes = 0;           ///< above 0
  std::optional<std::uint64_t> seed = {};  ///< nullopt: the blocks stay in their order
  std::uint64_t parts = 1;
  std::string format = "auto";  ///< a value of --format that names one
  Options options = {};         ///< with those of data::format_options()
  Learned model = {};           ///< for which rows are read; nothing in it: for none

  std::uint64_t bytes() const;
  bool is_for_model() const { return model.features > 0 || !model.tensors.empty(); }
};

/// The size of the blocks of a set of so many bytes: 4 KB to 4 MB, by which a large one has 2,000
/// or more of them.
std::uint64_t block_bytes_for(std::uint64_t bytes);

/// Bytes [begin, end) of a file.
struct Block {
  std::size_t file = 0;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::uint64_t bytes() const { return end - begin; }
};

/// The rows of a block, or of one that cannot be cut a share of them: those that are the block's
/// bytes [begin, end) if all rows are equally long.
struct Piece {
  std::size_t block = 0;  ///< in the set's order
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  /// [first, last) of the block's `rows` rows.
  std::pair<std::uint64_t, std::uint64_t> rows_of(std::uint64_t rows, const Block& block) const;
};

/// The blocks and parts of a plan.
class BlockParts {
 public:
  explicit BlockParts(const BlockPlan& plan);

  const std::vector<Block>& blocks() const { return blocks_; }
  std::size_t parts() const { return parts_; }
  /// The pieces of a part, in the set's order. It has none if there are fewer blocks than parts.
  std::vector<Piece> of_part(std::size_t part) const;
  /// The parts that one of several processes makes, consecutive ones. A block that cannot be cut is
  /// read by one process.
  std::vector<std::size_t> of_process(std::size_t process, std::size_t processes) const;

 private:
  std::uint64_t begin_of(std::size_t part) const;

  std::vector<Block> blocks_;
  std::vector<std::uint64_t> offsets_;  ///< where each block begins in the set's order; and the end
  std::vector<bool> whole_;             ///< of each block: it is a file that cannot be cut
  std::size_t parts_;
};

}  // namespace lambdaml::data
