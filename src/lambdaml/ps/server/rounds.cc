// The sums of an entry: of rounds that all workers share, and of the newest push of each.
#include <algorithm>

#include "lambdaml/base/parallel.h"
#include "lambdaml/ps/server/entry.h"
#include "lambdaml/ps/server/moving.h"
#include "lambdaml/ps/server/shards.h"
#include "lambdaml/tensor/kernels.h"

namespace lambdaml::ps {

std::shared_ptr<Result> Entry::sum(const std::vector<const Result*>& parts, bool sparse) const {
  constexpr std::size_t kBlock = 128 << 10;
  const std::size_t n = parts.front()->length();
  const std::size_t n_totals = parts.front()->doubles().size();
  std::shared_ptr<Result> out = room_for_copy(n_totals, n);
  out->totals = Buffer(n_totals * sizeof(double));
  std::vector<const double*> totals;
  for (const Result* part : parts) totals.push_back(part->doubles().data());
  tensor::sum_in_order(totals, n_totals, out->doubles().data());
  check_totals(out->doubles());
  const auto sum_block = [&](std::size_t block) {
    const std::size_t begin = block * kBlock;
    std::vector<const float*> values;
    for (const Result* part : parts) values.push_back(part->floats().data() + begin);
    tensor::sum_in_order(values, std::min(kBlock, n - begin), out->floats().data() + begin);
  };
  parallel_for((n + kBlock - 1) / kBlock, processors(), sum_block);
  if (sparse) out->sparse = as_sparse(out->floats());
  if (out->sparse)
    out->charge.resize(
        environment_.budget,
        out->charge.bytes() + out->sparse->values.size() * (sizeof(float) + sizeof(std::uint32_t)));
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

Entry::Answer Entry::answer_of_round(const Part& part,
                                     const std::shared_ptr<const Result>& result) const {
  if (result->length() != part.length && !part.again)
    fail(Code::invalid_argument, "'{}', round {}: worker {} asks for {} values, it has {}",
         printable(id_), part.round, part.worker, part.length, result->length());
  ++environment_.stats.pulls;
  return {result, workers_};
}

Entry::Answer Entry::add_to_round(Request request, Deadline deadline) {
  const Part& part = request.part;
  Lock lock(mutex_);
  set_workers(part.workers);
  check_worker(part.worker);
  retire(part);
  if (const auto done = results_.find(part.round); done != results_.end()) {
    environment_.stats.repeated_pushes += request.push ? 1 : 0;
    return answer_of_round(part, done->second);
  }
  if (part.round < dropped_before_)
    fail(Code::not_found, "'{}': round {} is over, and its sum is dropped, as all workers allowed",
         printable(id_), part.round);
  const auto open = open_.find(part.round);
  const bool has_arrived = open != open_.end() && open->second.arrived[part.worker];
  if (!has_arrived) {
    if (!request.push) return {.result = nullptr, .resend = true};
    Collecting& round = add_part(request);
    if (round.count == workers_) {
      const std::shared_ptr<const Result> result = complete_round(lock, round, part);
      lock.unlock();
      changed_.notify_all();
      return answer_of_round(part, result);
    }
  } else if (request.push) {
    ++environment_.stats.repeated_pushes;
    request.push.reset();
  }
  const bool in_time = wait(
      lock, deadline, [&] { return results_.contains(part.round) || !open_.contains(part.round); });
  if (!in_time) return {.result = nullptr, .missing = silent(open_.at(part.round))};
  if (!results_.contains(part.round)) return {.result = nullptr, .resend = true};
  const std::shared_ptr<const Result> result = results_.at(part.round);
  lock.unlock();
  return answer_of_round(part, result);
}

/// The worker's part of a round, which begins with the first one.
Entry::Collecting& Entry::add_part(Request& request) {
  constexpr std::size_t kMostOpen = 64;
  const Part& part = request.part;
  const std::uint64_t length = request.push->length();
  const auto open = open_.find(part.round);
  if (open == open_.end() && open_.size() >= kMostOpen)
    fail(Code::resource_exhausted, "'{}': {} rounds are open already", printable(id_),
         open_.size());
  if (is_model_ && length != model_.size())
    fail(Code::invalid_argument, "'{}': worker {} pushes {} values, the model has {}",
         printable(id_), part.worker, length, model_.size());
  if (open != open_.end() &&
      (length != open->second.length || request.n_totals != open->second.totals))
    fail(Code::invalid_argument,
         "'{}', round {}: worker {} pushes {} values and {} totals, others {} and {}",
         printable(id_), part.round, part.worker, length, request.n_totals, open->second.length,
         open->second.totals);
  const bool is_sparse = request.push->is_sparse();
  std::unique_ptr<Result> whole = std::move(*request.push).whole(environment_.budget);
  request.push.reset();
  if (open == open_.end()) {
    Collecting fresh{.totals = request.n_totals, .length = length};
    fresh.charge = Charge(environment_.budget, workers_ * (sizeof(Result*) + 1));
    fresh.arrived.resize(workers_);
    fresh.parts.resize(workers_);
    open_.emplace(part.round, std::move(fresh));
  }
  Collecting& round = open_.at(part.round);
  round.parts[part.worker] = std::move(whole);
  round.sparse |= is_sparse;
  round.arrived[part.worker] = true;
  ++round.count;
  ++environment_.stats.pushes;
  return round;
}

/// Once all parts are there; those that wait are then to be woken. After an error the round is
/// begun anew: they are asked for their parts again.
std::shared_ptr<const Result> Entry::complete_round(Lock& lock, Collecting& round,
                                                    const Part& part) {
  const std::vector<std::unique_ptr<Result>> parts = std::move(round.parts);
  const bool any_sparse = round.sparse;
  const bool moves = is_model_;
  std::shared_ptr<Result> result;
  try {
    // Once the model has moved nothing may fail: the round would move it again.
    decltype(results_) place;
    place.emplace(part.round, nullptr);
    std::vector<const Result*> in_order;
    for (const auto& one : parts) in_order.push_back(one.get());
    {
      const Moving moving(*this, lock);
      const Stopwatch clock;
      result = sum(in_order, any_sparse && !moves);
      if (moves) {
        std::shared_ptr<Result> model = room_for_copy(result->doubles().size(), result->length());
        move(result->floats(), 1.0, part.learning_rate.value_or(rule_.learning_rate.value_or(0)),
             0);
        copy_model(*model, 0);
        model->totals = std::move(result->totals);
        result = std::move(model);
      }
      environment_.stats.update_ns += static_cast<std::uint64_t>(clock.seconds() * 1e9);
      ++environment_.stats.updates;
    }
    place.begin()->second = result;
    results_.erase(part.round);
    results_.merge(place);
  } catch (...) {
    open_.erase(part.round);
    changed_.notify_all();
    throw;
  }
  open_.erase(part.round);
  if (moves) pushes_ += workers_;
  ++version_;
  return result;
}

Entry::Answer Entry::replace_newest(Request request) {
  const Part& part = request.part;
  std::shared_ptr<const Result> mine;
  if (request.push) mine = std::move(*request.push).whole(environment_.budget);
  environment_.stats.pushes += mine ? 1 : 0;
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
    all.reserve(workers_);
    if (mine && (!own.result || part.round >= own.round)) {
      own = {part.round, std::move(mine)};
      ++version_;
    }
    for (const Newest& other : newest_)
      if (other.result) all.push_back(other.result);
  }
  ++environment_.stats.pulls;
  std::vector<const Result*> parts;
  for (const auto& one : all) parts.push_back(one.get());
  return {sum(parts, false), parts.size()};
}

Entry::Answer Entry::put_back_result(Request request) {
  const Part& part = request.part;
  std::shared_ptr<const Result> result = std::move(*request.push).whole(environment_.budget);
  {
    const Lock lock(mutex_);
    set_workers(part.workers);
    check_worker(part.worker);
    // Moving a model a second time is no matter of this: the model stands in the result.
    if (part.round < dropped_before_ || results_.contains(part.round)) return {result, workers_};
    const auto open = open_.find(part.round);
    if ((is_model_ && result->length() != model_.size()) ||
        (open != open_.end() && (result->length() != open->second.length ||
                                 result->doubles().size() != open->second.totals)))
      fail(Code::invalid_argument,
           "'{}', round {}: worker {} gives back a result of {} values, which is of another length",
           printable(id_), part.round, part.worker, result->length());
    const bool is_latest = results_.empty() || results_.rbegin()->first < part.round;
    results_.emplace(part.round, result);
    if (is_model_ && is_latest)
      each_shard(0, [&](std::size_t begin, std::size_t end) {
        std::copy(result->floats().data() + begin, result->floats().data() + end,
                  model_.data() + begin);
      });
    if (open != open_.end()) open_.erase(open);
    ++version_;
  }
  changed_.notify_all();
  return {result, workers_};
}

}  // namespace lambdaml::ps
