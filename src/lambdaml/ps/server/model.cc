// The vector of an entry: how it is made, what moves it, what reads it, the original's turns.
#include <algorithm>
#include <cmath>

#include "lambdaml/base/checksum.h"
#include "lambdaml/base/rng.h"
#include "lambdaml/base/unique_id.h"
#include "lambdaml/ps/server/entry.h"
#include "lambdaml/ps/server/shards.h"
#include "lambdaml/tensor/kernels.h"

namespace lambdaml::ps {

bool Entry::has_model() const {
  const Lock lock(mutex_);
  return is_model_;
}

std::uint64_t Entry::model_length() const {
  const Lock lock(mutex_);
  return model_.size();
}

/// Once for an entry: threads that move or read the vector do so without its lock. After an error
/// all is as before.
void Entry::make_model(std::uint64_t length, const Rule& rule) {
  const std::uint64_t vectors = rule.momentum == 0 ? 1 : 2;
  Charge charge(environment_.budget, length * sizeof(float) * vectors);
  std::vector<float> model(length);
  std::vector<float> velocity(rule.momentum == 0 ? 0 : length);
  auto shards = std::make_unique<std::mutex[]>(length / kShard + 1);
  Rule own = rule;
  generation_ = (unique_number() >> 12U) + 1;
  model_charge_ = std::move(charge);
  model_.swap(model);
  velocity_.swap(velocity);
  shards_ = std::move(shards);
  std::swap(rule_, own);
}

void Entry::declare(std::uint64_t length, std::uint32_t workers, Rule rule, bool zeros) {
  touch();
  const Lock lock(mutex_);
  if (is_model_) {
    if (length != model_.size() || workers != workers_ || rule != rule_)
      fail(Code::already_exists,
           "'{}' is registered already, with {} values for {} workers{}; delete it first",
           printable(id_), model_.size(), workers_,
           rule == rule_ ? "" : " and another way to be moved");
    return;
  }
  if (shards_ || !open_.empty() || !results_.empty() || !newest_.empty())
    fail(Code::already_exists,
         "'{}' holds sums that workers push to; delete it first, or take another id",
         printable(id_));
  if (length > environment_.longest)
    fail(Code::resource_exhausted,
         "'{}': {} values are more than this server takes ({}; --message-mb)", printable(id_),
         length, environment_.longest);
  set_workers(workers);
  make_model(length, rule);
  is_model_ = true;
  if (!zeros) {
    Rng rng(checksum(as_bytes(id_)));
    for (float& value : model_) value = static_cast<float>(rng.uniform(-0.1, 0.1));
  }
  ++version_;
}

void Entry::move(std::span<float> values, double scale, double rate, std::size_t first) {
  const auto factor = static_cast<float>(scale);
  if (!rule_.learning_rate) {
    each_shard(first, [&](std::size_t begin, std::size_t end) {
      tensor::axpy(end - begin, factor, values.data() + begin, model_.data() + begin);
    });
    return;
  }
  const auto lr = static_cast<float>(rate);
  const auto l2 = static_cast<float>(rule_.l2);
  const auto momentum = static_cast<float>(rule_.momentum);
  each_shard(first, [&](std::size_t begin, std::size_t end) {
    const std::span<float> gradient = values.subspan(begin, end - begin);
    for (float& g : gradient) g *= factor;
    const auto penalize = [&](std::size_t from, std::size_t to) {
      from = std::max(from, begin);
      to = std::min(to, end);
      if (from < to)
        tensor::axpy(to - from, l2, model_.data() + from, gradient.data() + (from - begin));
    };
    if (l2 != 0 && rule_.penalized.empty()) penalize(begin, end);
    if (l2 != 0)
      for (const auto& [from, to] : rule_.penalized) penalize(from, to);
    for (std::size_t i = 0; i < gradient.size(); ++i) {
      float step = gradient[i];
      if (!velocity_.empty()) step = velocity_[begin + i] = momentum * velocity_[begin + i] + step;
      model_[begin + i] -= lr * step;
    }
  });
}

void Entry::move_sparse(std::span<const std::uint32_t> indices, std::span<const float> values,
                        double scale) {
  const auto factor = static_cast<float>(scale);
  for (std::size_t i = 0; i < indices.size();) {
    const std::size_t shard = indices[i] / kShard;
    const std::lock_guard lock(shards_[shard]);
    for (; i < indices.size() && indices[i] / kShard == shard; ++i)
      model_[indices[i]] += factor * values[i];
  }
}

std::shared_ptr<Result> Entry::room_for_copy(std::uint64_t n_totals, std::uint64_t n_values) const {
  auto out = std::make_shared<Result>();
  out->charge = Charge(environment_.budget, Result::bytes(n_totals, n_values));
  out->values = Buffer(n_values * sizeof(float));
  return out;
}

void Entry::copy_model(Result& into, std::size_t first) const {
  each_shard(first, [&](std::size_t begin, std::size_t end) {
    std::copy(model_.data() + begin, model_.data() + end, into.floats().data() + begin);
  });
}

/// A copy of the vector, or of the wanted values of it, with room for totals.
std::shared_ptr<Result> Entry::copy_of(const std::optional<Buffer>& wanted, std::uint64_t n_totals,
                                       std::size_t first) const {
  if (!wanted) {
    std::shared_ptr<Result> out = room_for_copy(n_totals, model_.size());
    copy_model(*out, first);
    return out;
  }
  const auto* indices = reinterpret_cast<const std::uint32_t*>(wanted->data());
  const std::size_t n = wanted->size() / sizeof(std::uint32_t);
  std::shared_ptr<Result> out = room_for_copy(n_totals, n);
  for (std::size_t i = 0; i < n;) {
    if (indices[i] >= model_.size())
      fail(Code::invalid_argument, "'{}': index {} is beyond its {} values", printable(id_),
           indices[i], model_.size());
    const std::size_t shard = indices[i] / kShard;
    const std::lock_guard lock(shards_[shard]);
    for (; i < n && indices[i] / kShard == shard && indices[i] < model_.size(); ++i)
      out->floats()[i] = model_[indices[i]];
  }
  return out;
}

bool Entry::can_pull(std::int64_t n, std::int64_t worker) const {
  const Lock lock(mutex_);
  check_worker(worker);
  return n >= 0 && pushes_ == static_cast<std::uint64_t>(n) * workers_;
}

bool Entry::can_push(std::int64_t n, std::int64_t worker) const {
  const Lock lock(mutex_);
  check_worker(worker);
  return n >= 0 && pulls_ == (static_cast<std::uint64_t>(n) + 1) * workers_;
}

std::shared_ptr<const Result> Entry::pull(std::int64_t n, std::int64_t worker) {
  touch();
  if (n < 0) fail(Code::invalid_argument, "'{}': there is no turn {}", printable(id_), n);
  {
    const Lock lock(mutex_);
    if (!is_model_) fail(Code::not_found, "'{}' is no model", printable(id_));
    check_worker(worker);
    Turns& own = turns_[static_cast<std::size_t>(worker)];
    if (static_cast<std::uint64_t>(n) >= own.next_pull) {
      own.next_pull = static_cast<std::uint64_t>(n) + 1;
      ++pulls_;
      ++version_;
    }
  }
  ++environment_.stats.pulls;
  return copy_of({}, 0, 0);
}

void Entry::push(double rate, Buffer doubles, Charge charge, std::int64_t n, std::int64_t worker) {
  if (n < 0) fail(Code::invalid_argument, "'{}': there is no turn {}", printable(id_), n);
  if (worker < 0)
    fail(Code::invalid_argument, "'{}': there is no worker {}", printable(id_), worker);
  if (!std::isfinite(rate))
    fail(Code::diverged, "worker {}: its learning rate is not finite", worker);
  Part part{.id = id_, .kind = Kind::running, .round = static_cast<std::uint64_t>(n)};
  part.worker = static_cast<std::uint32_t>(worker);
  part.workers = 0;
  part.length = doubles.size() / sizeof(double);
  // Each float lies before the double that is read next.
  for (std::size_t i = 0; i < part.length; ++i) {
    double value = 0;
    std::memcpy(&value, doubles.data() + i * sizeof value, sizeof value);
    const auto moved = static_cast<float>(rate * value);
    std::memcpy(doubles.data() + i * sizeof moved, &moved, sizeof moved);
  }
  doubles.truncate(part.length * sizeof(float));
  Numbers numbers;
  numbers.values = std::move(doubles);
  numbers.wanted = Buffer();
  push_pull(Request(part, std::move(numbers), std::move(charge), environment_), Deadline::never());
}

}  // namespace lambdaml::ps
