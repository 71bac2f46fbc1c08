#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lambdaml/base/rng.h"
#include "lambdaml/comm/communicator.h"
#include "lambdaml/data/dataset.h"
#include "lambdaml/data/scaling.h"
#include "lambdaml/data/tensors.h"
#include "lambdaml/tensor/safetensors.h"
#include "lambdaml/tensor/view.h"

namespace lambdaml::model {

/// Properties of the data that are known before a model is made; the same on every worker.
struct Shape {
  std::size_t features = 0;
  std::vector<std::int32_t>
      labels;  ///< distinct labels, ascending: the label map; class c is labels[c]
  /// The file that defines the model, if Plugin::file_option names one.
  std::shared_ptr<const Buffer> definition = nullptr;
  /// What features and labels are called; null if they have no names. Affects no number.
  std::shared_ptr<const data::Names> names = nullptr;
  /// Of a set of named tensors (its `features` are 0): the inputs, in their order, and what to
  /// learn where that is a tensor too. Empty for a set of features.
  std::vector<data::TensorShape> inputs = {};
  std::optional<data::TensorShape> target = {};
  std::size_t classes() const { return labels.size(); }
  /// Whether what is to be learned are whole numbers: labels, or a tensor of integers.
  bool has_integers() const { return target ? data::is_integer(target->element) : !labels.empty(); }
};

/// The source of a model's random choices for the rows of a batch: a stream for each row of each
/// pass, independent of the number of workers, and the same if a step is repeated.
struct Draws {
  std::uint64_t seed = 0;   ///< of the pass
  std::uint64_t first = 0;  ///< place of the first row in the order in which all workers go through
                            ///< the whole set
  std::uint64_t stride = 1;

  Rng of(std::size_t row) const { return Rng(mix({seed, first + row * stride})); }
  bool operator==(const Draws&) const = default;
};

/// The rows of one batch, with the targets in the form that the model requires.
struct Batch {
  tensor::MatrixView features;
  /// The class number of each row, −1 for a label not in the map, or the number to be predicted;
  /// empty if unlabelled.
  std::span<const float> targets;
  Draws draws = {};
  /// By which a row's loss and gradient are multiplied, ≥ 0; of an ExpectationModel, as how many
  /// rows it counts. Empty: 1. Only models with Plugin::takes_weights get any.
  std::span<const float> weights = {};
  /// Of a set of named tensors, whose `features` have no columns: the inputs of the batch's rows,
  /// and what to learn where that is a tensor (`targets` are empty then). Their values begin at the
  /// batch's first row.
  std::vector<data::Tensor> tensors = {};
  std::optional<data::Tensor> target = {};

  std::size_t rows() const { return tensor::rows(features); }
  Batch slice(std::size_t begin, std::size_t end) const {
    return {tensor::slice(features, begin, end),
            targets.empty() ? targets : targets.subspan(begin, end - begin),
            {draws.seed, draws.first + begin * draws.stride, draws.stride},
            weights.empty() ? weights : weights.subspan(begin, end - begin),
            data::from_row(tensors, begin),
            data::from_row(target, begin)};
  }
};

/// Sums over rows; added over batches and workers, exactly for the counts.
struct Totals {
  double loss = 0;  ///< Σ of the model's loss; k-means: inertia, Σ squared distance
  double rows = 0;
  double correct = 0;  ///< rows whose predicted class is the target
  /// Only of evaluate(). k-means: Σ simplified silhouette.
  double silhouettes = 0;
  /// Only of evaluate(). Models that predict numbers.
  double absolute_error = 0;   ///< Σ |error|
  double targets = 0;          ///< Σ y
  double squared_targets = 0;  ///< Σ y²
  /// Only of evaluate(). Deep models: rows whose target is among the five best of more classes, or
  /// −1 a row if there are no more; Σ mean squared error of a row's numbers.
  double among_five = 0;
  double squared_error = 0;
  Totals& operator+=(const Totals& other) {
    loss += other.loss;
    rows += other.rows;
    correct += other.correct;
    silhouettes += other.silhouettes;
    absolute_error += other.absolute_error;
    targets += other.targets;
    squared_targets += other.squared_targets;
    among_five += other.among_five;
    squared_error += other.squared_error;
    return *this;
  }
};

/// Totals as numbers that can be added up, and back.
constexpr std::size_t kTotals = 9;
inline std::array<double, kTotals> numbers_of(const Totals& totals) {
  return {totals.loss,           totals.rows,    totals.correct,         totals.silhouettes,
          totals.absolute_error, totals.targets, totals.squared_targets, totals.among_five,
          totals.squared_error};
}
inline Totals totals_from(std::span<const double, kTotals> numbers) {
  return {numbers[0], numbers[1], numbers[2], numbers[3], numbers[4],
          numbers[5], numbers[6], numbers[7], numbers[8]};
}

/// A learned function: one contiguous float32 parameter vector, owned by the caller, and ways to
/// turn a batch into sums. An instance has its own scratch space and is used by one thread; methods
/// are deterministic for a given number of threads.
class Model {
 public:
  virtual ~Model() = default;

