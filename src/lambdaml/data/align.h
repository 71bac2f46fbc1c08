#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "lambdaml/data/dataset.h"

/// Rows of one file as another one has them: for models, and for sets of several files.
namespace lambdaml::data {

/// In with_columns_at(): the column is left out.
constexpr std::uint32_t kDroppedColumn = std::numeric_limits<std::uint32_t>::max();
/// The same rows, with column c at places[c] of `cols` columns. Columns have no names then.
Dataset with_columns_at(const Dataset& dataset, const std::vector<std::uint32_t>& places,
                        std::size_t cols);

/// What a model learned from: see Shape.
struct Learned {
  std::size_t features = 0;
  std::shared_ptr<const Names> names = nullptr;
  bool ignore_labels = false;  ///< labels and targets of rows mean nothing: they are dropped
  std::vector<TensorShape> tensors = {};  ///< of a model of named tensors
};

/// The rows with the columns that a model learned, in its order, and its numbering of labels.
/// Columns are found by their names if both have names, and otherwise by their position, as
/// with_cols() does. Columns that the model does not know are dropped, with one warning, and so are
/// categories (`colour=green`), so that such a row has none of the column's categories. Throws
/// invalid_argument, naming `what`, for a column of the model that is missing, and for a label
/// whose text the model does not know. Shares the rows if nothing changes.
///
/// Tensors are found by their names, if all of the model's are there, and otherwise by position;
/// the others are dropped. Features are taken for the only tensor of a model if it has as many
/// numbers: CIFAR-10's rows for images of 3 × 32 × 32 bytes. Throws invalid_argument, naming both
/// sides, for tensors of other types or shapes.
Dataset align(const Dataset& dataset, const Learned& model, const std::string& what);

/// The names of all rows of several files: features in the order of the first file's columns, the
/// categories of a column and the labels of all files in ascending order, and fills of the first
/// file that has them. Null if nothing has a name. Throws invalid_argument, naming `what`, if only
/// some files name their columns.
std::shared_ptr<const Names> united(const std::vector<std::shared_ptr<const Names>>& parts,
                                    const std::vector<std::string>& what);

/// The rows of several files, one after the other: columns are found by their names, and there are
/// the categories and labels of all files. Throws invalid_argument, naming `what`, if a column is
/// missing in one of them.
Dataset concatenate_named(std::vector<Dataset> parts, const std::vector<std::string>& what);

}  // namespace lambdaml::data
