#include "lambdaml/model/linear.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <type_traits>
#include <variant>

#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"
#include "lambdaml/model/names.h"
#include "lambdaml/tensor/kernels.h"

namespace lambdaml::model {
namespace {

/// A tile is read twice; the second time it comes from the first-level cache. It is as small as the
/// overhead of three calls permits, so that reading from memory and computing alternate quickly.
constexpr std::size_t kTileBytes = 8 * 1024;
constexpr std::size_t kMarginBytes = 8 * 1024;
constexpr std::size_t kLeastRows = 16;
constexpr std::size_t kMostRows = 512;
/// Tiles between the one being computed and the one being prefetched.
constexpr std::size_t kTilesAhead = 2;

constexpr const char* kAsSaved = "saved";

std::size_t row_bytes(const tensor::DenseView& x) { return x.cols * sizeof(float); }
template <class Index>
std::size_t row_bytes(const tensor::CsrView<Index>& x) {
  return x.nonzeros() / x.rows * (sizeof(float) + sizeof(Index));
}

/// Prefetches a range in three parts, one before each kernel of a tile: while these work on cached
/// data, the processor's own prefetching has nothing to follow and memory would be idle. On one
/// core, a pass over 1 M × 28 takes 0.8 of the time without it.
class Prefetch {
 public:
  Prefetch() = default;
  Prefetch(const float* begin, const float* end)
      : next_(reinterpret_cast<const char*>(begin)),
        end_(reinterpret_cast<const char*>(end)),
        third_((end_ - next_ + 2) / 3) {}

  void third() {
    const char* stop = end_ - next_ < third_ ? end_ : next_ + third_;
    for (; next_ < stop; next_ += 64) __builtin_prefetch(next_, 0, 2);
  }

