#pragma once

#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lambdaml/base/options.h"
#include "lambdaml/model/engine.h"
#include "lambdaml/model/model.h"
#include "lambdaml/model/network.h"

namespace lambdaml::model {

/// The description of a deep model, apart from the engine that runs it.
struct DeepParts {
  std::string name;  ///< for messages
  std::vector<Model::Piece> learned;
  std::vector<Model::Piece> statistics;
  std::uint64_t activation_bytes = 0;  ///< per image, kept for the backward pass
  std::function<std::unique_ptr<Engine>()> start;
};

/// Options of all deep models: label_smoothing, precision, augment, freeze_batch_norm.
std::vector<Option> deep_options();
EngineSettings engine_settings(const Options& options);

/// A classifier of images (rows of data::kImageValues features) by softmax and cross-entropy. Its
/// parameters are the learned ones, followed by the statistics of batch normalization; weights of
/// convolutions and linear layers are regularized, biases and scales are not. The training loss
/// includes label smoothing, the evaluated one does not. A second thread prepares the next batch
/// during training on the present one.
class DeepModel final : public GradientModel {
 public:
  /// Throws invalid_argument if rows are not images or there are fewer than two classes.
  DeepModel(DeepParts parts, const Shape& shape, const Options& options);
  ~DeepModel() override;

  std::size_t parameter_count() const override { return learned_ + statistics_; }
  std::size_t learned() const override { return learned_; }
  void initialize(const Start& start, std::span<float> parameters) override;
  Totals accumulate(const Batch& batch, std::span<const float> parameters,
                    std::span<float> sums) override;
  void expect(const Batch& next) override { next_ = next; }
  Totals evaluate(const Batch& batch, std::span<const float> parameters) override;
  Prediction predict(const Batch& batch, std::span<const float> parameters,
                     const Wanted& wanted) override;
  bool has_probabilities() const override { return true; }
  std::uint64_t training_bytes(std::size_t batch_rows) const override;
  std::vector<Piece> pieces() const override;
  std::vector<std::pair<std::size_t, std::size_t>> penalized() const override;

 private:
  /// A batch in the form that networks expect.
  struct Prepared {
    Batch batch;
    std::vector<float> images;
    std::vector<std::int64_t> targets;
  };

  Engine& engine();
  void check(const Batch& batch, std::span<const float> parameters, bool needs_targets) const;
  static void prepare(const Batch& batch, bool vary, Prepared& out);
  /// Calls visit(first row, rows, logits) for blocks of the batch.
  void for_logits(const Batch& batch, std::span<const float> parameters,
                  const std::function<void(std::size_t, std::size_t, const float*)>& visit);

  DeepParts parts_;
  std::size_t classes_;
  std::size_t learned_;
  std::size_t statistics_;
  bool augment_;
  double bytes_per_activation_;
  std::unique_ptr<Engine> engine_;
  Prepared present_;
  Prepared coming_;
  std::optional<Batch> next_;
  std::future<void> preparing_;  ///< of coming_
};

/// A deep model whose network is defined in this program: build(classes) describes it.
std::unique_ptr<Model> make_network_model(const std::string& name, const Shape& shape,
                                          const Options& options,
                                          const std::function<Network(std::size_t)>& build);

}  // namespace lambdaml::model
