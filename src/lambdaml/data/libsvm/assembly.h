#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "lambdaml/data/array.h"
#include "lambdaml/data/libsvm/block.h"

/// Combines the rows of blocks into one matrix, wave by wave: extend() makes room for the blocks of
/// a wave in the order of the text, then place() copies them, several in parallel.
namespace lambdaml::data::libsvm {

/// The labels, which both forms have. They become targets at the first that is no integer.
class Labels {
 public:
  std::size_t rows() const { return rows_; }
  void reserve(std::size_t rows) { labels_.reserve(rows); }
  void extend(const Block& block) {
    if (block.real && !real_) {
      std::copy_n(labels_.data(), rows_, targets_.extend(rows_));
      labels_ = {};
      real_ = true;
    }
    if (real_)
      targets_.extend(block.rows);
    else
      labels_.extend(block.rows);
    rows_ += block.rows;
  }
  void place(std::size_t row, const Block& block) {
    if (real_)
      std::copy_n(block.targets.data(), block.rows, targets_.data() + row);
    else
      std::copy_n(block.labels.data(), block.rows, labels_.data() + row);
  }
  Labelling take(bool labelled) {
    if (!labelled) return {};
    return real_ ? Labelling(std::move(targets_)) : Labelling(std::move(labels_));
  }

 private:
  Array<std::int32_t> labels_;
  Array<float> targets_;
  bool real_ = false;
  std::size_t rows_ = 0;
};

/// The position of a block's first row and entry.
struct Place {
  std::size_t row = 0;
  std::size_t entry = 0;
};

/// A dense matrix whose width is known from the first block.
class DenseAssembly {
 public:
  explicit DenseAssembly(std::size_t cols) : cols_(cols) {}

  /// Reserves an estimate. `text_bytes` bounds it: a dense row rarely takes more memory than twice
  /// its text, and an unusual first wave must not reserve far too much.
  void reserve(std::size_t rows, std::size_t /*entries*/, std::size_t text_bytes) {
    labels_.reserve(rows);
    values_.reserve(std::min(rows * cols_, text_bytes / 2));
  }
  Place extend(const Block& block) {
    const Place place{labels_.rows(), 0};
    labels_.extend(block);
    values_.extend(block.rows * cols_);
    return place;
  }
  void place(const Place& at, const Block& block) {
    labels_.place(at.row, block);
    float* row = values_.data() + at.row * cols_;
    std::size_t begin = 0;
    for (std::size_t r = 0; r < block.rows; ++r, row += cols_) {
      const std::size_t end = block.row_ends[r];
      const std::size_t count = end - begin;
      if (count != 0 && block.indices[end - 1] == count - 1) {
        // Indices ascend, so a row whose last one is count - 1 has them all.
        std::copy_n(block.values.data() + begin, count, row);
        std::fill(row + count, row + cols_, 0.0F);
      } else {
        std::fill(row, row + cols_, 0.0F);
        for (std::size_t k = begin; k < end; ++k) row[block.indices[k]] = block.values[k];
      }
      begin = end;
    }
  }
  Dataset finish(bool labelled) {
    const std::size_t rows = labels_.rows();
    return dense_dataset(std::move(values_), rows, cols_, labels_.take(labelled));
  }

 private:
  std::size_t cols_;
  Labels labels_;
  Array<float> values_;
};

/// Compressed sparse rows. Indices are 16 bits wide until one needs more.
class SparseAssembly {
 public:
  void reserve(std::size_t rows, std::size_t entries, std::size_t /*text_bytes*/) {
    labels_.reserve(rows);
    row_ends_.reserve(rows + 1);
    values_.reserve(entries);
    if (wide_)
      wide_indices_.reserve(entries);
    else
      indices_.reserve(entries);
  }
  Place extend(const Block& block) {
    if (!wide_ && block.cols > kNarrowCols) widen();
    if (labels_.rows() == 0 && row_ends_.size() == 0) *row_ends_.extend(1) = 0;
    const Place place{labels_.rows(), values_.size()};
    labels_.extend(block);
    row_ends_.extend(block.rows);
    values_.extend(block.entries);
    if (wide_)
      wide_indices_.extend(block.entries);
    else
      indices_.extend(block.entries);
    cols_ = std::max(cols_, block.cols);
    return place;
  }
  void place(const Place& at, const Block& block) {
    labels_.place(at.row, block);
    std::uint64_t* const offsets = row_ends_.data() + at.row + 1;
    for (std::size_t r = 0; r < block.rows; ++r) offsets[r] = at.entry + block.row_ends[r];
    std::copy_n(block.values.data(), block.entries, values_.data() + at.entry);
    const std::uint32_t* const indices = block.indices.data();
    if (wide_) {
      std::copy_n(indices, block.entries, wide_indices_.data() + at.entry);
    } else {
      std::uint16_t* const out = indices_.data() + at.entry;
      for (std::size_t k = 0; k < block.entries; ++k)
        out[k] = static_cast<std::uint16_t>(indices[k]);
    }
  }
  Dataset finish(bool labelled) {
    if (row_ends_.size() == 0) *row_ends_.extend(1) = 0;
    Labelling labels = labels_.take(labelled);
    return wide_ ? sparse_dataset(std::move(row_ends_), std::move(wide_indices_),
                                  std::move(values_), cols_, std::move(labels))
                 : sparse_dataset(std::move(row_ends_), std::move(indices_), std::move(values_),
                                  cols_, std::move(labels));
  }

 private:
  void widen() {
    wide_indices_.reserve(values_.size() + values_.size() / 2);
    std::copy_n(indices_.data(), indices_.size(), wide_indices_.extend(indices_.size()));
    indices_ = {};
    wide_ = true;
  }

  Labels labels_;
  Array<std::uint64_t> row_ends_;
  Array<float> values_;
  Array<std::uint16_t> indices_;
  Array<std::uint32_t> wide_indices_;
  bool wide_ = false;
  std::size_t cols_ = 0;
};

}  // namespace lambdaml::data::libsvm