 private:
  const char* next_ = nullptr;
  const char* end_ = nullptr;
  std::ptrdiff_t third_ = 0;
};

Prefetch prefetch(const tensor::DenseView& x, std::size_t begin, std::size_t end) {
  return {x.data + std::min(begin, x.rows) * x.cols, x.data + std::min(end, x.rows) * x.cols};
}
/// Sparse rows are limited by their scattered accesses to the weights, not by reading their
/// entries.
template <class Index>
Prefetch prefetch(const tensor::CsrView<Index>&, std::size_t, std::size_t) {
  return {};
}

}  // namespace

std::vector<Option> linear_options() {
  return {{.name = "intercept",
           .default_value = true,
           .help = "linear models: there is a bias for each class"},
          {.name = "intercept_scaling",
           .default_value = 0.0,
           .help = "linear models by lbfgs: the biases are penalized as the weights of a column of "
                   "this constant, as LIBLINEAR does; 0: not at all",
           .minimum = 0},
          {.name = "penalize",
           .default_value = std::string("scaled"),
           .help = "linear models by lbfgs: penalties are those of the weights of scaled columns, "
                   "or of the weights that are saved, for columns as they are",
           .choices = {"scaled", kAsSaved}}};
}

std::vector<Option> linear_options(std::vector<Option> others) {
  std::vector<Option> out = linear_options();
  out.insert(out.end(), std::make_move_iterator(others.begin()),
             std::make_move_iterator(others.end()));
  return out;
}

LinearModel::LinearModel(std::size_t features, std::size_t classes, const Options& options)
    : features_(features),
      classes_(classes),
      outputs_(classes <= 2 ? 1 : classes),
      has_intercept_(options.flag("intercept")),
      intercept_scaling_(options.real("intercept_scaling")),
      penalizes_as_saved_(options.text("penalize") == kAsSaved),
      blocks_(static_cast<std::size_t>(options.integer("threads"))),
      double_blocks_(blocks_.limit()) {
  if (features_ == 0) fail(Code::invalid_argument, "a linear model needs at least one feature");
  stride_ = std::clamp(kMarginBytes / (outputs_ * sizeof(float)), kLeastRows, kMostRows);
  scratch_.margins.resize(blocks_.limit() * outputs_ * stride_);
}

template <class Real>
LinearModel::Scratch<Real>& LinearModel::scratch() {
  if constexpr (std::is_same_v<Real, float>) {
    return scratch_;
  } else {
    double_scratch_.margins.resize(scratch_.margins.size());
    return double_scratch_;
  }
}

LinearModel::LinearModel(const Shape& shape, const Options& options, Numbers)
    : LinearModel(shape.features, 0, options) {}

LinearModel::LinearModel(const Shape& shape, const Options& options, const std::string& what)
    : LinearModel(shape.features, shape.classes(), options) {
  if (classes_ == 0) fail(Code::invalid_argument, "{} needs labels and the data has none", what);
  require_two_classes(shape, what);
}

void LinearModel::initialize(const Start&, std::span<float> parameters) {
  std::fill(parameters.begin(), parameters.end(), 0.0F);
}

void LinearModel::check(const Batch& batch, std::size_t parameters, bool needs_targets) const {
  if (tensor::cols(batch.features) != features_ || parameters != parameter_count())
    fail(Code::internal, "a batch of {} features and {} parameters for a model of {} and {}",
         tensor::cols(batch.features), parameters, features_, parameter_count());
  if (!batch.weights.empty() && batch.weights.size() != batch.rows())
    fail(Code::internal, "{} weights for {} rows", batch.weights.size(), batch.rows());
  if (needs_targets ? batch.targets.size() != batch.rows()
                    : !batch.targets.empty() && batch.targets.size() != batch.rows())
    fail(Code::internal, "{} targets for {} rows", batch.targets.size(), batch.rows());
}

Totals LinearModel::accumulate(const Batch& batch, std::span<const float> parameters,
                               std::span<float> sums) {
  if (sums.size() != parameter_count())
    fail(Code::internal, "sums of {} floats for {} parameters", sums.size(), parameter_count());
  return sums_of(batch, parameters, sums);
}
Totals LinearModel::accumulate(const Batch& batch, std::span<const double> parameters,
                               std::span<double> sums) {
  if (sums.size() != parameter_count())
    fail(Code::internal, "sums of {} doubles for {} parameters", sums.size(), parameter_count());
  return sums_of(batch, parameters, sums);
}

Totals LinearModel::evaluate(const Batch& batch, std::span<const float> parameters) {
  return sums_of(batch, parameters, {});
}
Totals LinearModel::evaluate(const Batch& batch, std::span<const double> parameters) {
  return sums_of(batch, parameters, {});
}

template <class View, class Real, class Visit>
void LinearModel::for_tiles(const View& x, const Real* parameters, Real* z, Visit&& visit) const {
  if (x.rows == 0) return;
  const std::size_t fitting = kTileBytes / std::max<std::size_t>(row_bytes(x), 1);
  const std::size_t tile_rows = std::clamp(fitting, kLeastRows, stride_) / kLeastRows * kLeastRows;
  const Real* biases = parameters + outputs_ * features_;
  for (std::size_t begin = 0; begin < x.rows; begin += tile_rows) {
    const View tile = x.slice(begin, std::min(begin + tile_rows, x.rows));
    Prefetch ahead =
        prefetch(x, begin + kTilesAhead * tile_rows, begin + (kTilesAhead + 1) * tile_rows);
    ahead.third();
    for (std::size_t c = 0; c < outputs_; ++c)
      tensor::margins(tile, parameters + c * features_, biases[c], z + c * stride_);
    visit(tile, begin, ahead);
  }
}

template <class Real>
Totals LinearModel::sums_of(const Batch& batch, std::span<const Real> parameters,
                            std::span<Real> sums) {
  check(batch, parameters.size(), true);
  const std::size_t work = tensor::stored_values(batch.features) * outputs_;
  Real* const all_margins = scratch<Real>().margins.data();
  auto add_block = [&](std::size_t block, std::size_t begin, std::size_t end, Real* own) {
    Totals totals{.rows = static_cast<double>(end - begin)};
    Real* z = all_margins + block * outputs_ * stride_;
    const float* targets = batch.targets.data() + begin;
    const float* weights = batch.weights.empty() ? nullptr : batch.weights.data() + begin;
    if (outputs_ == 1 && own != nullptr && weights == nullptr && all_known(targets, end - begin)) {
      const tensor::LossSums sums_of_block = std::visit(
          [&](const auto& x) {
            return tensor::add_gradient(one_margin(), x.slice(begin, end), targets,
                                        parameters.data(), parameters[features_], own);
          },
          batch.features);
      totals.loss = sums_of_block.loss;
      totals.correct = sums_of_block.correct;
      if (has_intercept_) own[features_] += static_cast<Real>(sums_of_block.residuals);
      return totals;
    }
    auto add_tiles = [&](const auto& x) {
      for_tiles(x.slice(begin, end), parameters.data(), z,
                [&](const auto& tile, std::size_t at, Prefetch& ahead) {
                  ahead.third();
                  const BasicMargins<Real> margins{
                      tile.rows,    outputs_, stride_,
                      targets + at, z,        weights == nullptr ? nullptr : weights + at};
                  totals.loss += losses(margins, totals.correct);
                  ahead.third();
                  if (own == nullptr) {
                    if (classes_ == 0) add_errors(margins, totals);
                    return;
                  }
                  for (std::size_t c = 0; c < outputs_; ++c) {
                    const Real* residuals = z + c * stride_;
                    tensor::accumulate(tile, residuals, own + c * features_);
                    if (!has_intercept_) continue;
                    double bias = 0;
                    for (std::size_t i = 0; i < tile.rows; ++i) bias += residuals[i];
                    own[outputs_ * features_ + c] += static_cast<Real>(bias);
                  }
                });
    };
    std::visit(add_tiles, batch.features);
    return totals;
  };
  if constexpr (std::is_same_v<Real, float>)
    return blocks_.add(batch.rows(), work, sums, add_block);
  else
    return double_blocks_.add(batch.rows(), work, sums, add_block);
}

template <class Real>
void LinearModel::add_errors(const BasicMargins<Real>& rows, Totals& totals) {
  for (std::size_t i = 0; i < rows.n; ++i) {
    const double weight = rows.weights == nullptr ? 1 : rows.weights[i];
    const double target = rows.targets[i];
    totals.absolute_error += std::abs(rows.z[i]);
    totals.targets += weight * target;
    totals.squared_targets += weight * target * target;
  }
}

double LinearModel::many_classes(const Margins&, double&) const {
  fail(Code::internal, "a model with one margin was asked for the losses of several");
}
double LinearModel::many_classes(const DoubleMargins&, double&) const {
  fail(Code::internal, "a model with one margin was asked for the losses of several");
}

bool LinearModel::all_known(const float* targets, std::size_t n) const {
  if (classes_ == 0) return true;
  const auto bound = static_cast<float>(classes_);
  bool all = true;
  for (std::size_t i = 0; i < n; ++i) all &= (targets[i] >= 0) & (targets[i] < bound);
  return all;
}

template <class Real>
double LinearModel::losses(BasicMargins<Real> rows, double& correct) const {
  auto of_known = [&](const BasicMargins<Real>& part) {
    if (outputs_ > 1) return many_classes(part, correct);
    const tensor::LossSums sums =
        tensor::apply_loss(one_margin(), part.n, part.targets, part.weights, part.z);
    correct += sums.correct;
    return sums.loss;
  };
  const bool can_weigh = outputs_ == 1 || rows.weights == nullptr;
  if (can_weigh && all_known(rows.targets, rows.n)) return of_known(rows);
  if (rows.weights != nullptr) return losses_by_weight(rows, correct);

  double loss = 0;
  std::size_t i = 0;
  while (i < rows.n) {
    std::size_t end = i;
    while (end < rows.n && known(rows.targets[end])) ++end;
    if (end > i)
      loss += of_known({end - i, rows.classes, rows.stride, rows.targets + i, rows.z + i});
    for (i = end; i < rows.n && !known(rows.targets[i]); ++i)
      for (std::size_t c = 0; c < outputs_; ++c) rows.z[c * rows.stride + i] = 0;
  }
  return loss;
}

template <class Real>
double LinearModel::losses_by_weight(const BasicMargins<Real>& rows, double& correct) const {
  double loss = 0;
  for (std::size_t i = 0; i < rows.n;) {
    const float weight = rows.weights[i];
    std::size_t end = i + 1;
    while (end < rows.n && rows.weights[end] == weight) ++end;
    const BasicMargins<Real> part{end - i, rows.classes, rows.stride, rows.targets + i, rows.z + i};
    loss += weight * losses(part, correct);
    for (std::size_t c = 0; c < outputs_; ++c)
      for (std::size_t r = i; r < end; ++r) rows.z[c * rows.stride + r] *= weight;
    i = end;
  }
  return loss;
}

Model::Prediction LinearModel::predict(const Batch& batch, std::span<const float> parameters,
                                       const Wanted& wanted) {
  check(batch, parameters.size(), false);
  const std::size_t n = batch.rows();
  Prediction out;
  if (classes_ > 0) out.classes.resize(n);
  out.scores.resize(n);
  const bool with_target = has_probabilities() && !batch.targets.empty();
  if (with_target) out.target_probabilities.assign(n, 0.0F);
  if (wanted.class_scores) out.class_scores.resize(n * classes_);
  if (wanted.probabilities) out.probabilities.resize(n * classes_);
  float* z = scratch_.margins.data();
  auto predict_tiles = [&](const auto& x) {
    for_tiles(x, parameters.data(), z, [&](const auto& tile, std::size_t begin, Prefetch&) {
      const Margins rows{tile.rows, outputs_, stride_, nullptr, z};
      for (std::size_t i = 0; i < tile.rows; ++i) {
        const std::size_t row = begin + i;
        if (classes_ == 0) {
          out.scores[row] = z[i];
          continue;
        }
        const std::size_t best = winner(rows, i);
        out.classes[row] = static_cast<std::uint32_t>(best);
        out.scores[row] = outputs_ == 1 ? z[i] : z[best * stride_ + i];
        if (with_target && known(batch.targets[row]))
          probabilities({1, outputs_, stride_, &batch.targets[row], z + i},
                        &out.target_probabilities[row]);
        if (wanted.class_scores)
          for (std::size_t c = 0; c < classes_; ++c)
            out.class_scores[row * classes_ + c] = outputs_ > 1 ? z[c * stride_ + i]
                                                   : c == 1     ? z[i]
                                                                : -z[i];
        if (wanted.probabilities) class_probabilities(rows, i, &out.probabilities[row * classes_]);
      }
    });
  };
  std::visit(predict_tiles, batch.features);
  return out;
}

std::optional<Model::Coefficients> LinearModel::coefficients(
    std::span<const float> parameters) const {
  Coefficients out;
  for (std::size_t c = 0; c < std::max<std::size_t>(classes_, 1); ++c) {
    const std::size_t output = outputs_ == 1 ? 0 : c;
    const float sign = classes_ == 2 && c == 0 ? -1.0F : 1.0F;
    std::vector<float>& weights = out.weights.emplace_back(features_);
    for (std::size_t j = 0; j < features_; ++j)
      weights[j] = sign * parameters[output * features_ + j];
    out.intercepts.push_back(sign * parameters[outputs_ * features_ + output]);
  }
  return out;
}

void LinearModel::probabilities(const Margins&, float*) const {
  fail(Code::internal, "a model without probabilities was asked for them");
}

void LinearModel::unscale(const data::Scaling& scaling, std::span<float> parameters) const {
  for (std::size_t output = 0; output < outputs_; ++output) {
    const std::span<float> weights = parameters.subspan(output * features_, features_);
    float& bias = parameters[outputs_ * features_ + output];
    double shift = 0;
    for (std::size_t c = 0; c < features_; ++c) {
      const double weight = static_cast<double>(weights[c]) * scaling.factor[c];
      shift += weight * scaling.center[c];
      weights[c] = static_cast<float>(weight);
    }
    bias = static_cast<float>(bias - shift);
  }
}

void LinearModel::scale(const data::Scaling& scaling, std::span<float> parameters) const {
  for (std::size_t output = 0; output < outputs_; ++output) {
    const std::span<float> weights = parameters.subspan(output * features_, features_);
    float& bias = parameters[outputs_ * features_ + output];
    double shift = 0;
    for (std::size_t c = 0; c < features_; ++c) {
      shift += static_cast<double>(weights[c]) * scaling.center[c];
      weights[c] = static_cast<float>(static_cast<double>(weights[c]) / scaling.factor[c]);
    }
    bias = static_cast<float>(bias + shift);
  }
}

void LinearModel::class_probabilities(const Margins&, std::size_t, float*) const {
  fail(Code::internal, "a model without probabilities was asked for them");
}

std::vector<Model::Piece> LinearModel::pieces() const {
  return {{"weight", {outputs_, features_}}, {"bias", {outputs_}}};
}

void LinearModel::add_losses_along(const Batch& batch, std::span<const float> parameters,
                                   std::span<const float> direction,
                                   std::span<const double> lengths, std::span<double> losses) {
  add_losses(batch, parameters, direction, lengths, losses);
}
void LinearModel::add_losses_along(const Batch& batch, std::span<const double> parameters,
                                   std::span<const double> direction,
                                   std::span<const double> lengths, std::span<double> losses) {
  add_losses(batch, parameters, direction, lengths, losses);
}

template <class Real>
void LinearModel::add_losses(const Batch& batch, std::span<const Real> parameters,
                             std::span<const Real> direction, std::span<const double> lengths,
                             std::span<double> losses) {
  check(batch, parameters.size(), true);
  const std::size_t size = outputs_ * stride_;
  Scratch<Real>& space = scratch<Real>();
  space.line.resize(double_blocks_.limit() * 2 * size);
  auto add_block = [&](std::size_t block, std::size_t begin, std::size_t end, double* own) {
    Real* z = space.margins.data() + block * size;
    Real* slopes = space.line.data() + block * 2 * size;
    Real* at = slopes + size;
    double correct = 0;
    const auto add_tile = [&](const auto& tile, std::size_t from, Prefetch&) {
      const Real* biases = direction.data() + outputs_ * features_;
      for (std::size_t c = 0; c < outputs_; ++c)
        tensor::margins(tile, direction.data() + c * features_, biases[c], slopes + c * stride_);
      BasicMargins<Real> rows{tile.rows, outputs_, stride_, batch.targets.data() + begin + from,
                              at};
      if (!batch.weights.empty()) rows.weights = batch.weights.data() + begin + from;
      for (std::size_t k = 0; k < lengths.size(); ++k) {
        const auto t = static_cast<Real>(lengths[k]);
        for (std::size_t c = 0; c < outputs_; ++c)
          for (std::size_t i = c * stride_; i < c * stride_ + tile.rows; ++i)
            at[i] = z[i] + t * slopes[i];
        own[k] += this->losses(rows, correct);
      }
    };
    std::visit(
        [&](const auto& x) { for_tiles(x.slice(begin, end), parameters.data(), z, add_tile); },
        batch.features);
    return Totals{};
  };
  double_blocks_.add(batch.rows(), tensor::stored_values(batch.features) * outputs_, losses,
                     add_block);
}

std::vector<std::pair<std::size_t, std::size_t>> LinearModel::penalized() const {
  return {{0, intercept_scaling_ > 0 && has_intercept_ ? parameter_count() : outputs_ * features_}};
}

std::vector<float> LinearModel::penalty_factors(const data::Scaling& scaling) const {
  const bool scales = penalizes_as_saved_ && !scaling.empty();
  if (!scales && intercept_scaling_ == 0) return {};
  std::vector<float> out(parameter_count(), 1.0F);
  for (std::size_t i = 0; scales && i < outputs_ * features_; ++i)
    out[i] = scaling.factor[i % features_];
  if (intercept_scaling_ > 0)
    for (std::size_t i = outputs_ * features_; i < out.size(); ++i)
      out[i] = static_cast<float>(1 / intercept_scaling_);
  return out;
}

}  // namespace lambdaml::model
