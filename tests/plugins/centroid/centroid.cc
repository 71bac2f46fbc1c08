#include <algorithm>
#include <cmath>

#include "lambdaml/base/error.h"
#include "lambdaml/model/registry.h"

/// An unsupervised model of one point: the mean of all rows, found along the gradient of the
/// squared distance.
namespace lambdaml::model::centroid {
namespace {

class Centroid final : public GradientModel {
 public:
  explicit Centroid(std::size_t features) : row_(features) {}

  std::size_t parameter_count() const override { return row_.size(); }
  void initialize(const Start&, std::span<float> parameters) override {
    std::ranges::fill(parameters, 0.0F);
  }

  Totals accumulate(const Batch& batch, std::span<const float> parameters,
                    std::span<float> sums) override {
    if (sums.size() != row_.size()) fail(Code::invalid_argument, "centroid: {} sums", sums.size());
    return for_each_row(batch, parameters, [&] {
      for (std::size_t i = 0; i < row_.size(); ++i) sums[i] += parameters[i] - row_[i];
    });
  }
  Totals evaluate(const Batch& batch, std::span<const float> parameters) override {
    return for_each_row(batch, parameters, [] {});
  }
  Prediction predict(const Batch& batch, std::span<const float> parameters,
                     const Wanted&) override {
    Prediction out;
    for_each_row(batch, parameters, [&] {
      out.classes.push_back(0);
      out.scores.push_back(static_cast<float>(-squared_distance(parameters)));
    });
    return out;
  }

  std::vector<std::pair<std::size_t, std::size_t>> penalized() const override { return {}; }
  std::vector<Piece> pieces() const override { return {{"mean", {row_.size()}}}; }

 private:
  double squared_distance(std::span<const float> parameters) const {
    double sum = 0;
    for (std::size_t i = 0; i < row_.size(); ++i) {
      const double far = static_cast<double>(row_[i]) - parameters[i];
      sum += far * far;
    }
    return sum;
  }

  /// Calls use() with each row's values in row_.
  template <class Use>
  Totals for_each_row(const Batch& batch, std::span<const float> parameters, const Use& use) {
    if (parameters.size() != row_.size() || tensor::cols(batch.features) != row_.size())
      fail(Code::invalid_argument, "centroid: {} parameters and {} features, where {} belong",
           parameters.size(), tensor::cols(batch.features), row_.size());
    Totals totals;
    for (std::size_t r = 0; r < batch.rows(); ++r) {
      std::visit([&](const auto& features) { fill_row(features, r); }, batch.features);
      totals.loss += squared_distance(parameters);
      totals.rows += 1;
      use();
    }
    return totals;
  }
  void fill_row(const tensor::DenseView& dense, std::size_t r) {
    std::ranges::copy(dense.row(r), row_.begin());
  }
  template <class Sparse>
  void fill_row(const Sparse& sparse, std::size_t r) {
    std::ranges::fill(row_, 0.0F);
    for (std::uint64_t k = sparse.offsets[r]; k < sparse.offsets[r + 1]; ++k)
      row_[sparse.indices[k]] = sparse.values[k];
  }

  std::vector<float> row_;
};

}  // namespace

void register_plugin(Registry& registry) {
  registry.add({.name = "centroid",
                .help = "the mean of all rows",
                .needs_labels = false,
                .metrics = {{.name = "spread",
                             .help = "mean squared distance to the mean of all rows",
                             .of = [](const Totals& totals) { return totals.loss / totals.rows; }}},
                .tabulate = table_of_clusters,
                .make = [](const Shape& shape, const Options&) {
                  return std::make_unique<Centroid>(shape.features);
                }});
}

}  // namespace lambdaml::model::centroid
