#include "lambdaml/ps/server/entry.h"

#include <algorithm>
#include <cmath>

#include "lambdaml/tensor/kernels.h"

namespace lambdaml::ps {
namespace {

std::span<const std::uint32_t> as_indices(Bytes bytes) {
  return {reinterpret_cast<const std::uint32_t*>(bytes.data()),
          bytes.size() / sizeof(std::uint32_t)};
}

std::span<const float> as_floats(Bytes bytes) {
  return {reinterpret_cast<const float*>(bytes.data()), bytes.size() / sizeof(float)};
}

}  // namespace

Entry::Entry(std::string id, Environment& environment)
    : id_(std::move(id)), environment_(environment) {
  touch();
}

double Entry::idle_s() const {
  const Deadline::Clock::duration since(Deadline::Clock::now().time_since_epoch().count() -
                                        touched_);
  return std::chrono::duration<double>(since).count();
}

Entry::Answer Entry::push_pull(const Part& part, Numbers numbers, Deadline deadline) {
  touch();
  check_numbers(part, numbers);
  switch (part.kind) {
    case Kind::round:
      return add_to_round(part, std::move(numbers), deadline);
    case Kind::running:
      return add_to_running(part, std::move(numbers), deadline);
    case Kind::newest:
      return replace_newest(part, std::move(numbers));
    case Kind::result:
      return put_back_result(part, std::move(numbers));
  }
  fail(Code::invalid_argument, "'{}': there is no kind {} of push", printable(id_),
       static_cast<int>(part.kind));
}

void Entry::check_numbers(const Part& part, const Numbers& numbers) const {
  const auto refuse = [&](const std::string& why) {
    fail(Code::invalid_argument, "'{}', worker {}, round {}: {}", printable(id_), part.worker,
         part.round, why);
  };
  if (part.length > std::numeric_limits<std::uint32_t>::max()) refuse("such long vectors are none");
  if (numbers.totals.size() % sizeof(double) != 0) refuse("the totals are cut");
  if (numbers.wanted && numbers.wanted->size() % sizeof(std::uint32_t) != 0)
    refuse("the wanted indices are cut");
  if (part.again || part.pull_only || part.last) return;
  const std::uint64_t values = numbers.values.size() / sizeof(float);
  if (numbers.values.size() % sizeof(float) != 0) refuse("the values are cut");
  if (!numbers.indices) {
    if (values != part.length)
      refuse(fmt::format("{} values, where the length is {}", values, part.length));
  } else {
    const auto indices = as_indices(*numbers.indices);
    if (numbers.indices->size() != values * sizeof(std::uint32_t))
      refuse(fmt::format("{} bytes of indices for {} values", numbers.indices->size(), values));
    for (std::size_t i = 0; i < indices.size(); ++i)
      if (indices[i] >= part.length || (i > 0 && indices[i] <= indices[i - 1]))
        refuse(fmt::format("index {} is out of order, or beyond the length {}", indices[i],
                           part.length));
  }
  const auto floats = as_floats(numbers.values);
  if (!environment_.accept_nan && part.kind != Kind::result &&
      !std::isfinite(tensor::dot(floats.size(), floats.data(), floats.data())))
    fail(Code::diverged,
         "worker {}: what it pushes to '{}' in round {} is not finite; use a smaller --lr or scale "
         "the features",
         part.worker, printable(id_), part.round);
}

void Entry::set_workers(std::uint32_t workers) {
  constexpr std::uint32_t kMost = 1 << 20;
  if (workers_ == 0) {
    if (workers == 0 || workers > kMost)
      fail(Code::invalid_argument, "'{}': {} workers cannot share it", printable(id_), workers);
    workers_ = workers;
    turns_.resize(workers);
  }
  if (workers != 0 && workers != workers_)
    fail(Code::invalid_argument, "'{}': it has {} workers, not {}", printable(id_), workers_,
         workers);
}

void Entry::check_worker(std::int64_t worker) const {
  if (worker < 0 || worker >= static_cast<std::int64_t>(workers_))
    fail(Code::invalid_argument, "'{}': there is no worker {} of {}", printable(id_), worker,
         workers_);
}

bool Entry::wait(Lock& lock, Deadline deadline, const std::function<bool()>& ready) {
  if (ready()) return true;
  const Stopwatch clock;
  const auto patience = std::chrono::duration<double>(std::min(deadline.seconds_left(), 1e6));
  const bool in_time =
      changed_.wait_for(lock, patience, [&] { return removed_ || interrupted_ || ready(); });
  environment_.stats.wait_ns += static_cast<std::uint64_t>(clock.seconds() * 1e9);
  ++environment_.stats.waits;
  if (removed_) fail(Code::not_found, "'{}' was deleted", printable(id_));
  if (interrupted_) fail(Code::unavailable, "the server is ending");
  if (!in_time) ++environment_.stats.waits_in_vain;
  return in_time;
}

std::unique_ptr<Result> Entry::take(const Part& part, Numbers numbers, bool& sparse) const {
  auto result = std::make_unique<Result>();
  result->charge = Charge(environment_.budget, numbers.totals.size() + part.length * sizeof(float));
  result->totals = std::move(numbers.totals);
  sparse = numbers.indices.has_value();
  if (!sparse) {
    result->values = std::move(numbers.values);
    return result;
  }
  result->values = Buffer(part.length * sizeof(float));
  const std::span<float> all = result->floats();
  std::ranges::fill(all, 0.0F);
  const auto indices = as_indices(*numbers.indices);
  const auto values = as_floats(numbers.values);
  for (std::size_t i = 0; i < indices.size(); ++i) all[indices[i]] = values[i];
  return result;
}

Entry::Answer Entry::add_to_running(const Part& part, Numbers numbers, Deadline deadline) {
  Lock lock(mutex_);
  set_workers(part.workers);
  check_worker(part.worker);
  const std::size_t n_totals = numbers.totals.size() / sizeof(double);
  const bool pushes = !part.pull_only && !part.again && !part.last;
  if (!shards_) {
    if (!pushes && (!part.last || part.again)) return {.result = nullptr, .resend = true};
    make_model(part.length);
  }
  wait(lock, Deadline::never(), [&] { return !frozen_; });
  if ((pushes || part.last) && totals_.empty()) totals_.assign(n_totals, 0.0);
  if (pushes && (part.length != model_.size() || n_totals != totals_.size()))
    fail(Code::invalid_argument,
         "'{}': worker {} pushes {} values and {} totals, the vector has {} and {}", printable(id_),
         part.worker, part.length, n_totals, model_.size(), totals_.size());
  if (part.generation && *part.generation != generation_)
    return {.result = nullptr, .resend = true, .generation = generation_};
  Turns& own = turns_[part.worker];
  if (part.again && (part.last ? !own.finished : part.round >= own.next_push))
    return {.result = nullptr, .resend = true};
  const std::size_t shard = model_.size() / workers_ * part.worker / kShard;
  if (pushes && part.round >= own.next_push) {
    // There may be no memory for it: then nothing has been counted yet.
    std::unique_ptr<Result> dense;
    bool sparse = false;
    if (!numbers.indices || rule_.learning_rate) dense = take(part, std::move(numbers), sparse);
    const auto* totals =
        reinterpret_cast<const double*>((dense ? dense->totals : numbers.totals).data());
    own.next_push = part.round + 1;
    for (std::size_t i = 0; i < n_totals; ++i) totals_[i] += totals[i];
    ++moving_;
    lock.unlock();
    const Stopwatch clock;
    const double rate = part.learning_rate.value_or(rule_.learning_rate.value_or(0));
    if (dense)
      move(dense->floats(), part.scale.value_or(1), rate, shard);
    else
      move_sparse(as_indices(*numbers.indices), as_floats(numbers.values), part.scale.value_or(1));
    environment_.stats.update_ns += static_cast<std::uint64_t>(clock.seconds() * 1e9);
    ++environment_.stats.updates;
    ++environment_.stats.pushes;
    lock.lock();
    --moving_;
    ++pushes_;
    ++own.pushes;
    ++version_;
    changed_.notify_all();
  } else if (pushes) {
    ++environment_.stats.repeated_pushes;
  } else if (part.last && !own.finished) {
    own.finished = true;
    ++version_;
    changed_.notify_all();
  }

  std::vector<std::uint32_t> behind;
  const bool in_time = wait(lock, deadline, [&] {
    behind.clear();
    for (std::uint32_t worker = 0; worker < workers_; ++worker) {
      const Turns& other = turns_[worker];
      if (other.finished) continue;
      if (part.last || (part.staleness && other.pushes + *part.staleness < own.pushes))
        behind.push_back(worker);
    }
    return behind.empty();
  });
  if (!in_time) return {.result = nullptr, .missing = behind, .generation = generation_};
  if (part.pull_only && part.round >= own.next_pull) {
    own.next_pull = part.round + 1;
    ++pulls_;
    ++version_;
    changed_.notify_all();
  }
  const std::uint64_t merged = pushes_;
  Buffer totals{Bytes(std::as_bytes(std::span(totals_)))};
  lock.unlock();
  std::shared_ptr<Result> result = copy(numbers.wanted, shard);
  result->totals = std::move(totals);
  ++environment_.stats.pulls;
  return {.result = std::move(result), .merged = merged, .generation = generation_};
}

void Entry::interrupt() {
  {
    const Lock lock(mutex_);
    interrupted_ = true;
  }
  changed_.notify_all();
}

void Entry::remove() {
  {
    const Lock lock(mutex_);
    removed_ = true;
  }
  changed_.notify_all();
}

}  // namespace lambdaml::ps
