#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lambdaml/base/fibers/background.h"
#include "lambdaml/base/options.h"
#include "lambdaml/model/deep_rows.h"
#include "lambdaml/model/engine.h"
#include "lambdaml/model/model.h"
#include "lambdaml/model/network.h"

namespace lambdaml::model {

/// The description of a deep model, apart from the engine that runs it.
struct DeepParts {
  std::string name;  ///< for messages
  std::vector<Model::Piece> learned;
  std::vector<Model::Piece> statistics;
  std::optional<std::vector<std::size_t>> output;  ///< as LoadedNetwork::output
  double activation_bytes = 0;                     ///< per row, that a training pass has at once
  std::uint64_t engine_bytes = 0;                  ///< besides, whatever the batch
  /// Rows that are evaluated or predicted at a time; no option's, so that metrics depend on none.
  std::size_t block_rows = 256;
  Loss loss = Loss::cross_entropy;
  std::optional<std::int64_t> ignored_target = {};
  std::function<std::unique_ptr<Engine>()> start;
};

/// Options of all deep models: label_smoothing, precision, augment, augment_by, freeze_batch_norm,
/// freeze, sync_batch_norm, normalize.
std::vector<Option> deep_options();
Augment augment_of(const Options& options);
EngineSettings engine_settings(const Options& options);

/// A model that an engine runs. Its parameters are the learned ones, followed by the statistics of
/// batch normalization and, with `--normalize auto`, of the images' channels; weights of several
/// dimensions are regularized, biases and scales are not. The training loss includes label
/// smoothing, the evaluated one does not. A second thread prepares the next batch during training
/// on the present one. With `--sync-batch-norm` accumulate() merges: twice for each normalization.
///
/// What it predicts: classes, where the output is a logit for each label of the data
/// (cross-entropy) or the margin between two of them (bce_with_logits); otherwise the numbers of
/// the output.
class DeepModel final : public GradientModel {
 public:
  /// Throws invalid_argument if the output does not fit the labels.
  DeepModel(DeepParts parts, DeepRows rows, const Shape& shape, const Options& options);
  ~DeepModel() override;

  std::size_t parameter_count() const override { return learned_ + statistics_ + normalization_; }
  std::size_t learned() const override { return learned_; }
  bool merges() const override { return merges_; }
  void join(comm::Communicator& communicator) override;
  void initialize(const Start& start, std::span<float> parameters) override;
  Totals accumulate(const Batch& batch, std::span<const float> parameters,
                    std::span<float> sums) override;
  void expect(const Batch& next) override { next_ = next; }
  Totals evaluate(const Batch& batch, std::span<const float> parameters) override;
  Prediction predict(const Batch& batch, std::span<const float> parameters,
                     const Wanted& wanted) override;
  bool has_probabilities() const override { return kind_ != Kind::numbers; }
  std::uint64_t training_bytes(std::size_t batch_rows) const override;
  std::vector<Piece> pieces() const override;
  std::vector<std::pair<std::size_t, std::size_t>> penalized() const override;
  std::vector<tensor::Tensor> further_tensors(std::span<const float> parameters) override {
    return engine().further_tensors(of_network(parameters));
  }
  void restore(const tensor::SafetensorsFile& file) override { engine().restore(file); }
  std::optional<Buffer> to_file(std::span<const float> parameters) override {
    return engine().to_file(of_network(parameters));
  }
  std::optional<Buffer> to_empty_file() override { return engine().to_empty_file(); }

 private:
  enum class Kind { classes, margin, numbers };  ///< what it predicts

  Engine& engine();
  template <class T>
  std::span<T> of_network(std::span<T> parameters) const {
    return parameters.first(learned_ + statistics_);
  }
  /// Those of the parameters, for what is prepared from now on.
  void use_normalization(std::span<const float> parameters);
  void check(const Batch& batch, std::span<const float> parameters, bool needs_targets) const;
  /// Calls visit(first row, prepared rows) for blocks of the batch.
  void for_blocks(const Batch& batch,
                  const std::function<void(std::size_t, const DeepBatch&)>& visit) const;
  /// Adds a row's prediction from its logits.
  void add_classes(std::span<const float> logits, const Wanted& wanted, std::optional<float> target,
                   Prediction& out) const;

  DeepParts parts_;
  DeepRows rows_;
  std::size_t classes_;
  std::size_t learned_;
  std::size_t statistics_;
  std::size_t normalization_;
  std::size_t outputs_ = 0;  ///< numbers of a row
  Kind kind_ = Kind::numbers;
  bool merges_;
  MergeNumbers merge_;  ///< of join(); empty: there is nobody to merge with
  std::unique_ptr<Engine> engine_;
  DeepBatch present_;
  DeepBatch coming_;
  bool is_prepared_ = false;  ///< coming_
  std::optional<Batch> next_;
  Background preparing_;  ///< of coming_
};

}  // namespace lambdaml::model
