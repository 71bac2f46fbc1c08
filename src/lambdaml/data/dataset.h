#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/base/bytes.h"
#include "lambdaml/base/options.h"
#include "lambdaml/tensor/view.h"

namespace lambdaml::data {

/// Rows of features with their labels, in memory. A view with an owner: cheap to copy, immutable,
/// so it may be shared by threads.
struct Dataset {
  tensor::MatrixView features;           ///< rows × features
  std::span<const std::int32_t> labels;  ///< one per row, as in the file; empty when unlabelled
  std::shared_ptr<const void> owner;     ///< keeps both alive

  std::size_t rows() const { return tensor::rows(features); }
  std::size_t cols() const { return tensor::cols(features); }
  bool labelled() const { return !labels.empty() || rows() == 0; }
  Dataset slice(std::size_t begin, std::size_t end) const;
};

/// The forms in which features may be stored.
enum class Form { automatic, dense, sparse };

/// The distinct labels, ascending. A label's index is the class number that models train on.
std::vector<std::int32_t> distinct_labels(std::span<const std::int32_t> labels);

/// The checksum of all contents in their present form. One pass.
std::uint64_t checksum_of(const Dataset& dataset);

/// The data set with exactly `cols` features: missing ones are 0, those beyond are dropped (a test
/// set may have features that the training set never saw). Shares the rows if nothing changes.
Dataset with_cols(const Dataset& dataset, std::size_t cols);
/// The same rows in another form; `automatic` selects dense if at least half of the values are
/// stored or there are at most 32 features, and sparse otherwise. Indices are 16 bits wide if cols
/// ≤ 65,536. Throws resource_exhausted if a dense matrix exceeds the memory.
Dataset in_form(const Dataset& dataset, Form form);

/// How to read a file, and its name in messages.
struct ReadOptions {
  std::string what;  ///< names the file in errors
  Form form = Form::automatic;
  std::size_t threads = 1;
  Options options = {};  ///< the format's own options and their values
};

}  // namespace lambdaml::data
