#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "lambdaml/data/array.h"
#include "lambdaml/data/csv/layout.h"

namespace lambdaml::data::csv {

/// Different texts of a column, numbered in the order in which they came.
class Dictionary {
 public:
  /// The most texts of a column.
  static constexpr std::size_t kMost = 10'000;
  static constexpr std::uint32_t kFull = std::numeric_limits<std::uint32_t>::max();
  static constexpr std::uint32_t kMissing = kFull - 1;

  /// The text's number; kFull if it is new and there are kMost.
  std::uint32_t number_of(std::string_view text) {
    if (last_ < texts_.size() && *texts_[last_] == text) return last_;
    const auto known = numbers_.find(text);
    if (known != numbers_.end()) return last_ = known->second;
    if (texts_.size() == kMost) return kFull;
    last_ = static_cast<std::uint32_t>(texts_.size());
    texts_.push_back(&numbers_.emplace(text, last_).first->first);
    return last_;
  }
  std::size_t size() const { return texts_.size(); }
  const std::string& text(std::size_t number) const { return *texts_[number]; }
  void clear() {
    texts_.clear();
    numbers_.clear();
    last_ = 0;
  }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>()(text);
    }
  };
  std::unordered_map<std::string, std::uint32_t, Hash, std::equal_to<>> numbers_;
  std::vector<const std::string*> texts_;  ///< keys of the map, which stay where they are
  std::uint32_t last_ = 0;                 ///< values often repeat
};

/// The rows of a piece of text. Its arrays are reused for each piece.
struct Block {
  Array<float> numbers;        ///< rows × Layout::numbers; NaN where one is missing
  Array<std::uint32_t> codes;  ///< rows × Layout::dictionaries: numbers in `dictionaries`
  Array<double> labels;        ///< of a label that is a number
  Array<float> weights;        ///< of rows that have weights
  std::vector<Dictionary> dictionaries;
  std::size_t rows = 0;
  std::optional<Fault> fault;  ///< the first error, in the row after the last one
};

/// Parses whole records: `text` must end in a newline and be followed by kReadable readable bytes.
void parse_block(std::string_view text, const Layout& layout, Block& block);

/// The message for a column with more texts than a dictionary holds.
std::string too_many_texts();

}  // namespace lambdaml::data::csv
