#include "lambdaml/model/deep.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <map>
#include <numeric>
#include <variant>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "lambdaml/base/error.h"
#include "lambdaml/data/pixels/images.h"
#include "lambdaml/model/frozen.h"
#include "lambdaml/model/names.h"

namespace lambdaml::model {
namespace {

/// Memory besides activations and vectors: the libraries, their threads, workspaces. Measured.
constexpr std::uint64_t kBaseBytes = 300ULL << 20;

/// The addresses of the batch's numbers, which identify it.
const void* place(const tensor::MatrixView& view) {
  if (const auto* dense = std::get_if<tensor::DenseView>(&view)) return dense->data;
  if (const auto* csr = std::get_if<tensor::Csr16>(&view)) return csr->offsets;
  return std::get<tensor::Csr32>(view).offsets;
}

bool same(const Batch& a, const Batch& b) {
  return a.rows() == b.rows() && place(a.features) == place(b.features) &&
         (a.tensors.empty() || a.tensors[0].values == b.tensors[0].values) &&
         a.targets.data() == b.targets.data() && a.draws == b.draws;
}

std::size_t winner(const float* logits, std::size_t classes) {
  return static_cast<std::size_t>(std::max_element(logits, logits + classes) - logits);
}

/// ln Σ exp(logits).
double log_sum(const float* logits, std::size_t classes) {
  const double most = *std::max_element(logits, logits + classes);
  double sum = 0;
  for (std::size_t c = 0; c < classes; ++c) sum += std::exp(static_cast<double>(logits[c]) - most);
  return most + std::log(sum);
}

}  // namespace

std::vector<Option> deep_options() {
  return {{.name = "label_smoothing",
           .default_value = 0.0,
           .help = "share of the target that is spread over all classes (deep models)",
           .minimum = 0,
           .maximum = 1},
          {.name = "precision",
           .default_value = std::string("fp32"),
           .help = "numbers of convolutions in training; parameters stay fp32 (deep models)",
           .choices = {"fp32", "bf16"}},
          {.name = "augment",
           .default_value = true,
           .help = "vary the images of training at random (deep models)"},
          {.name = "augment_by",
           .default_value = std::string("auto"),
           .help = "how images are varied: shift moves them by up to an eighth of their height and "
                   "width, mirror mirrors half of them; auto does both to images of CIFAR-10's "
                   "shape and nothing to others, light only mirrors those (deep models)",
           .choices = {"auto", "light", "shift", "mirror", "both"}},
          {.name = "freeze_batch_norm",
           .default_value = false,
           .help = "normalize by the model's statistics in training too, and keep them as they are "
                   "(deep models)"},
          freeze_option(),
          {.name = "sync_batch_norm",
           .default_value = false,
           .help = "normalize batches by the statistics of all workers' rows, merged in each layer "
                   "of each step (built-in networks)"},
          data::normalize_option()};
}

Augment augment_of(const Options& options) {
  static const std::map<std::string, Augment> kNames = {{"auto", Augment::automatic},
                                                        {"light", Augment::light},
                                                        {"shift", Augment::shift},
                                                        {"mirror", Augment::mirror},
                                                        {"both", Augment::both}};
  return options.flag("augment") ? kNames.at(options.text("augment_by")) : Augment::none;
}

EngineSettings engine_settings(const Options& options) {
  return {
      .threads = static_cast<std::size_t>(std::max<std::int64_t>(options.integer("threads"), 1)),
      .bf16 = options.text("precision") == "bf16",
      .frozen_statistics = options.flag("freeze_batch_norm"),
      .label_smoothing = options.real("label_smoothing"),
      .freeze = options.text("freeze")};
}

DeepModel::DeepModel(DeepParts parts, DeepRows rows, const Shape& shape, const Options& options)
    : parts_(std::move(parts)),
      rows_(std::move(rows)),
      classes_(shape.classes()),
      learned_(elements(parts_.learned)),
      statistics_(elements(parts_.statistics)),
      normalization_(0),
      merges_(options.flag("sync_batch_norm") && !options.flag("freeze_batch_norm") &&
              statistics_ > 0) {
  rows_.set_normalization(options.text("normalize"));
  normalization_ = elements(rows_.normalization_pieces());
  if (!parts_.output) return;
  const std::vector<std::size_t>& output = *parts_.output;
  outputs_ = std::accumulate(output.begin(), output.end(), std::size_t{1}, std::multiplies<>());
  if (classes_ == 0) {
    if (parts_.loss == Loss::cross_entropy && !output.empty())
      rows_.check_classes(output[0], parts_.ignored_target);
    return;
  }
  if (parts_.loss == Loss::cross_entropy || parts_.loss == Loss::bce_with_logits)
    require_two_classes(shape, parts_.name);
  if (parts_.loss == Loss::cross_entropy) {
    if (output != std::vector{classes_})
      fail(Code::invalid_argument,
           "{}: it returns [{}] for a row, and the data have {} classes, which take [{}] logits",
           parts_.name, fmt::join(output, ", "), classes_, classes_);
    kind_ = Kind::classes;
  } else if (parts_.loss == Loss::bce_with_logits) {
    if (classes_ != 2 || outputs_ != 1)
      fail(Code::invalid_argument,
           "{}: bce_with_logits takes one logit for a row of two classes; it returns [{}], and the "
           "data have {} classes: use --loss cross_entropy",
           parts_.name, fmt::join(output, ", "), classes_);
    kind_ = Kind::margin;
  }
}

DeepModel::~DeepModel() = default;

Engine& DeepModel::engine() {
  if (!engine_) engine_ = parts_.start();
  return *engine_;
}

void DeepModel::check(const Batch& batch, std::span<const float> parameters,
                      bool needs_targets) const {
  if (parameters.size() != parameter_count())
    fail(Code::internal, "{} parameters for a model of {}", parameters.size(), parameter_count());
  if (batch.target) return;
  if (needs_targets ? batch.targets.size() != batch.rows()
                    : !batch.targets.empty() && batch.targets.size() != batch.rows())
    fail(Code::internal, "{} targets for {} rows", batch.targets.size(), batch.rows());
}

void DeepModel::initialize(const Start& start, std::span<float> parameters) {
  engine().initialize(start.seed, of_network(parameters));
  if (normalization_ == 0) return;
  std::vector<double> sums = rows_.normalization_sums(start.rows);
  const std::size_t merged = start.communicator.merge({{}, sums}, comm::Meaning::state);
  if (merged != start.communicator.workers())
    fail(Code::internal, "the normalization got {} of {} workers' sums", merged,
         start.communicator.workers());
  std::ranges::copy(rows_.normalization_from(sums), parameters.last(normalization_).begin());
}

void DeepModel::join(comm::Communicator& communicator) {
  if (!merges_ || communicator.workers() == 1) return;
  merge_ = [&communicator](std::span<double> numbers) {
    const std::size_t merged = communicator.merge({{}, numbers}, comm::Meaning::state);
    if (merged != communicator.workers())
      fail(Code::internal, "batch normalization got {} of {} workers' sums", merged,
           communicator.workers());
  };
}

void DeepModel::use_normalization(std::span<const float> parameters) {
  if (normalization_ == 0) return;
  preparing_.wait();
  rows_.use_normalization(parameters.last(normalization_));
}

Totals DeepModel::accumulate(const Batch& batch, std::span<const float> parameters,
                             std::span<float> sums) {
  check(batch, parameters, true);
  if (sums.size() != parameters.size())
    fail(Code::internal, "{} sums for {} parameters", sums.size(), parameters.size());
  const bool is_prepared = std::exchange(is_prepared_, false);
  if (preparing_.valid()) preparing_.get();
  use_normalization(parameters);
  if (is_prepared && same(coming_.batch, batch))
    std::swap(present_, coming_);
  else
    rows_.prepare(batch, true, present_);
  if (next_ && next_->rows() > 0) {
    preparing_ = Background([this, next = *next_] { rows_.prepare(next, true, coming_); });
    is_prepared_ = true;
  }
  next_.reset();
  if (batch.rows() == 0 && !merge_) return {};
  Pass pass = present_.pass(batch.draws.of(0).next());
  if (merge_) pass.merge = &merge_;
  return engine().train(pass, of_network(parameters), of_network(sums));
}

void DeepModel::for_blocks(const Batch& batch,
                           const std::function<void(std::size_t, const DeepBatch&)>& visit) const {
  DeepBatch block;
  for (std::size_t begin = 0; begin < batch.rows(); begin += parts_.block_rows) {
    const std::size_t rows = std::min(parts_.block_rows, batch.rows() - begin);
    rows_.prepare(batch.slice(begin, begin + rows), false, block);
    visit(begin, block);
  }
}

Totals DeepModel::evaluate(const Batch& batch, std::span<const float> parameters) {
  check(batch, parameters, true);
  use_normalization(parameters);
  Totals totals;
  for_blocks(batch, [&](std::size_t, const DeepBatch& block) {
    totals += engine().evaluate(block.pass(0), of_network(parameters));
  });
  return totals;
}

void DeepModel::add_classes(std::span<const float> logits, const Wanted& wanted,
                            std::optional<float> target, Prediction& out) const {
  const std::size_t c = winner(logits.data(), classes_);
  out.classes.push_back(static_cast<std::uint32_t>(c));
  out.scores.push_back(classes_ == 2 ? logits[1] - logits[0] : logits[c]);
  if (wanted.class_scores)
    out.class_scores.insert(out.class_scores.end(), logits.begin(), logits.end());
  if (!target && !wanted.probabilities) return;
  const double log_total = log_sum(logits.data(), classes_);
  const auto probability = [&](std::size_t of) {
    return static_cast<float>(std::exp(static_cast<double>(logits[of]) - log_total));
  };
  if (wanted.probabilities)
    for (std::size_t of = 0; of < classes_; ++of) out.probabilities.push_back(probability(of));
  if (target)
    out.target_probabilities.push_back(
        *target < 0 ? 0.0F : probability(static_cast<std::size_t>(*target)));
}

Model::Prediction DeepModel::predict(const Batch& batch, std::span<const float> parameters,
                                     const Wanted& wanted) {
  check(batch, parameters, false);
  use_normalization(parameters);
  Prediction out;
  for_blocks(batch, [&](std::size_t begin, const DeepBatch& block) {
    const std::vector<float> all = engine().infer(block.pass(0), of_network(parameters));
    for (std::size_t i = 0; i < block.batch.rows(); ++i) {
      const std::span<const float> row = std::span(all).subspan(i * outputs_, outputs_);
      const std::optional<float> target =
          batch.targets.empty() ? std::nullopt : std::optional(batch.targets[begin + i]);
      if (kind_ == Kind::classes) {
        add_classes(row, wanted, target, out);
      } else if (kind_ == Kind::margin) {
        // The logistic function is the softmax of 0 and the margin.
        add_classes(std::array{0.0F, row[0]}, wanted, target, out);
      } else {
        out.scores.push_back(row[0]);
        if (outputs_ > 1) out.outputs.insert(out.outputs.end(), row.begin(), row.end());
      }
    }
  });
  return out;
}

std::uint64_t DeepModel::training_bytes(std::size_t batch_rows) const {
  const double activations = parts_.activation_bytes * static_cast<double>(batch_rows);
  return kBaseBytes + parts_.engine_bytes + static_cast<std::uint64_t>(activations);
}

std::vector<Model::Piece> DeepModel::pieces() const {
  std::vector<Piece> all = parts_.learned;
  all.insert(all.end(), parts_.statistics.begin(), parts_.statistics.end());
  const std::vector<Piece> normalization = rows_.normalization_pieces();
  all.insert(all.end(), normalization.begin(), normalization.end());
  return all;
}

std::vector<std::pair<std::size_t, std::size_t>> DeepModel::penalized() const {
  std::vector<std::pair<std::size_t, std::size_t>> ranges;
  std::size_t at = 0;
  for (const Piece& piece : parts_.learned) {
    const std::size_t end = at + elements(piece);
    if (piece.shape.size() > 1) ranges.emplace_back(at, end);
    at = end;
  }
  return ranges;
}

}  // namespace lambdaml::model
