// The sums of an entry: of rounds that all workers share, and of the newest push of each.
#include <algorithm>

#include "lambdaml/base/parallel.h"
#include "lambdaml/ps/server/entry.h"
#include "lambdaml/tensor/kernels.h"

namespace lambdaml::ps {

std::shared_ptr<Result> Entry::sum(const std::vector<const Result*>& parts, bool sparse) const {
  constexpr std::size_t kBlock = 128 << 10;
  const std::size_t n = parts.front()->length();
  auto out = std::make_shared<Result>();
  out->charge =
      Charge(environment_.budget, parts.front()->totals.size() + parts.front()->values.size());
  out->totals = Buffer(parts.front()->totals.size());
  out->values = Buffer(parts.front()->values.size());
  std::vector<const double*> totals;
  for (const Result* part : parts) totals.push_back(part->doubles().data());
  tensor::sum_in_order(totals, out->doubles().size(), out->doubles().data());
  const auto sum_block = [&](std::size_t block) {
    const std::size_t begin = block * kBlock;
    std::vector<const float*> values;
    for (const Result* part : parts) values.push_back(part->floats().data() + begin);
    tensor::sum_in_order(values, std::min(kBlock, n - begin), out->floats().data() + begin);
  };
  parallel_for((n + kBlock - 1) / kBlock, processors(), sum_block);
  if (sparse) out->sparse = as_sparse(out->floats());
  return out;
}

void Entry::retire(const Part& part) {
  Turns& own = turns_[part.worker];
  if (part.retired <= own.retired) return;
  own.retired = part.retired;
  std::uint64_t earliest = own.retired;
  for (const Turns& turns : turns_) earliest = std::min(earliest, turns.retired);
  if (earliest <= dropped_before_) return;
  dropped_before_ = earliest;
  results_.erase(results_.begin(), results_.lower_bound(earliest));
  ++version_;
}

std::vector<std::uint32_t> Entry::silent(const Collecting& round) const {
  std::vector<std::uint32_t> out;
  for (std::uint32_t worker = 0; worker < workers_; ++worker)
    if (!round.arrived[worker]) out.push_back(worker);
  return out;
}

std::shared_ptr<const Result> Entry::complete(const std::vector<std::unique_ptr<Result>>& parts,
                                              bool sparse, bool moves,
                                              std::optional<double> learning_rate) {
  const Stopwatch clock;
  std::vector<const Result*> in_order;
  for (const auto& part : parts) in_order.push_back(part.get());
  std::shared_ptr<Result> result = sum(in_order, sparse && !moves);
  if (moves) {
    move(result->floats(), 1.0, learning_rate.value_or(rule_.learning_rate.value_or(0)), 0);
    const std::shared_ptr<Result> model = copy({}, 0);
    model->totals = std::move(result->totals);
    result = model;
  }
  environment_.stats.update_ns += static_cast<std::uint64_t>(clock.seconds() * 1e9);
  ++environment_.stats.updates;
  return result;
}

Entry::Answer Entry::add_to_round(const Part& part, Numbers numbers, Deadline deadline) {
  constexpr std::size_t kMostOpen = 64;
  Lock lock(mutex_);
  set_workers(part.workers);
  check_worker(part.worker);
  retire(part);
  const auto answer = [&](const std::shared_ptr<const Result>& result) {
    if (result->length() != part.length && !part.again)
      fail(Code::invalid_argument, "'{}', round {}: worker {} asks for {} values, it has {}",
           printable(id_), part.round, part.worker, part.length, result->length());
    ++environment_.stats.pulls;
    return Answer{result, workers_};
  };
  if (const auto done = results_.find(part.round); done != results_.end()) {
    if (!part.again) ++environment_.stats.repeated_pushes;
    return answer(done->second);
  }
  if (part.round < dropped_before_)
    fail(Code::not_found, "'{}': round {} is over, and its sum is dropped, as all workers allowed",
         printable(id_), part.round);
  if (!open_.contains(part.round) && open_.size() >= kMostOpen)
    fail(Code::resource_exhausted, "'{}': {} rounds are open already", printable(id_),
         open_.size());
  const std::size_t n_totals = numbers.totals.size() / sizeof(double);
  Collecting& round = open_[part.round];
  if (round.arrived.empty()) {
    round.arrived.resize(workers_);
    round.parts.resize(workers_);
    round.totals = n_totals;
    round.length = part.length;
  }
  if (!round.arrived[part.worker]) {
    if (part.again) return {.result = nullptr, .resend = true};
    if (part.length != round.length || n_totals != round.totals)
      fail(Code::invalid_argument,
           "'{}', round {}: worker {} pushes {} values and {} totals, others {} and {}",
           printable(id_), part.round, part.worker, part.length, n_totals, round.length,
           round.totals);
    if (is_model_ && part.length != model_.size())
      fail(Code::invalid_argument, "'{}': worker {} pushes {} values, the model has {}",
           printable(id_), part.worker, part.length, model_.size());
    bool sparse = false;
    round.parts[part.worker] = take(part, std::move(numbers), sparse);
    round.sparse |= sparse;
    round.arrived[part.worker] = true;
    ++environment_.stats.pushes;
    if (++round.count == workers_) {
      const std::vector<std::unique_ptr<Result>> parts = std::move(round.parts);
      const bool any_sparse = round.sparse;
      const bool moves = is_model_;
      if (moves) wait(lock, Deadline::never(), [&] { return !frozen_; });
      moving_ += moves ? 1 : 0;
      lock.unlock();
      std::shared_ptr<const Result> result;
      std::exception_ptr failure;
      try {
        result = complete(parts, any_sparse, moves, part.learning_rate);
      } catch (...) {
        failure = std::current_exception();
      }
      lock.lock();
      moving_ -= moves ? 1 : 0;
      open_.erase(part.round);
      if (failure) {  // whoever waits is asked for his push again
        lock.unlock();
        changed_.notify_all();
        std::rethrow_exception(failure);
      }
      if (moves) pushes_ += workers_;
      results_.insert_or_assign(part.round, result);
      ++version_;
      lock.unlock();
      changed_.notify_all();
      return answer(result);
    }
  } else if (!part.again) {
    ++environment_.stats.repeated_pushes;
  }
  const bool in_time = wait(
      lock, deadline, [&] { return results_.contains(part.round) || !open_.contains(part.round); });
  if (!in_time) return {.result = nullptr, .missing = silent(open_.at(part.round))};
  if (!results_.contains(part.round)) return {.result = nullptr, .resend = true};
  const std::shared_ptr<const Result> result = results_.at(part.round);
  lock.unlock();
  return answer(result);
}

Entry::Answer Entry::replace_newest(const Part& part, Numbers numbers) {
  bool sparse = false;
  std::shared_ptr<const Result> mine;
  if (!part.again) mine = take(part, std::move(numbers), sparse);
  std::vector<std::shared_ptr<const Result>> all;
  {
    const Lock lock(mutex_);
    set_workers(part.workers);
    check_worker(part.worker);
    newest_.resize(workers_);
    Newest& own = newest_[part.worker];
    if (!mine && !own.result) return {.result = nullptr, .resend = true};
    for (const Newest& other : newest_)
      if (mine && other.result &&
          (other.result->values.size() != mine->values.size() ||
           other.result->totals.size() != mine->totals.size()))
        fail(Code::invalid_argument, "'{}': worker {} pushes {} values, others {}", printable(id_),
             part.worker, mine->length(), other.result->length());
    if (mine && (!own.result || part.round >= own.round)) {
      own = {part.round, std::move(mine)};
      ++version_;
    }
    for (const Newest& other : newest_)
      if (other.result) all.push_back(other.result);
  }
  ++environment_.stats.pushes;
  ++environment_.stats.pulls;
  std::vector<const Result*> parts;
  for (const auto& one : all) parts.push_back(one.get());
  return {sum(parts, false), parts.size()};
}

}  // namespace lambdaml::ps
