#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "lambdaml/base/error.h"
#include "lambdaml/data/blocks/block_source.h"
#include "lambdaml/data/blocks/blocks.h"
#include "lambdaml/data/dataset.h"

/// How processes that each read some blocks of a set agree on what is known only of all of them:
/// each says what it has found in its own blocks, one of them combines these findings, and all read
/// the result, the agreement.
namespace lambdaml::data {

/// What one process has found in its blocks.
struct Findings {
  struct OfBlock {
    std::uint64_t block = 0;  ///< in the set's order
    std::uint64_t rows = 0;
    std::uint64_t line_ends = 0;
    std::uint64_t checksum = 0;
    bool operator==(const OfBlock&) const = default;
  };
  struct Sum {
    double sum = 0;
    double count = 0;
  };
  /// A column by its name, or by its index where columns have none.
  using Column = std::variant<std::uint64_t, std::string>;
  std::vector<OfBlock> blocks;
  std::uint64_t features = 0;
  std::uint64_t nonzeros = 0;
  bool any_sparse = false;
  std::shared_ptr<const Names> names;          ///< of all its rows; null if nothing has a name
  std::optional<std::uint64_t> labelled = {};  ///< the first block, in the set's order, whose rows
  std::optional<std::uint64_t> unlabelled = {};  ///< have labels or targets; or none
  std::optional<std::uint64_t> weighted = {};    ///< the same of the rows' weights
  std::optional<std::uint64_t> unweighted = {};
  /// The tensors_text() of its rows, one in a set that can be read, and the first block that has
  /// such rows; empty for features.
  std::map<std::string, std::uint64_t> tensors;
  bool targets = false;             ///< some are no whole numbers
  std::map<std::string, Sum> sums;  ///< of values by column, if missing ones are filled
  /// The columns that have one value in all its rows, and that value; nullopt without rows. See
  /// constant_columns().
  std::optional<std::map<Column, float>> constants = {};
  std::optional<std::uint64_t> fault = {};  ///< a block that cannot be read, the first by file
  std::vector<std::uint64_t> not_lines;     ///< files whose rows have line ends inside

  /// The block's rows, some or none. `reader`: that of the set's blocks, null if it has none.
  void add(const OfBlock& block, const Dataset& rows, const BlockReader* reader,
           const std::string& what);
  void add_fault(const OfBlock& block, const BlockParts& parts);
  void add_not_lines(std::uint64_t file);

  std::string to_json() const;
  /// Throws data_corrupt.
  static Findings from_json(std::string_view text, const std::string& what);
};

/// What all findings together say.
struct Agreement {
  /// Why the set cannot be read: a message, and its code. Nothing else is known then.
  std::string error = {};
  Code code = Code::internal;
  /// Files that must be read as a whole, in another plan. Nothing else is known then.
  std::vector<std::uint64_t> not_lines = {};
  std::vector<std::string> notices = {};  ///< for the user; a line each

  std::uint64_t features = 0;
  std::shared_ptr<const Names> names = nullptr;  ///< with fills, if missing values are filled
  bool labelled = false;
  bool targets = false;
  Form form = Form::dense;
  TensorShapes tensors = {};
  std::vector<std::uint64_t> part_rows = {};
  std::uint64_t id = 0;                       ///< of the set: see Manifest::id
  std::vector<std::uint64_t> checksums = {};  ///< of each file of the plan

  std::string to_json() const;
  /// Throws data_corrupt.
  static Agreement from_json(std::string_view text, const std::string& what);
};

/// Combines the findings of all processes, in their order. If a block cannot be read, reads it
/// again for its error, which then says where in the file the fault is.
Agreement agree(const std::vector<Findings>& all, const BlockPlan& plan, const BlockParts& parts,
                const BlockSource& source);

/// Rows of a block as the agreement has all rows: with its columns, labels, fills and form. Throws
/// as align() does.
Dataset as_agreed(const Dataset& rows, const Agreement& agreement, bool ignore_labels,
                  const std::string& what);

}  // namespace lambdaml::data
