#include "lambdaml/ps/server/request.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "lambdaml/tensor/kernels.h"

namespace lambdaml::ps {

std::span<const std::uint32_t> Push::indices() const {
  if (!indices_) return {};
  return {reinterpret_cast<const std::uint32_t*>(indices_->data()),
          indices_->size() / sizeof(std::uint32_t)};
}

std::unique_ptr<Result> Push::whole(Budget& budget) && {
  auto result = std::make_unique<Result>();
  const std::uint64_t bytes = Result::bytes(totals().size(), length_);
  if (!is_sparse()) {
    charge_.resize(budget, bytes);
    result->charge = std::move(charge_);
    result->values = std::move(values_);
  } else {
    result->charge = Charge(budget, bytes);
    result->values = Buffer(length_ * sizeof(float));
    const std::span<float> all = result->floats();
    std::ranges::fill(all, 0.0F);
    for (std::size_t i = 0; i < indices().size(); ++i) all[indices()[i]] = values()[i];
  }
  result->totals = std::move(totals_);
  return result;
}

void Request::refuse(const std::string& why) const {
  fail(Code::invalid_argument, "'{}', worker {}, round {}: {}", printable(part.id), part.worker,
       part.round, why);
}

Request::Request(const Part& given, Numbers numbers, Charge charge, Environment& environment)
    : part(given), wanted(std::move(numbers.wanted)) {
  check_flags();
  if (part.length > environment.longest)
    fail(Code::resource_exhausted,
         "'{}', worker {}: a vector of {} values; this server takes {} (--message-mb)",
         printable(part.id), part.worker, part.length, environment.longest);
  if (numbers.totals.size() % sizeof(double) != 0) refuse("the totals are cut");
  if (wanted && wanted->size() % sizeof(std::uint32_t) != 0) refuse("the wanted indices are cut");
  n_totals = numbers.totals.size() / sizeof(double);
  if (wanted && !wanted->empty()) wanted_charge_ = Charge(environment.budget, wanted->size());
  if (part.again || part.pull_only || part.last) return;
  Push brought;
  brought.length_ = part.length;
  brought.totals_ = std::move(numbers.totals);
  brought.values_ = std::move(numbers.values);
  brought.indices_ = std::move(numbers.indices);
  check(brought);
  check_finite(brought);
  const std::uint64_t bytes = brought.totals_.size() + brought.values_.size() +
                              (brought.indices_ ? brought.indices_->size() : 0);
  if (charge.bytes() < bytes) charge.resize(environment.budget, bytes);
  brought.charge_ = std::move(charge);
  push = std::move(brought);
}

void Request::check_flags() const {
  const bool is_running = part.kind == Kind::running;
  switch (part.kind) {
    case Kind::round:
    case Kind::running:
    case Kind::newest:
    case Kind::result:
      break;
    default:
      refuse(fmt::format("there is no kind {} of push", static_cast<int>(part.kind)));
  }
  if (part.workers != 0 && part.worker >= part.workers)
    refuse(fmt::format("there is no such worker among {}", part.workers));
  if (part.last && !is_running) refuse("only a running vector has a `last` push");
  if (part.pull_only && !is_running) refuse("only a running vector is pulled without a push");
  if (part.pull_only && (part.last || part.again))
    refuse("`pull_only` does not go with `last` or `again`");
  if (part.again && part.kind == Kind::result) refuse("a result is not pushed `again`");
  if (wanted && !is_running) refuse("only of a running vector are some values wanted");
  if (part.scale && !(std::abs(*part.scale) <= std::numeric_limits<float>::max()))
    refuse("the scale is not finite");
  if (part.learning_rate && !(*part.learning_rate >= 0 && *part.learning_rate < 1e30))
    refuse("the learning rate is out of range");
}

void Request::check(const Push& push) const {
  const std::uint64_t values = push.values().size();
  if (push.values_.size() % sizeof(float) != 0) refuse("the values are cut");
  if (!push.is_sparse()) {
    if (values != push.length())
      refuse(fmt::format("{} values, where the length is {}", values, push.length()));
    return;
  }
  const std::span<const std::uint32_t> indices = push.indices();
  if (push.indices_->size() != values * sizeof(std::uint32_t))
    refuse(fmt::format("{} bytes of indices for {} values", push.indices_->size(), values));
  for (std::size_t i = 0; i < indices.size(); ++i)
    if (indices[i] >= push.length() || (i > 0 && indices[i] <= indices[i - 1]))
      refuse(fmt::format("index {} is out of order, or beyond the length {}", indices[i],
                         push.length()));
}

void Request::check_finite(const Push& push) const {
  const std::span<const float> values = push.values();
  const double squares = tensor::dot(values.size(), values.data(), values.data());
  bool is_finite = std::isfinite(squares) && std::ranges::all_of(push.totals(), [](double total) {
                     return std::isfinite(total);
                   });
  // A value can exceed the range of float only if the norm does.
  constexpr double kMost = std::numeric_limits<float>::max();
  const double scale =
      part.kind == Kind::running ? std::abs(static_cast<float>(part.scale.value_or(1))) : 1;
  if (is_finite && std::sqrt(squares) * scale > kMost)
    is_finite =
        std::ranges::all_of(values, [&](float value) { return std::abs(value) * scale <= kMost; });
  if (!is_finite)
    fail(Code::diverged,
         "worker {}: what it pushes to '{}' in round {} is not finite; use a smaller --lr or scale "
         "the features",
         part.worker, printable(part.id), part.round);
}

}  // namespace lambdaml::ps
