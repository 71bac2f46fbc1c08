#include "lambdaml/model/deep.h"

#include <algorithm>
#include <cmath>
#include <variant>

#include "lambdaml/base/error.h"
#include "lambdaml/data/images.h"

namespace lambdaml::model {
namespace {

/// Rows evaluated at a time; fixed, so that metrics do not depend on an option.
constexpr std::size_t kBlock = 256;

/// Memory besides activations and vectors: the libraries, their threads, workspaces. Measured.
constexpr std::uint64_t kBaseBytes = 300ULL << 20;
/// Vectors of the parameters' length: parameters, update, velocity, residual, and copies in the
/// layout that kernels use.
constexpr std::uint64_t kVectors = 6;

/// The addresses of the batch's numbers, which identify it.
const void* place(const tensor::MatrixView& view) {
  if (const auto* dense = std::get_if<tensor::DenseView>(&view)) return dense->data;
  if (const auto* csr = std::get_if<tensor::Csr16>(&view)) return csr->offsets;
  return std::get<tensor::Csr32>(view).offsets;
}

bool same(const Batch& a, const Batch& b) {
  return a.rows() == b.rows() && place(a.features) == place(b.features) &&
         a.targets.data() == b.targets.data() && a.draws == b.draws;
}

/// Row i, dense; uses `scratch` if it is stored sparse.
std::span<const float> row(const tensor::MatrixView& view, std::size_t i,
                           std::vector<float>& scratch) {
  if (const auto* dense = std::get_if<tensor::DenseView>(&view)) return dense->row(i);
  const auto spread = [&](const auto& csr) {
    scratch.assign(csr.cols, 0.0F);
    for (std::uint64_t k = csr.offsets[i]; k < csr.offsets[i + 1]; ++k)
      scratch[csr.indices[k]] = csr.values[k];
  };
  if (const auto* narrow = std::get_if<tensor::Csr16>(&view))
    spread(*narrow);
  else
    spread(std::get<tensor::Csr32>(view));
  return scratch;
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
           .help = "train on random crops and mirror images (deep models)"},
          {.name = "freeze_batch_norm",
           .default_value = false,
           .help = "normalize by the model's statistics in training too, and keep them as they are "
                   "(deep models)"}};
}

EngineSettings engine_settings(const Options& options) {
  return {
      .threads = static_cast<std::size_t>(std::max<std::int64_t>(options.integer("threads"), 1)),
      .bf16 = options.text("precision") == "bf16",
      .frozen_statistics = options.flag("freeze_batch_norm"),
      .label_smoothing = options.real("label_smoothing")};
}

DeepModel::DeepModel(DeepParts parts, const Shape& shape, const Options& options)
    : parts_(std::move(parts)),
      classes_(shape.classes()),
      learned_(elements(parts_.learned)),
      statistics_(elements(parts_.statistics)),
      augment_(options.flag("augment")),
      bytes_per_activation_(options.text("precision") == "bf16" ? 0.75 : 1.3) {
  if (shape.features != data::kImageValues)
    fail(Code::invalid_argument,
         "{} learns from images of {} features (32 × 32 pixels of 3 colours), and rows have {}",
         parts_.name, data::kImageValues, shape.features);
  if (classes_ < 2)
    fail(Code::invalid_argument, "{} needs rows of at least two classes", parts_.name);
}

DeepModel::~DeepModel() = default;

Engine& DeepModel::engine() {
  if (!engine_) engine_ = parts_.start();
  return *engine_;
}

void DeepModel::check(const Batch& batch, std::span<const float> parameters,
                      bool needs_targets) const {
  if (tensor::cols(batch.features) != data::kImageValues || parameters.size() != parameter_count())
    fail(Code::internal, "a batch of {} features and {} parameters for a model of {} and {}",
         tensor::cols(batch.features), parameters.size(), data::kImageValues, parameter_count());
  if (needs_targets ? batch.targets.size() != batch.rows()
                    : !batch.targets.empty() && batch.targets.size() != batch.rows())
    fail(Code::internal, "{} targets for {} rows", batch.targets.size(), batch.rows());
}

void DeepModel::initialize(const Start& start, std::span<float> parameters) {
  engine().initialize(start.seed, parameters);
}

void DeepModel::prepare(const Batch& batch, bool vary, Prepared& out) {
  out.batch = batch;
  out.images.resize(batch.rows() * data::kImageValues);
  out.targets.assign(batch.targets.begin(), batch.targets.end());
  std::vector<float> scratch;
  for (std::size_t i = 0; i < batch.rows(); ++i) {
    const std::span<const float> from = row(batch.features, i, scratch);
    const std::span<float> to =
        std::span(out.images).subspan(i * data::kImageValues, data::kImageValues);
    if (vary)
      data::vary_image(from, batch.draws.of(i), to);
    else
      data::normalize_image(from, to);
  }
}

