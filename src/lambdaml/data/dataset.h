#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/base/bytes.h"
#include "lambdaml/base/options.h"
#include "lambdaml/data/tensors.h"
#include "lambdaml/tensor/view.h"

namespace lambdaml::data {

/// What rows are called in the file that they come from, so that another file can be read alike.
/// Texts are UTF-8; at most kMostNames names in all.
struct Names {
  std::vector<std::string> features;  ///< one per column, or none; a category is `column=text`
  /// The text of label i, or none. Labels are then 0 … n − 1, in ascending order of their texts.
  std::vector<std::string> labels;
  std::string label = {};         ///< of the column of labels or targets; empty: it has none
  std::vector<float> fills = {};  ///< where a row has no value: one per feature, or none
  std::string weight = {};        ///< of the column of weights; empty: it has none
  bool operator==(const Names&) const = default;
};
constexpr std::size_t kMostNames = 500'000;

/// Rows with their labels or targets, in memory. A view with an owner: cheap to copy, immutable, so
/// it may be shared by threads. Rows are either features or named tensors; a set of tensors has no
/// features: DenseView{nullptr, rows, 0}.
struct Dataset {
  tensor::MatrixView features;           ///< rows × features
  std::span<const std::int32_t> labels;  ///< one per row, as in the file; empty when there are none
  std::shared_ptr<const void> owner;     ///< keeps all that the spans refer to alive
  /// Real numbers to learn, one per row, finite; empty unless the set is one for regression. A set
  /// has labels or targets or neither.
  std::span<const float> targets = {};
  std::shared_ptr<const Names> names = nullptr;  ///< null if nothing has a name
  /// By which the losses of rows are multiplied in training: one per row, finite, from 0 up. Empty:
  /// all are 1. Models apply them relative to their mean; see weights.h.
  std::span<const float> weights = {};
  std::vector<Tensor> tensors = {};  ///< the inputs, in order; empty for a set of features
  /// What to learn where it is not one label or one real number per row; only of a set of tensors,
  /// which then has neither labels nor targets.
  std::optional<Tensor> target_tensor = {};

  /// Of all of them.
  TensorShapes tensor_shapes() const { return {{tensors.begin(), tensors.end()}, target_tensor}; }
  std::size_t rows() const { return tensor::rows(features); }
  std::size_t cols() const { return tensor::cols(features); }
  /// Whether each row has a label or a target.
  bool labelled() const {
    return !labels.empty() || !targets.empty() || target_tensor || rows() == 0;
  }
  Dataset slice(std::size_t begin, std::size_t end) const;
};

/// Whether both name the same, or nothing.
bool same_names(const std::shared_ptr<const Names>& a, const std::shared_ptr<const Names>& b);
/// Names for `cols` columns: those of features beyond are cut off, and all of them are dropped if
/// there are fewer. Null if nothing is left.
std::shared_ptr<const Names> names_of_cols(const std::shared_ptr<const Names>& names,
                                           std::size_t cols);
/// As the metadata `names` of a file: a JSON object of the members that are not empty.
std::string names_text(const Names& names);
/// The reverse; null for an empty text. Throws data_corrupt, naming `what`, unless it names nothing
/// or as many features as there are, and its labels ascend.
std::shared_ptr<const Names> names_from(std::string_view text, std::size_t cols,
                                        std::string_view what);

/// The forms in which features may be stored.
enum class Form { automatic, dense, sparse };

/// The distinct labels, ascending. A label's index is the class number that models train on.
std::vector<std::int32_t> distinct_labels(std::span<const std::int32_t> labels);

/// The checksum of all contents, names included, in their present form. One pass.
std::uint64_t checksum_of(const Dataset& dataset);

/// The data set with exactly `cols` features: missing ones are 0, those beyond are dropped (a test
/// set may have features that the training set never saw). Shares the rows if nothing changes.
Dataset with_cols(const Dataset& dataset, std::size_t cols);
/// The same rows in another form (tensors have one form only); `automatic` selects dense if at
/// least half of the values are stored or there are at most 32 features, and sparse otherwise.
/// Indices are 16 bits wide if cols ≤ 65,536. Throws resource_exhausted if a dense matrix exceeds
/// the memory.
Dataset in_form(const Dataset& dataset, Form form);

/// How to read a file, and its name in messages.
struct ReadOptions {
  std::string what;  ///< names the file in errors
  Form form = Form::automatic;
  std::size_t threads = 1;
  Options options = {};  ///< the format's own options and their values
  /// For rows that a model will use: its number of features (0: there is no model yet) and its
  /// names, which say what a file's columns are. data::read_for() puts them in the model's order.
  std::size_t features = 0;
  std::shared_ptr<const Names> names = nullptr;
  std::vector<TensorShape> tensors = {};  ///< of a model of tensors: its inputs
  bool is_further_file = false;  ///< of a set: what is said once has been said of the first one
  bool is_of_several = false;    ///< its rows join those of other files: see missing.h
  /// For a block of a file: the lines and rows of the file before it, for errors.
  std::uint64_t lines_before = 0;
  std::uint64_t rows_before = 0;
};

}  // namespace lambdaml::data
