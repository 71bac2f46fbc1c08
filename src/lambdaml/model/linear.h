#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "lambdaml/base/options.h"
#include "lambdaml/model/blocks.h"
#include "lambdaml/model/model.h"
#include "lambdaml/tensor/kernels.h"

namespace lambdaml::model {

/// Options of linear models, whose penalties are those of the optimizer lbfgs: `intercept`,
/// `intercept_scaling`, `penalize`.
std::vector<Option> linear_options();
/// These and others.
std::vector<Option> linear_options(std::vector<Option> others);

/// Models whose loss is a function of margins z = W x + b: everything except that function. Two
/// classes have one margin, positive for the larger label (class 1); K > 2 classes have K margins,
/// and the largest wins (the lowest class among equals). Dense and sparse rows use the same code:
/// one kernel for the gradient of two classes, otherwise tiles of rows that stay in the first-level
/// cache from their margins to their gradient.
///
/// Parameters: `outputs` × features weights, then `outputs` biases; initially zero. A row whose
/// label is not in the label map (target −1) adds no loss and no gradient; it counts as a row, and
/// as classified wrongly. Rows with weights (Batch::weights) take the tiles too.
///
/// A model that predicts numbers has one margin, which is its prediction.
class LinearModel : public GradientModel, private DoubleSums {
 public:
  std::size_t parameter_count() const final { return outputs_ * (features_ + 1); }
  void initialize(const Start& start, std::span<float> parameters) final;
  Totals accumulate(const Batch& batch, std::span<const float> parameters,
                    std::span<float> sums) final;
  Totals evaluate(const Batch& batch, std::span<const float> parameters) final;
  DoubleSums* in_double() final { return this; }
  using Model::predict;
  /// The target probability of a row whose label is not in the map is 0.
  Prediction predict(const Batch& batch, std::span<const float> parameters,
                     const Wanted& wanted) final;
  std::optional<Coefficients> coefficients(std::span<const float> parameters) const final;
  /// w · (x − center) · factor + b = (w · factor) · x + (b − Σ w · factor · center), in double.
  void unscale(const data::Scaling& scaling, std::span<float> parameters) const final;
  void scale(const data::Scaling& scaling, std::span<float> parameters) const final;
  std::vector<Piece> pieces() const final;
  std::vector<std::pair<std::size_t, std::size_t>> penalized() const final;
  std::vector<float> penalty_factors(const data::Scaling& scaling) const final;
  /// That of the loss by the margin, times the largest eigenvalue of the mean of (x, 1) (x, 1)ᵀ,
  /// which is found by power iteration.
  std::optional<Smoothness> smoothness(const Batch& rows) final;
  /// The bound of the loss by the margin, times x² (of biases 1).
  bool add_curvatures(const Batch& rows, std::span<double> sums) final;
  /// Two margins of a row give those of all points.
  void add_losses_along(const Batch& batch, std::span<const float> parameters,
                        std::span<const float> direction, std::span<const double> lengths,
                        std::span<double> losses) final;

 protected:
  /// Reads the option `threads`. Throws invalid_argument unless there are at least two classes and
  /// one feature; `what` names the model in messages.
  LinearModel(const Shape& shape, const Options& options, const std::string& what);
  /// A model that predicts numbers.
  struct Numbers {};
  LinearModel(const Shape& shape, const Options& options, Numbers);

  /// Margins of n rows with known targets; that of class c and row i is at z[c · stride + i].
  template <class Real>
  struct BasicMargins {
    std::size_t n;
    std::size_t classes;
    std::size_t stride;
    const float* targets;
    Real* z;
    const float* weights = nullptr;  ///< null: 1
  };
  using Margins = BasicMargins<float>;
  using DoubleMargins = BasicMargins<double>;
  /// The loss of one margin, as a kernel implements it.
  virtual tensor::Loss one_margin() const = 0;
  /// For K margins per row: replaces them by ∂loss/∂z, adds the number of correctly classified rows
  /// to `correct` and returns the sum of the losses.
  virtual double many_classes(const Margins& rows, double& correct) const;
  virtual double many_classes(const DoubleMargins& rows, double& correct) const;
  /// The largest second derivative of a row's loss by its margins (of the hinge, which has none,
  /// 1).
  virtual double curvature() const = 0;
  /// P(target | row) for rows with known targets, for models with probabilities.
  virtual void probabilities(const Margins& rows, float* out) const;
  /// P(c | row i) of each class c, for these models too.
  virtual void class_probabilities(const Margins& rows, std::size_t i, float* out) const;

  /// The class of row i.
  template <class Real>
  static std::size_t winner(const BasicMargins<Real>& rows, std::size_t i) {
    if (rows.classes == 1) return rows.z[i] > 0 ? 1 : 0;
    std::size_t best = 0;
    for (std::size_t c = 1; c < rows.classes; ++c)
      if (rows.z[c * rows.stride + i] > rows.z[best * rows.stride + i]) best = c;
    return best;
  }

 private:
  Totals accumulate(const Batch& batch, std::span<const double> parameters,
                    std::span<double> sums) final;
  Totals evaluate(const Batch& batch, std::span<const double> parameters) final;
  void add_losses_along(const Batch& batch, std::span<const double> parameters,
                        std::span<const double> direction, std::span<const double> lengths,
                        std::span<double> losses) final;

  void check(const Batch& batch, std::size_t parameters, bool needs_targets) const;
  template <class Real>
  Totals sums_of(const Batch& batch, std::span<const Real> parameters, std::span<Real> sums);
  template <class Real>
  void add_losses(const Batch& batch, std::span<const Real> parameters,
                  std::span<const Real> direction, std::span<const double> lengths,
                  std::span<double> losses);
  /// Numbers: all are. `classes_` is 0 then.
  bool known(float target) const {
    return classes_ == 0 || (target >= 0 && target < static_cast<float>(classes_));
  }
  bool all_known(const float* targets, std::size_t n) const;
  /// Replaces margins by ∂loss/∂z and returns the sum of the losses, with weights if there are
  /// some.
  template <class Real>
  double losses(BasicMargins<Real> rows, double& correct) const;
  /// The same of rows with weights, for each run of equal ones.
  template <class Real>
  double losses_by_weight(const BasicMargins<Real>& rows, double& correct) const;
  /// Calls visit(tile, its first row, prefetch hint) for each tile of x, with its margins in z.
  template <class View, class Real, class Visit>
  void for_tiles(const View& x, const Real* parameters, Real* z, Visit&& visit) const;

  LinearModel(std::size_t features, std::size_t classes, const Options& options);
  /// Adds what only evaluate() reports of numbers, given the (weighted) errors.
  template <class Real>
  static void add_errors(const BasicMargins<Real>& rows, Totals& totals);

  std::size_t features_;
  std::size_t classes_;  ///< 0: it predicts numbers
  std::size_t outputs_;
  bool has_intercept_;
  double intercept_scaling_;  ///< 0: biases are not penalized
  bool penalizes_as_saved_;
  std::size_t stride_;  ///< the most rows of a tile
  RowBlocks blocks_;
  BasicRowBlocks<double> double_blocks_;
  /// Scratch space of one of the types.
  template <class Real>
  struct Scratch {
    std::vector<Real> margins;  ///< outputs × stride for each block
    std::vector<Real> line;     ///< the same, of a direction and of a point on it
  };
  template <class Real>
  Scratch<Real>& scratch();
  Scratch<float> scratch_;
  Scratch<double> double_scratch_;  ///< empty until it is needed
};

}  // namespace lambdaml::model