  /// The length of the parameter vector.
  virtual std::size_t parameter_count() const = 0;
  /// The length of the sums that accumulate() of either kind of model adds to: the gradient's
  /// length, or k · (d + …) for k-means.
  virtual std::size_t sums_count() const = 0;

  /// Fills in the initial parameters, the same on every worker. A collective call: a model that
  /// needs the data of all workers merges what it needs. `rows` are this worker's training rows;
  /// row i is row first_row + i · row_stride of the whole set, so that the result does not depend
  /// on the cut. The communicator must be one that waits for all workers, whatever pattern training
  /// uses.
  struct Start {
    const Batch& rows;
    std::uint64_t first_row = 0;
    std::uint64_t row_stride = 1;
    comm::Communicator& communicator;
    std::uint64_t seed = 1;
  };
  virtual void initialize(const Start& start, std::span<float> parameters) = 0;

  /// Announces the batch of the next accumulate() after the present one; its rows must stay in
  /// place. A model may prepare it meanwhile. Affects only time.
  virtual void expect(const Batch& next) { (void)next; }
  /// Only the totals, for the model as it is used: without random choices, with the statistics in
  /// the parameters.
  virtual Totals evaluate(const Batch& batch, std::span<const float> parameters) = 0;

  /// What predict() computes besides the class and the score of each row.
  struct Wanted {
    bool class_scores = false;
    bool probabilities = false;  ///< only for a model that has_probabilities()
  };
  /// The prediction of each row: the class number (k-means: the cluster) and a score. Binary
  /// models: the margin, whose sign is the class; lr: log-odds. Several classes: the winner's
  /// score. Models that predict numbers: only the score, which is the number. The values of a row
  /// do not depend on the other rows of its batch (deep models: up to rounding).
  struct Prediction {
    std::vector<std::uint32_t> classes;
    std::vector<float> scores;
    /// Models with probabilities: that of the target; otherwise empty.
    std::vector<float> target_probabilities = {};
    /// If wanted: rows × classes, of which a row's largest one wins (binary linear models: −margin,
    /// margin). k-means: empty.
    std::vector<float> class_scores = {};
    /// If wanted: rows × classes; those of a row add up to 1.
    std::vector<float> probabilities = {};
    /// Models that predict several numbers for a row: rows × numbers. `scores` are the first ones.
    std::vector<float> outputs = {};
  };
  virtual Prediction predict(const Batch& batch, std::span<const float> parameters,
                             const Wanted& wanted) = 0;
  Prediction predict(const Batch& batch, std::span<const float> parameters) {
    return predict(batch, parameters, {});
  }
  virtual bool has_probabilities() const { return false; }

  /// A model that predicts by sums of weighted features: score c of a row x is
  /// intercepts[c] + Σ_j weights[c][j] · x[j].
  struct Coefficients {
    std::vector<std::vector<float>> weights;  ///< one list per class; of numbers one
    std::vector<float> intercepts;
  };
  /// nullopt for a model that does not predict in this way. Copies.
  virtual std::optional<Coefficients> coefficients(std::span<const float> parameters) const {
    (void)parameters;
    return {};
  }

  /// Turns parameters learned from scaled columns into those for the columns as they are. Only
  /// models with the option `scale` can; others throw internal.
  virtual void unscale(const data::Scaling& scaling, std::span<float> parameters) const;
  /// The reverse: from those for the columns as they are to those for scaled columns.
  virtual void scale(const data::Scaling& scaling, std::span<float> parameters) const;

  /// The approximate memory in bytes that a worker needs to train on batches of that many rows,
  /// besides its data and the optimizer's vectors; 0 if negligible.
  virtual std::uint64_t training_bytes(std::size_t batch_rows) const {
    (void)batch_rows;
    return 0;
  }

  /// The minimum number of training rows, over all workers, that initialize() needs.
  virtual std::size_t minimum_rows() const { return 1; }

  /// Named, shaped pieces that cover the parameter vector in order: the tensors of the model file.
  struct Piece {
    std::string name;
    std::vector<std::size_t> shape;
  };
  virtual std::vector<Piece> pieces() const = 0;

