#include "lambdaml/ps/server/round_sums.h"

#include <algorithm>
#include <utility>

namespace lambdaml::ps {

Answer RoundSums::push_pull(Request request, Deadline deadline) {
  const Part& part = request.part;
  Lock lock(shared_.mutex);
  shared_.set_workers(part.workers);
  shared_.check_worker(part.worker);
  retire(part);
  if (const auto done = results_.find(part.round); done != results_.end()) {
    shared_.environment.stats.repeated_pushes += request.push ? 1 : 0;
    return answer(part, done->second);
  }
  if (part.round < dropped_before_)
    fail(Code::not_found, "'{}': round {} is over, and its sum is dropped, as all workers allowed",
         printable(shared_.id), part.round);
  const auto open = open_.find(part.round);
  const bool has_arrived = open != open_.end() && open->second.arrived[part.worker];
  if (!has_arrived) {
    if (!request.push) return {.result = nullptr, .resend = true};
    Collecting& round = add_part(request);
    if (round.count == shared_.workers) {
      const std::shared_ptr<const Result> result = complete(lock, round, part);
      lock.unlock();
      shared_.changed.notify_all();
      return answer(part, result);
    }
  } else if (request.push) {
    ++shared_.environment.stats.repeated_pushes;
    request.push.reset();
  }
  const auto is_over = [&] { return results_.contains(part.round) || !open_.contains(part.round); };
  if (!shared_.wait(lock, deadline, is_over)) {
    std::vector<std::uint32_t> missing = silent(open_.at(part.round));
    if (!missing.empty()) return {.result = nullptr, .missing = std::move(missing)};
    // Nobody is missing: another thread is adding up, without the lock.
    shared_.wait(lock, Deadline::never(), is_over);
  }
  if (!results_.contains(part.round)) return {.result = nullptr, .resend = true};
  const std::shared_ptr<const Result> result = results_.at(part.round);
  lock.unlock();
  return answer(part, result);
}

/// Adds the worker's part of a round; the first part begins the round.
RoundSums::Collecting& RoundSums::add_part(Request& request) {
  constexpr std::size_t kMostOpen = 64;
  const Part& part = request.part;
  const std::uint64_t length = request.push->length();
  const auto open = open_.find(part.round);
  if (open == open_.end() && open_.size() >= kMostOpen)
    fail(Code::resource_exhausted, "'{}': {} rounds are open already", printable(shared_.id),
         open_.size());
  if (model_.is_declared() && length != vector_.size())
    fail(Code::invalid_argument, "'{}': worker {} pushes {} values, the model has {}",
         printable(shared_.id), part.worker, length, vector_.size());
  if (open != open_.end() &&
      (length != open->second.length || request.n_totals != open->second.totals))
    fail(Code::invalid_argument,
         "'{}', round {}: worker {} pushes {} values and {} totals, others {} and {}",
         printable(shared_.id), part.round, part.worker, length, request.n_totals,
         open->second.length, open->second.totals);
  const bool is_sparse = request.push->is_sparse();
  std::unique_ptr<Result> whole = std::move(*request.push).whole(shared_.environment.budget);
  request.push.reset();
  if (open == open_.end()) {
    Collecting fresh{.totals = request.n_totals, .length = length};
    fresh.charge = Charge(shared_.environment.budget, shared_.workers * (sizeof(Result*) + 1));
    fresh.arrived.resize(shared_.workers);
    fresh.parts.resize(shared_.workers);
    open_.emplace(part.round, std::move(fresh));
  }
  Collecting& round = open_.at(part.round);
  round.parts[part.worker] = std::move(whole);
  round.sparse |= is_sparse;
  round.arrived[part.worker] = true;
  ++round.count;
  ++shared_.environment.stats.pushes;
  return round;
}

/// Call when all parts have arrived, then wake the waiting workers. After an error the round starts
/// anew: the workers are asked to send their parts again.
std::shared_ptr<const Result> RoundSums::complete(Lock& lock, Collecting& round, const Part& part) {
  const std::vector<std::unique_ptr<Result>> parts = std::move(round.parts);
  const bool any_sparse = round.sparse;
  const bool moves = model_.is_declared();
  std::shared_ptr<Result> result;
  try {
    // Once the model has been updated nothing may fail, or the round would update it again.
    decltype(results_) place;
    place.emplace(part.round, nullptr);
    std::vector<const Result*> in_order;
    for (const auto& one : parts) in_order.push_back(one.get());
    {
      const Moving moving(shared_, lock);
      const Stopwatch clock;
      result = sum_of(shared_, in_order, any_sparse && !moves);
      if (moves) result = moved_by(std::move(result), part);
      shared_.environment.stats.update_ns += static_cast<std::uint64_t>(clock.seconds() * 1e9);
      ++shared_.environment.stats.updates;
    }
    place.begin()->second = result;
    results_.erase(part.round);
    results_.merge(place);
  } catch (...) {
    open_.erase(part.round);
    shared_.changed.notify_all();
    throw;
  }
  open_.erase(part.round);
  if (moves) vector_.pushes += shared_.workers;
  ++shared_.version;
  return result;
}

/// The model after the update by the sum.
std::shared_ptr<Result> RoundSums::moved_by(std::shared_ptr<Result> sum, const Part& part) {
  std::shared_ptr<Result> model = shared_.room_for(sum->doubles().size(), sum->length());
  vector_.move(sum->floats(), 1.0,
               part.learning_rate.value_or(vector_.rule().learning_rate.value_or(0)), 0);
  vector_.copy_to(*model, 0);
  model->totals = std::move(sum->totals);
  return model;
}

Answer RoundSums::put_back(Request request) {
  const Part& part = request.part;
  std::shared_ptr<const Result> result = std::move(*request.push).whole(shared_.environment.budget);
  {
    const Lock lock(shared_.mutex);
    shared_.set_workers(part.workers);
    shared_.check_worker(part.worker);
    // Nothing is applied to the model a second time: the result contains the updated model.
    if (part.round < dropped_before_ || results_.contains(part.round))
      return {result, shared_.workers};
    const auto open = open_.find(part.round);
    if ((model_.is_declared() && result->length() != vector_.size()) ||
        (open != open_.end() && (result->length() != open->second.length ||
                                 result->doubles().size() != open->second.totals)))
      fail(Code::invalid_argument,
           "'{}', round {}: worker {} restores a result of {} values, which has another length",
           printable(shared_.id), part.round, part.worker, result->length());
    const bool is_latest = results_.empty() || results_.rbegin()->first < part.round;
    results_.emplace(part.round, result);
    if (model_.is_declared() && is_latest) vector_.replace(result->floats());
    if (open != open_.end()) open_.erase(open);
    ++shared_.version;
  }
  shared_.changed.notify_all();
  return {result, shared_.workers};
}

void RoundSums::retire(const Part& part) {
  Turns& own = shared_.turns[part.worker];
  if (part.retired <= own.retired) return;
  own.retired = part.retired;
  std::uint64_t earliest = own.retired;
  for (const Turns& turns : shared_.turns) earliest = std::min(earliest, turns.retired);
  if (earliest <= dropped_before_) return;
  dropped_before_ = earliest;
  results_.erase(results_.begin(), results_.lower_bound(earliest));
  ++shared_.version;
}

std::vector<std::uint32_t> RoundSums::silent(const Collecting& round) const {
  std::vector<std::uint32_t> out;
  for (std::uint32_t worker = 0; worker < shared_.workers; ++worker)
    if (!round.arrived[worker]) out.push_back(worker);
  return out;
}

Answer RoundSums::answer(const Part& part, const std::shared_ptr<const Result>& result) const {
  if (result->length() != part.length && !part.again)
    fail(Code::invalid_argument, "'{}', round {}: worker {} asks for {} values, it has {}",
         printable(shared_.id), part.round, part.worker, part.length, result->length());
  ++shared_.environment.stats.pulls;
  return {result, shared_.workers};
}

}  // namespace lambdaml::ps