Totals DeepModel::accumulate(const Batch& batch, std::span<const float> parameters,
                             std::span<float> sums) {
  check(batch, parameters, true);
  if (sums.size() != parameters.size())
    fail(Code::internal, "{} sums for {} parameters", sums.size(), parameters.size());
  if (preparing_.valid()) preparing_.get();
  if (same(coming_.batch, batch) && !coming_.images.empty())
    std::swap(present_, coming_);
  else
    prepare(batch, augment_, present_);
  coming_.images.clear();
  if (next_ && next_->rows() > 0)
    preparing_ =
        std::async(std::launch::async, [this, next = *next_] { prepare(next, augment_, coming_); });
  next_.reset();
  if (batch.rows() == 0) return {};
  return engine().train(present_.images, present_.targets, parameters, sums,
                        batch.draws.of(0).next());
}

void DeepModel::for_logits(
    const Batch& batch, std::span<const float> parameters,
    const std::function<void(std::size_t, std::size_t, const float*)>& visit) {
  Prepared block;
  std::vector<float> logits;
  for (std::size_t begin = 0; begin < batch.rows(); begin += kBlock) {
    const std::size_t rows = std::min(kBlock, batch.rows() - begin);
    prepare(batch.slice(begin, begin + rows), false, block);
    logits.resize(rows * classes_);
    engine().infer(block.images, rows, parameters, logits);
    visit(begin, rows, logits.data());
  }
}

Totals DeepModel::evaluate(const Batch& batch, std::span<const float> parameters) {
  check(batch, parameters, true);
  Totals totals;
  totals.rows = static_cast<double>(batch.rows());
  for_logits(batch, parameters, [&](std::size_t begin, std::size_t rows, const float* logits) {
    for (std::size_t i = 0; i < rows; ++i, logits += classes_) {
      const float target = batch.targets[begin + i];
      if (target < 0) continue;
      const auto c = static_cast<std::size_t>(target);
      totals.loss += log_sum(logits, classes_) - static_cast<double>(logits[c]);
      totals.correct += winner(logits, classes_) == c ? 1 : 0;
    }
  });
  return totals;
}

Model::Prediction DeepModel::predict(const Batch& batch, std::span<const float> parameters,
                                     const Wanted& wanted) {
  check(batch, parameters, false);
  Prediction out;
  for_logits(batch, parameters, [&](std::size_t begin, std::size_t rows, const float* logits) {
    for (std::size_t i = 0; i < rows; ++i, logits += classes_) {
      const std::size_t c = winner(logits, classes_);
      out.classes.push_back(static_cast<std::uint32_t>(c));
      out.scores.push_back(classes_ == 2 ? logits[1] - logits[0] : logits[c]);
      if (wanted.class_scores)
        out.class_scores.insert(out.class_scores.end(), logits, logits + classes_);
      if (batch.targets.empty() && !wanted.probabilities) continue;
      const double log_total = log_sum(logits, classes_);
      const auto probability = [&](std::size_t of) {
        return static_cast<float>(std::exp(static_cast<double>(logits[of]) - log_total));
      };
      if (wanted.probabilities)
        for (std::size_t of = 0; of < classes_; ++of) out.probabilities.push_back(probability(of));
      if (batch.targets.empty()) continue;
      const float target = batch.targets[begin + i];
      out.target_probabilities.push_back(
          target < 0 ? 0.0F : probability(static_cast<std::size_t>(target)));
    }
  });
  return out;
}

std::uint64_t DeepModel::training_bytes(std::size_t batch_rows) const {
  const double activations = static_cast<double>(parts_.activation_bytes) *
                             static_cast<double>(batch_rows) * bytes_per_activation_;
  return kBaseBytes + parameter_count() * sizeof(float) * kVectors +
         static_cast<std::uint64_t>(activations);
}

std::vector<Model::Piece> DeepModel::pieces() const {
  std::vector<Piece> all = parts_.learned;
  all.insert(all.end(), parts_.statistics.begin(), parts_.statistics.end());
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

std::unique_ptr<Model> make_network_model(const std::string& name, const Shape& shape,
                                          const Options& options,
                                          const std::function<Network(std::size_t)>& build) {
  require_engine_library(name);
  const auto network =
      std::make_shared<const Network>(build(std::max<std::size_t>(shape.classes(), 1)));
  DeepParts parts{.name = name,
                  .learned = network->learned(),
                  .statistics = network->statistics(),
                  .activation_bytes = network->activations() * sizeof(float),
                  .start = [network, settings = engine_settings(options)] {
                    return engine_library().network(*network, settings);
                  }};
  return std::make_unique<DeepModel>(std::move(parts), shape, options);
}

}  // namespace lambdaml::model
