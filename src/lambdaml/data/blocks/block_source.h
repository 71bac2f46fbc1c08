#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/base/bytes.h"
#include "lambdaml/data/blocks/block_reader.h"
#include "lambdaml/data/blocks/blocks.h"
#include "lambdaml/data/dataset.h"
#include "lambdaml/data/registry.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::data {

/// The first bytes of a stored file, unpacked if it is compressed. Whole lines if the file is
/// longer, but for one that has no line end in 64 MB.
struct FileHead {
  Buffer bytes;
  bool is_compressed = false;
  bool is_all = false;  ///< of the file
};
/// About `bytes` of it, more if its lines are longer: one GET or some. Throws not_found.
FileHead head_of(storage::Storage& store, const StoredFile& file, std::uint64_t bytes);

/// Reads the blocks of a plan from storage. Thread-safe.
class BlockSource {
 public:
  using Open = std::function<std::shared_ptr<storage::Storage>(const std::string& uri)>;

  /// Reads the head of the first file with rows, 256 KB. `open` is called here only. Throws what
  /// a format's reader does of a file's first lines.
  BlockSource(BlockPlan plan, const Open& open);
  ~BlockSource();

  /// A block as it is stored.
  struct Content {
    std::shared_ptr<const Buffer> bytes;
    std::string_view lines;           ///< of its rows; of a file without lines: all bytes
    std::uint64_t checksum = 0;       ///< of the block's own bytes
    std::uint64_t line_ends = 0;      ///< in the block's own bytes
    std::uint64_t lines_skipped = 0;  ///< line ends in the block before its first row
    bool can_be_cut = true;           ///< false: the file has rows of several lines
  };
  /// One GET, and more if a row is longer than 4 KB; two for the first block of a further file with
  /// columns of its own. Throws data_corrupt if the file is not as long as the plan says.
  Content load(const Block& block) const;
  /// The rows of it. `lines_before` and `rows_before` of its file precede the block, for errors.
  /// Throws as Plugin::read() does.
  Dataset rows_of(const Block& block, const Content& content, std::uint64_t lines_before = 0,
                  std::uint64_t rows_before = 0) const;

  /// Of the first file with rows; null for formats without lines.
  const BlockReader* reader() const { return first_reader_.get(); }
  /// The form for all rows together; `any_sparse`: some blocks have that form.
  Form form_of(std::uint64_t rows, std::uint64_t cols, std::uint64_t nonzeros,
               bool any_sparse) const;

 private:
  ReadOptions options_for(std::size_t file) const;
  const BlockReader& reader_of(std::size_t file, std::string_view text) const;
  Content load_whole(const StoredFile& file) const;
  Buffer load_bytes(const Block& block, std::uint64_t from, std::uint64_t bytes) const;

  const BlockPlan plan_;
  const Choice choice_;
  std::map<std::string, std::shared_ptr<storage::Storage>> stores_;  ///< by folder
  std::unique_ptr<BlockReader> first_reader_;
  mutable std::mutex mutex_;
  mutable std::map<std::size_t, std::unique_ptr<BlockReader>> readers_;  ///< of further files
};

}  // namespace lambdaml::data
