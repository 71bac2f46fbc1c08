#include "lambdaml/torch/losses.h"

#include <algorithm>

#include <fmt/format.h>
#include <torch/script.h>

#include "lambdaml/base/error.h"
#include "lambdaml/torch/tensors.h"

namespace lambdaml::torch_library {
namespace {

using model::Loss;

/// Class numbers that add no loss, whatever the user calls them.
constexpr std::int64_t kNoClass = -1;

[[noreturn]] void fail_shape(const at::Tensor& output, const std::string& wanted) {
  fail(Code::invalid_argument, "the module returns {}, and the loss takes {}", text_of(output),
       wanted);
}

/// The sum over the rows of their mean losses, of which `losses(reduction)` gives the numbers or
/// their sum.
template <class Losses>
at::Tensor sum_of(const model::Pass& pass, double numbers_of_row, const Losses& losses) {
  const auto rows = static_cast<std::int64_t>(pass.rows);
  at::Tensor sum;
  if (pass.weights.empty()) {
    sum = losses(at::Reduction::Sum);
  } else {
    const at::Tensor weights = view_of(writable(pass.weights), {rows});
    sum = (losses(at::Reduction::None).reshape({rows, -1}).sum(1) * weights).sum();
  }
  return numbers_of_row == 1 ? sum : sum / numbers_of_row;
}

struct Scored {
  at::Tensor loss;
  model::Totals totals;
};

Scored score_classes(const at::Tensor& output, const model::Pass& pass,
                     const model::EngineSettings& settings, Purpose purpose) {
  at::Tensor target = tensor_of(*pass.target, pass.rows);
  std::vector<std::int64_t> sizes = output.sizes().vec();
  if (sizes.size() > 1) sizes.erase(sizes.begin() + 1);
  if (output.dim() < 2 || sizes != target.sizes().vec())
    fail_shape(output, fmt::format("logits with the classes in the second place, for the target {}",
                                   text_of(target)));
  const double per_row = static_cast<double>(target.numel()) / static_cast<double>(pass.rows);
  Scored out;
  out.totals.rows = static_cast<double>(pass.rows);
  if (settings.ignored_target) {
    const at::Tensor ignored = target.eq(*settings.ignored_target);
    out.totals.rows -= ignored.sum().item<double>() / per_row;
    target = target.masked_fill(ignored, kNoClass);
  }
  at::Tensor weights;
  if (purpose == Purpose::learn && !settings.class_weights.empty()) {
    const auto known = std::min<std::int64_t>(output.size(1), std::ssize(settings.class_weights));
    weights = at::ones({output.size(1)}, at::kFloat);
    weights.narrow(0, 0, known)
        .copy_(view_of(writable(settings.class_weights).first(static_cast<std::size_t>(known)),
                       {known}));
  }
  const at::Tensor logits = output.to(purpose == Purpose::learn ? at::kFloat : at::kDouble);
  out.loss = sum_of(pass, per_row, [&](at::Reduction::Reduction reduction) {
    return at::cross_entropy_loss(logits, target, weights, reduction, kNoClass,
                                  purpose == Purpose::learn ? settings.label_smoothing : 0);
  });
  const at::Tensor found = logits.detach();
  out.totals.correct = found.argmax(1).eq(target).sum().item<double>() / per_row;
  constexpr std::int64_t kFive = 5;
  if (purpose == Purpose::judge && found.size(1) > kFive) {
    const at::Tensor first = std::get<1>(found.topk(kFive, 1));
    out.totals.among_five = first.eq(target.unsqueeze(1)).sum().item<double>() / per_row;
  } else if (purpose == Purpose::judge) {
    out.totals.among_five = -out.totals.rows;
  }
  return out;
}

/// Of the target's numbers, in the output's shape: dimensions of one number may differ.
at::Tensor target_like(const at::Tensor& output, const model::Pass& pass) {
  const at::Tensor target = tensor_of(*pass.target, pass.rows).to(at::kFloat);
  const auto without_ones = [](const at::Tensor& tensor) {
    std::vector<std::int64_t> sizes = tensor.sizes().slice(1).vec();
    std::erase(sizes, 1);
    return sizes;
  };
  if (output.dim() == 0 || output.size(0) != target.size(0) ||
      without_ones(output) != without_ones(target))
    fail_shape(output, fmt::format("numbers for the target {}", text_of(target)));
  return target.view(output.sizes());
}

Scored score_numbers(const at::Tensor& output, const model::Pass& pass,
                     const model::EngineSettings& settings, Purpose purpose) {
  const auto type = purpose == Purpose::learn ? at::kFloat : at::kDouble;
  const at::Tensor target = target_like(output, pass).to(type);
  const at::Tensor numbers = output.to(type);
  const double per_row = static_cast<double>(target.numel()) / static_cast<double>(pass.rows);
  Scored out;
  out.totals.rows = static_cast<double>(pass.rows);
  out.loss = sum_of(pass, per_row, [&](at::Reduction::Reduction reduction) {
    switch (settings.loss) {
      case Loss::bce_with_logits:
        return at::binary_cross_entropy_with_logits(numbers, target, {}, {}, reduction);
      case Loss::l1:
        return at::l1_loss(numbers, target, reduction);
      case Loss::huber:
        return at::huber_loss(numbers, target, reduction);
      default:
        return at::mse_loss(numbers, target, reduction);
    }
  });
  const at::Tensor found = numbers.detach();
  if (settings.loss == Loss::bce_with_logits) {
    out.totals.correct = found.gt(0).eq(target.gt(0.5)).sum().item<double>() / per_row;
  } else if (purpose == Purpose::judge) {
    const at::Tensor error = found - target;
    out.totals.squared_error = error.square().sum().item<double>() / per_row;
    out.totals.absolute_error = error.abs().sum().item<double>() / per_row;
  }
  return out;
}

/// Of a module that returns its loss: a number, which is taken for the mean over the rows, or one
/// for each row.
Scored score_loss(const at::Tensor& output, const model::Pass& pass) {
  const auto rows = static_cast<double>(pass.rows);
  Scored out;
  out.totals.rows = rows;
  if (output.numel() == 1 && output.dim() == 0) {
    if (!pass.weights.empty())
      fail_shape(output, "one loss for each row, because rows have weights");
    out.loss = output.to(at::kFloat) * rows;
  } else if (output.dim() == 1 && static_cast<double>(output.size(0)) == rows) {
    out.loss = sum_of(pass, 1, [&](at::Reduction::Reduction reduction) {
      const at::Tensor losses = output.to(at::kFloat);
      return reduction == at::Reduction::Sum ? losses.sum() : losses;
    });
  } else {
    fail_shape(output, fmt::format("a loss: one number or [{}]", pass.rows));
  }
  return out;
}

}  // namespace

model::Totals totals_of(const at::Tensor& output, const model::Pass& pass,
                        const model::EngineSettings& settings, Purpose purpose) {
  if (!output.is_floating_point()) fail_shape(output, "floating-point numbers");
  const Scored scored = settings.loss == Loss::module ? score_loss(output, pass)
                        : settings.loss == Loss::cross_entropy
                            ? score_classes(output, pass, settings, purpose)
                            : score_numbers(output, pass, settings, purpose);
  if (purpose == Purpose::learn) scored.loss.backward();
  model::Totals totals = scored.totals;
  totals.loss = scored.loss.item<double>();
  return totals;
}

}  // namespace lambdaml::torch_library
