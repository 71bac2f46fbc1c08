#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "lambdaml/model/model.h"

namespace lambdaml::model {

/// A model with gradients that computes the sums of a batch from those of slices of at most `rows`
/// rows, for batches that do not fit the memory: its training_bytes() are those of a slice. The
/// sums are the same but for rounding, except that batch normalization normalizes each slice by
/// itself.
class MicroBatches final : public GradientModel {
 public:
  MicroBatches(std::unique_ptr<GradientModel> model, std::size_t rows)
      : model_(std::move(model)), rows_(rows) {}

  std::size_t parameter_count() const override { return model_->parameter_count(); }
  std::size_t learned() const override { return model_->learned(); }
  void initialize(const Start& start, std::span<float> parameters) override {
    model_->initialize(start, parameters);
  }
  void expect(const Batch& next) override { next_ = first_slice(next); }
  Totals accumulate(const Batch& batch, std::span<const float> parameters,
                    std::span<float> sums) override;
  Totals evaluate(const Batch& batch, std::span<const float> parameters) override {
    return model_->evaluate(batch, parameters);
  }
  Prediction predict(const Batch& batch, std::span<const float> parameters,
                     const Wanted& wanted) override {
    return model_->predict(batch, parameters, wanted);
  }
  bool has_probabilities() const override { return model_->has_probabilities(); }
  std::optional<Coefficients> coefficients(std::span<const float> parameters) const override {
    return model_->coefficients(parameters);
  }
  void unscale(const data::Scaling& scaling, std::span<float> parameters) const override {
    model_->unscale(scaling, parameters);
  }
  void scale(const data::Scaling& scaling, std::span<float> parameters) const override {
    model_->scale(scaling, parameters);
  }
  std::uint64_t training_bytes(std::size_t batch_rows) const override {
    return model_->training_bytes(std::min(batch_rows, rows_));
  }
  std::size_t minimum_rows() const override { return model_->minimum_rows(); }
  std::vector<Piece> pieces() const override { return model_->pieces(); }
  std::vector<tensor::Tensor> further_tensors(std::span<const float> parameters) override {
    return model_->further_tensors(parameters);
  }
  void restore(const tensor::SafetensorsFile& file) override { model_->restore(file); }
  std::optional<Buffer> to_file(std::span<const float> parameters) override {
    return model_->to_file(parameters);
  }
  std::optional<Buffer> to_empty_file() override { return model_->to_empty_file(); }
  std::optional<Smoothness> smoothness(const Batch& rows) override {
    return model_->smoothness(rows);
  }
  bool add_curvatures(const Batch& rows, std::span<double> sums) override {
    return model_->add_curvatures(rows, sums);
  }
  void add_losses_along(const Batch& batch, std::span<const float> parameters,
                        std::span<const float> direction, std::span<const double> lengths,
                        std::span<double> losses) override {
    model_->add_losses_along(batch, parameters, direction, lengths, losses);
  }
  std::vector<std::pair<std::size_t, std::size_t>> penalized() const override {
    return model_->penalized();
  }
  std::vector<float> penalty_factors(const data::Scaling& scaling) const override {
    return model_->penalty_factors(scaling);
  }

 private:
  Batch first_slice(const Batch& batch) const {
    return batch.slice(0, std::min(rows_, batch.rows()));
  }

  std::unique_ptr<GradientModel> model_;
  std::size_t rows_;
  std::optional<Batch> next_;  ///< the first slice of the next batch
};

/// The model itself, or a MicroBatches of it if `rows` is above 0. Throws invalid_argument for a
/// model without gradients.
std::unique_ptr<Model> in_micro_batches(std::unique_ptr<Model> model, std::size_t rows);

}  // namespace lambdaml::model