  /// The other tensors of the model file: those that do not change (frozen weights, counters), and
  /// pieces under a second name. Views of the model and of `parameters`.
  virtual std::vector<tensor::Tensor> further_tensors(std::span<const float> parameters) {
    (void)parameters;
    return {};
  }
  /// Takes those that do not change from a model file.
  virtual void restore(const tensor::SafetensorsFile& file) { (void)file; }
  /// For a model that a file defines: that file with these parameters, for other programs. nullopt
  /// for others.
  virtual std::optional<Buffer> to_file(std::span<const float> parameters) {
    (void)parameters;
    return {};
  }
  /// What a model file holds of Shape::definition: the same, but the values, which are tensors of
  /// the model file. nullopt: all of it.
  virtual std::optional<Buffer> to_empty_file() { return {}; }
};

/// A gradient model's sums with parameters, and all that follows from them, in double: for an
/// optimizer that goes on to where floats differ by rounding only. The rows are floats all the
/// same. Each method is what GradientModel has under its name. Takes up to twice the time.
class DoubleSums {
 public:
  virtual Totals accumulate(const Batch& batch, std::span<const double> parameters,
                            std::span<double> sums) = 0;
  virtual Totals evaluate(const Batch& batch, std::span<const double> parameters) = 0;
  virtual void add_losses_along(const Batch& batch, std::span<const double> parameters,
                                std::span<const double> direction, std::span<const double> lengths,
                                std::span<double> losses) = 0;

 protected:
  ~DoubleSums() = default;
};

/// A model trained along its gradient: sums_count() = parameter_count().
class GradientModel : public Model {
 public:
  std::size_t sums_count() const final { return parameter_count(); }
  /// Its sums in double; null if it has none. A part of the model.
  virtual DoubleSums* in_double() { return nullptr; }
  /// Adds the batch's sums to `sums` and returns its totals: sums += Σ_i ∂loss_i/∂w, without
  /// penalty.
  virtual Totals accumulate(const Batch& batch, std::span<const float> parameters,
                            std::span<float> sums) = 0;
  /// An estimate of the smoothness constant of the mean loss over the rows: the largest eigenvalue
  /// of its Hessian, for any parameters. At most some 10,000 rows are used, in about twenty passes.
  /// `of_row` is the mean of the constants of single rows. nullopt: it depends on the parameters.
  struct Smoothness {
    double of_all = 0;
    double of_row = 0;
  };
  virtual std::optional<Smoothness> smoothness(const Batch& rows) {
    (void)rows;
    return {};
  }
  /// Adds to `sums`, for each parameter, Σ over the rows of a bound of the second derivative of a
  /// row's loss by it, whatever the parameters: how far a step may go in each of them. One pass.
  /// False if there is no such bound.
  virtual bool add_curvatures(const Batch& rows, std::span<double> sums) {
    (void)rows, (void)sums;
    return false;
  }
  /// Adds the sums of the losses at parameters + t · direction for each t of `lengths`. May cost
  /// less than evaluate() at each of these points.
  virtual void add_losses_along(const Batch& batch, std::span<const float> parameters,
                                std::span<const float> direction, std::span<const double> lengths,
                                std::span<double> losses);
  /// The ranges [begin, end) of regularized parameters (biases are not), ascending.
  virtual std::vector<std::pair<std::size_t, std::size_t>> penalized() const = 0;
  /// By what each parameter counts in the penalties: a penalty is that of the products. `scaling`
  /// is that of the columns that the model learns from. Empty: all by 1.
  virtual std::vector<float> penalty_factors(const data::Scaling& scaling) const {
    (void)scaling;
    return {};
  }
  /// Whether accumulate() merges over the workers by itself, as batch normalization over all of
  /// them does. Then join() comes first, and all workers call accumulate() in every round, also
  /// without rows.
  virtual bool merges() const { return false; }
  /// What accumulate() merges over: a communicator that waits for all workers and outlives the
  /// model's use.
  virtual void join(comm::Communicator& communicator) { (void)communicator; }
  /// The length of the part of the parameter vector that has a gradient: [learned(),
  /// parameter_count()) are statistics of the activations (batch normalization's running means and
  /// variances). accumulate() adds rows · (the batch's change of the statistics) to their sums, so
  /// their next value is the present one plus the mean of these sums over the rows of all workers,
  /// without learning rate or momentum.
  virtual std::size_t learned() const { return parameter_count(); }
};

/// A model trained by expectation maximization: merged sums give new parameters.
class ExpectationModel : public Model {
 public:
  /// Adds the batch's sums to `sums` and returns its totals. In double, because the sums cover a
  /// whole pass before they are merged. k-means: cluster sums, then counts.
  virtual Totals accumulate(const Batch& batch, std::span<const float> parameters,
                            std::span<double> sums) = 0;
  /// Rounds sums over any number of batches to floats that may be merged, and passed to maximize(),
  /// instead: messages of half the size.
  virtual void round_sums(std::span<const double> sums, std::span<float> rounded) const = 0;
  /// Computes new parameters from the merged sums; returns how far they moved (Euclidean norm of
  /// the whole vector).
  virtual double maximize(std::span<const double> sums, std::span<float> parameters) = 0;
};

}  // namespace lambdaml::model
