#include "lambdaml/ps/server/moved_vector.h"

#include <algorithm>

#include "lambdaml/base/rng.h"
#include "lambdaml/base/unique_id.h"
#include "lambdaml/tensor/kernels.h"

namespace lambdaml::ps {

template <class Body>
void MovedVector::each_shard(std::size_t first, Body body) const {
  const std::size_t n = values_.size();
  const std::size_t shards = (n + kShard - 1) / kShard;
  for (std::size_t i = 0; i < shards; ++i) {
    const std::size_t shard = (first + i) % shards;
    const std::lock_guard lock(shards_[shard]);
    body(shard * kShard, std::min(n, (shard + 1) * kShard));
  }
}

void MovedVector::make(std::uint64_t length, const Rule& rule) {
  const std::uint64_t vectors = rule.momentum == 0 ? 1 : 2;
  Charge charge(shared_.environment.budget, length * sizeof(float) * vectors);
  std::vector<float> values(length);
  std::vector<float> velocity(rule.momentum == 0 ? 0 : length);
  auto shards = std::make_unique<std::mutex[]>(length / kShard + 1);
  Rule own = rule;
  generation_ = (unique_number() >> 12U) + 1;
  charge_ = std::move(charge);
  values_.swap(values);
  velocity_.swap(velocity);
  shards_ = std::move(shards);
  std::swap(rule_, own);
}

void MovedVector::fill_at_random(std::uint64_t seed) {
  Rng rng(seed);
  for (float& value : values_) value = static_cast<float>(rng.uniform(-0.1, 0.1));
}

void MovedVector::move(std::span<float> values, double scale, double rate, std::size_t first) {
  const auto factor = static_cast<float>(scale);
  if (!rule_.learning_rate) {
    each_shard(first, [&](std::size_t begin, std::size_t end) {
      tensor::axpy(end - begin, factor, values.data() + begin, values_.data() + begin);
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
        tensor::axpy(to - from, l2, values_.data() + from, gradient.data() + (from - begin));
    };
    if (l2 != 0 && rule_.penalized.empty()) penalize(begin, end);
    if (l2 != 0)
      for (const auto& [from, to] : rule_.penalized) penalize(from, to);
    for (std::size_t i = 0; i < gradient.size(); ++i) {
      float step = gradient[i];
      if (!velocity_.empty()) step = velocity_[begin + i] = momentum * velocity_[begin + i] + step;
      values_[begin + i] -= lr * step;
    }
  });
}

void MovedVector::move_sparse(std::span<const std::uint32_t> indices, std::span<const float> values,
                              double scale) {
  const auto factor = static_cast<float>(scale);
  for (std::size_t i = 0; i < indices.size();) {
    const std::size_t shard = indices[i] / kShard;
    const std::lock_guard lock(shards_[shard]);
    for (; i < indices.size() && indices[i] / kShard == shard; ++i)
      values_[indices[i]] += factor * values[i];
  }
}

void MovedVector::replace(std::span<const float> values) {
  each_shard(0, [&](std::size_t begin, std::size_t end) {
    std::copy(values.data() + begin, values.data() + end, values_.data() + begin);
  });
}

void MovedVector::copy_to(Result& into, std::size_t first) const {
  each_shard(first, [&](std::size_t begin, std::size_t end) {
    std::copy(values_.data() + begin, values_.data() + end, into.floats().data() + begin);
  });
}

std::shared_ptr<Result> MovedVector::copy_of(const std::optional<Buffer>& wanted,
                                             std::uint64_t n_totals, std::size_t first) const {
  if (!wanted) {
    std::shared_ptr<Result> out = shared_.room_for(n_totals, values_.size());
    copy_to(*out, first);
    return out;
  }
  const auto* indices = reinterpret_cast<const std::uint32_t*>(wanted->data());
  const std::size_t n = wanted->size() / sizeof(std::uint32_t);
  std::shared_ptr<Result> out = shared_.room_for(n_totals, n);
  for (std::size_t i = 0; i < n;) {
    if (indices[i] >= values_.size())
      fail(Code::invalid_argument, "'{}': index {} is beyond its {} values", printable(shared_.id),
           indices[i], values_.size());
    const std::size_t shard = indices[i] / kShard;
    const std::lock_guard lock(shards_[shard]);
    for (; i < n && indices[i] / kShard == shard && indices[i] < values_.size(); ++i)
      out->floats()[i] = values_[indices[i]];
  }
  return out;
}

}  // namespace lambdaml::ps
