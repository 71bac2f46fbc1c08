// The model of an entry: what moves it, what reads it, the original's turns.
#include <algorithm>
#include <cmath>
#include <random>

#include "lambdaml/base/checksum.h"
#include "lambdaml/base/rng.h"
#include "lambdaml/ps/server/entry.h"
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

void Entry::make_model(std::uint64_t length) {
  model_charge_ =
      Charge(environment_.budget, length * sizeof(float) * (rule_.momentum == 0 ? 1 : 2));
  model_.assign(length, 0.0F);
  std::random_device random;
  generation_ = (static_cast<std::uint64_t>(random()) << 20 | (random() & 0xfffffU)) + 1;
  if (rule_.momentum != 0) velocity_.assign(length, 0.0F);
  shards_ = std::make_unique<std::mutex[]>(length / kShard + 1);
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
  set_workers(workers);
  rule_ = std::move(rule);
  make_model(length);
  is_model_ = true;
  if (!zeros) {
    Rng rng(checksum(as_bytes(id_)));
    for (float& value : model_) value = static_cast<float>(rng.uniform(-0.1, 0.1));
  }
  ++version_;
}

template <class Body>
void Entry::each_shard(std::size_t first, Body body) const {
  const std::size_t n = model_.size();
  const std::size_t shards = (n + kShard - 1) / kShard;
  for (std::size_t i = 0; i < shards; ++i) {
    const std::size_t shard = (first + i) % shards;
    const std::lock_guard lock(shards_[shard]);
    body(shard * kShard, std::min(n, (shard + 1) * kShard));
  }
}

Entry::Answer Entry::put_back_result(const Part& part, Numbers numbers) {
  bool sparse = false;
  std::shared_ptr<const Result> result = take(part, std::move(numbers), sparse);
  {
    const Lock lock(mutex_);
    set_workers(part.workers);
    check_worker(part.worker);
    // Moving a model a second time is no matter of this: the model stands in the result.
    if (part.round < dropped_before_ || results_.contains(part.round)) return {result, workers_};
    if (is_model_ && result->length() == model_.size() &&
        (results_.empty() || results_.rbegin()->first < part.round))
      each_shard(0, [&](std::size_t begin, std::size_t end) {
        std::copy(result->floats().data() + begin, result->floats().data() + end,
                  model_.data() + begin);
      });
    open_.erase(part.round);
    results_.emplace(part.round, result);
    ++version_;
  }
  changed_.notify_all();
  return {result, workers_};
}

