#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "lambdaml/base/bytes.h"
#include "lambdaml/model/model.h"

namespace lambdaml::model {

/// Judged predictions of labelled rows: what the measures of classifiers are computed from. Tallies
/// add up exactly: whatever rows are counted by which process, and in whatever order, the measures
/// are the same to the last bit. Used by one thread.
///
/// Memory: classes² counts and, for rankings, 4 bytes per row of two classes, or per row and class
/// of more.
class Tally {
 public:
  /// With more classes than this, scores are not ranked, and there is no area under the curve.
  static constexpr std::size_t kMostRankedClasses = 100;

  Tally() = default;
  explicit Tally(std::size_t classes);

  /// What add() needs from a model's predictions.
  static Model::Wanted wanted(const Model& model, std::size_t classes);
  /// Counts rows. `targets` are class numbers below classes(), one per row. The predictions are
  /// those of wanted().
  void add(const Model::Prediction& prediction, std::span<const float> targets);
  /// Counts the rows of another tally of the same number of classes too.
  void add(const Tally& other);

  std::size_t classes() const { return classes_; }
  std::uint64_t rows() const;
  /// The rows of class `target` that were predicted as `predicted`.
  std::uint64_t count(std::size_t target, std::size_t predicted) const {
    return confusion_[target * classes_ + predicted];
  }
  std::uint64_t rows_of(std::size_t target) const;
  std::uint64_t predicted_as(std::size_t c) const;

  /// Whether the model gave probabilities, and −Σ ln of those of the true labels, each clamped to
  /// at least 1e-15, as is one that is NaN.
  bool has_probabilities() const { return has_probabilities_; }
  double log_loss() const;

  /// The scores by which rows are ranked, apart for rows of a class and for all others. For two
  /// classes there is one ranking, of class 1 by the margin; for more, one per class: by its
  /// probability or, for a model without probabilities, by its score.
  struct Ranking {
    std::vector<float> positives;
    std::vector<float> negatives;
  };
  /// Empty if scores are not ranked: there are too many classes, or a score is NaN.
  std::span<const Ranking> rankings() const { return rankings_; }

  /// For another process of the same machine type. from_bytes() throws data_corrupt, naming `what`.
  Buffer to_bytes() const;
  static Tally from_bytes(Bytes bytes, const std::string& what);

 private:
  void rank(const Model::Prediction& prediction, std::span<const float> targets);
  void give_up_ranking();

  __extension__ using Fixed = __int128;

  std::size_t classes_ = 0;
  std::vector<std::uint64_t> confusion_;  ///< [target · classes + predicted]
  bool has_probabilities_ = false;
  Fixed log_loss_ = 0;  ///< in units of 2⁻⁶⁴, so that sums are exact in any order
  bool is_ranked_ = false;
  std::vector<Ranking> rankings_;
};

}  // namespace lambdaml::model