void Entry::move(std::span<const float> values, double scale, double rate, std::size_t first) {
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
    std::vector<float> gradient(values.begin() + static_cast<std::ptrdiff_t>(begin),
                                values.begin() + static_cast<std::ptrdiff_t>(end));
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

std::shared_ptr<Result> Entry::copy(const std::optional<Buffer>& wanted, std::size_t first) const {
  auto out = std::make_shared<Result>();
  if (!wanted) {
    out->charge = Charge(environment_.budget, model_.size() * sizeof(float));
    out->values = Buffer(model_.size() * sizeof(float));
    each_shard(first, [&](std::size_t begin, std::size_t end) {
      std::copy(model_.data() + begin, model_.data() + end, out->floats().data() + begin);
    });
    return out;
  }
  const auto* indices = reinterpret_cast<const std::uint32_t*>(wanted->data());
  const std::size_t n = wanted->size() / sizeof(std::uint32_t);
  out->values = Buffer(n * sizeof(float));
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

std::vector<double> Entry::pull(std::int64_t n, std::int64_t worker) {
  touch();
  if (n < 0) fail(Code::invalid_argument, "'{}': there is no turn {}", printable(id_), n);
  {
    const Lock lock(mutex_);
    check_worker(worker);
    Turns& own = turns_[static_cast<std::size_t>(worker)];
    if (static_cast<std::uint64_t>(n) >= own.next_pull) {
      own.next_pull = static_cast<std::uint64_t>(n) + 1;
      ++pulls_;
      ++version_;
    }
  }
  ++environment_.stats.pulls;
  const std::shared_ptr<Result> model = copy({}, 0);
  return {model->floats().begin(), model->floats().end()};
}

void Entry::push(double rate, std::span<const double> values, std::int64_t n, std::int64_t worker) {
  if (n < 0) fail(Code::invalid_argument, "'{}': there is no turn {}", printable(id_), n);
  if (worker < 0)
    fail(Code::invalid_argument, "'{}': there is no worker {}", printable(id_), worker);
  if (!std::isfinite(rate))
    fail(Code::diverged, "worker {}: its learning rate is not finite", worker);
  Part part{.id = id_, .kind = Kind::running, .round = static_cast<std::uint64_t>(n)};
  part.worker = static_cast<std::uint32_t>(worker);
  part.workers = 0;
  part.length = values.size();
  Numbers numbers;
  numbers.values = Buffer(values.size() * sizeof(float));
  auto* floats = reinterpret_cast<float*>(numbers.values.data());
  for (std::size_t i = 0; i < values.size(); ++i) floats[i] = static_cast<float>(rate * values[i]);
  numbers.wanted = Buffer();
  push_pull(part, std::move(numbers), Deadline::never());
}

void Entry::save(Writer& out) {
  constexpr std::size_t kBytesOfResults = 64 << 20;
  constexpr std::size_t kFewestResults = 2;
  Lock lock(mutex_);
  frozen_ = true;
  changed_.wait(lock, [&] { return moving_ == 0; });
  out.put(id_);
  out.put(workers_);
  for (const Turns& turns : turns_) out.put(turns);
  out.put(dropped_before_);
  // The newest results: whoever waits for an older one has a checkpoint behind him as well.
  std::vector<std::pair<std::uint64_t, const Result*>> kept;
  std::size_t bytes = 0;
  for (auto at = results_.rbegin(); at != results_.rend(); ++at) {
    bytes += at->second->values.size();
    if (kept.size() >= kFewestResults && bytes > kBytesOfResults) break;
    kept.emplace_back(at->first, at->second.get());
  }
  const auto put_result = [&](std::uint64_t round, const Result& result) {
    out.put(round);
    out.put(result.totals.view());
    out.put(result.values.view());
  };
  out.put(static_cast<std::uint64_t>(kept.size()));
  for (const auto& [round, result] : kept) put_result(round, *result);
  out.put(static_cast<std::uint64_t>(newest_.size()));
  for (const Newest& newest : newest_) {
    out.put(newest.result != nullptr);
    if (newest.result) put_result(newest.round, *newest.result);
  }
  out.put(is_model_);
  out.put(rule_.learning_rate.has_value());
  out.put(rule_.learning_rate.value_or(0));
  out.put(rule_.momentum);
  out.put(rule_.l2);
  out.put(Bytes(std::as_bytes(std::span(rule_.penalized))));
  out.put(shards_ != nullptr);
  out.put(model_);
  out.put(velocity_);
  out.put(totals_);
  out.put(pushes_);
  out.put(pulls_);
  out.put(generation_);
  frozen_ = false;
  lock.unlock();
  changed_.notify_all();
}

std::shared_ptr<Entry> Entry::load(Reader& in, Environment& environment) {
  auto entry = std::make_shared<Entry>(in.get_text(), environment);
  if (const auto workers = in.get<std::uint32_t>(); workers != 0) entry->set_workers(workers);
  for (Turns& turns : entry->turns_) turns = in.get<Turns>();
  entry->dropped_before_ = in.get<std::uint64_t>();
  const auto get_result = [&] {
    auto result = std::make_shared<Result>();
    result->totals = Buffer(in.get_bytes());
    result->values = Buffer(in.get_bytes());
    result->charge = Charge(environment.budget, result->totals.size() + result->values.size());
    return result;
  };
  for (auto n = in.get<std::uint64_t>(); n > 0; --n) {
    const auto round = in.get<std::uint64_t>();
    entry->results_[round] = get_result();
  }
  const auto newest = in.get<std::uint64_t>();
  if (newest > entry->workers_) fail(Code::data_corrupt, "more pushes than workers");
  entry->newest_.resize(newest);
  for (Newest& one : entry->newest_) {
    if (!in.get<bool>()) continue;
    one.round = in.get<std::uint64_t>();
    one.result = get_result();
  }
  entry->is_model_ = in.get<bool>();
  const bool descends = in.get<bool>();
  const auto learning_rate = in.get<double>();
  if (descends) entry->rule_.learning_rate = learning_rate;
  entry->rule_.momentum = in.get<double>();
  entry->rule_.l2 = in.get<double>();
  entry->rule_.penalized = in.get_vector<Rule::Range>();
  const bool has_vector = in.get<bool>();
  const std::vector<float> model = in.get_vector<float>();
  if (has_vector) entry->make_model(model.size());
  entry->model_ = model;
  entry->velocity_ = in.get_vector<float>();
  if (entry->rule_.momentum != 0 && entry->velocity_.size() != model.size())
    fail(Code::data_corrupt, "a velocity of another length than the model");
  entry->totals_ = in.get_vector<double>();
  entry->pushes_ = in.get<std::uint64_t>();
  entry->pulls_ = in.get<std::uint64_t>();
  entry->generation_ = in.get<std::uint64_t>();
  if (!in.empty()) fail(Code::data_corrupt, "it goes on after its end");
  return entry;
}

}  // namespace lambdaml::ps
