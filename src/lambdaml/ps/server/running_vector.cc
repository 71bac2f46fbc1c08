#include "lambdaml/ps/server/running_vector.h"

#include <algorithm>

namespace lambdaml::ps {

Answer RunningVector::push_pull(Request request, Deadline deadline) {
  const Part& part = request.part;
  Lock lock(shared_.mutex);
  shared_.set_workers(part.workers);
  shared_.check_worker(part.worker);
  if (!vector_.exists()) {
    if (!request.push && (!part.last || part.again)) return {.result = nullptr, .resend = true};
    vector_.make(part.length, {});
  }
  shared_.wait_for_snapshot(lock);
  if (part.generation && *part.generation != vector_.generation())
    return {.result = nullptr, .resend = true, .generation = vector_.generation()};
  Turns& own = shared_.turns[part.worker];
  if (part.again && (part.last ? !own.finished : part.round >= own.next_push))
    return {.result = nullptr, .resend = true};
  if (request.push) {
    count_push(lock, request);
    request.push.reset();
  } else if (part.last && !own.finished) {
    finish(request);
  }

  std::vector<std::uint32_t> late;
  const bool in_time = shared_.wait(lock, deadline, [&] {
    late = behind(part);
    return late.empty();
  });
  if (!in_time) return {.result = nullptr, .missing = late, .generation = vector_.generation()};
  return answer(lock, request);
}

void RunningVector::finish(const Request& request) {
  if (totals_.empty() && request.part.length == vector_.size()) {
    totals_charge_.resize(shared_.environment.budget, request.n_totals * sizeof(double));
    totals_.resize(request.n_totals);
  }
  shared_.turns[request.part.worker].finished = true;
  ++shared_.version;
  shared_.changed.notify_all();
}

Answer RunningVector::answer(Lock& lock, const Request& request) {
  const Part& part = request.part;
  const std::uint64_t merged = vector_.pushes;
  Buffer totals{Bytes(std::as_bytes(std::span(totals_)))};
  lock.unlock();
  std::shared_ptr<Result> result = vector_.copy_of(request.wanted, totals.size() / sizeof(double),
                                                   vector_.shard_of(part.worker));
  result->totals = std::move(totals);
  ++shared_.environment.stats.pulls;
  if (part.pull_only) {
    // After the copy: once all pulls of a turn are counted, the others push.
    lock.lock();
    Turns& own = shared_.turns[part.worker];
    if (part.round >= own.next_pull) {
      own.next_pull = part.round + 1;
      ++vector_.pulls;
      ++shared_.version;
      shared_.changed.notify_all();
    }
  }
  return {.result = std::move(result), .merged = merged, .generation = vector_.generation()};
}

void RunningVector::count_push(Lock& lock, Request& request) {
  const Part& part = request.part;
  Push& push = *request.push;
  if (push.length() != vector_.size() ||
      (!totals_.empty() && push.totals().size() != totals_.size()))
    fail(Code::invalid_argument,
         "'{}': worker {} pushes {} values and {} totals, the vector has {} and {}",
         printable(shared_.id), part.worker, push.length(), push.totals().size(), vector_.size(),
         totals_.size());
  Turns& own = shared_.turns[part.worker];
  if (part.round < own.next_push) {
    if (request.checksum) check_repeats(part, *request.checksum);
    ++shared_.environment.stats.repeated_pushes;
    return;
  }
  // Either step may fail (no memory, or a total that is not finite): until then nothing has been
  // counted.
  std::vector<double> totals = totals_;
  totals.resize(push.totals().size());
  for (std::size_t i = 0; i < totals.size(); ++i) totals[i] += push.totals()[i];
  shared_.check_totals(totals);
  totals_charge_.resize(shared_.environment.budget, totals.size() * sizeof(double));
  std::unique_ptr<Result> whole;
  if (!push.is_sparse() || vector_.rule().learning_rate)
    whole = std::move(push).whole(shared_.environment.budget);

  own.next_push = part.round + 1;
  own.pushed = request.checksum;
  totals_ = std::move(totals);
  {
    const Moving moving(shared_, lock);
    move(push, part, whole.get());
  }
  ++vector_.pushes;
  ++own.pushes;
  ++shared_.version;
  shared_.changed.notify_all();
}

/// Clients of the original cannot be told that their push did not count, except by an error.
void RunningVector::check_repeats(const Part& part, std::uint64_t checksum) const {
  const Turns& own = shared_.turns[part.worker];
  if (part.round + 1 == own.next_push && own.pushed.value_or(checksum) == checksum) return;
  fail(Code::already_exists,
       "'{}': worker {} has pushed turn {} already, and {}; another job must register the model "
       "first",
       printable(shared_.id), part.worker, part.round,
       part.round + 1 == own.next_push ? "other values"
                                       : fmt::format("turn {} too", own.next_push - 1));
}

/// Applies the `whole` push or a sparse one. Must not throw, because the push has been counted.
void RunningVector::move(Push& push, const Part& part, Result* whole) {
  const Stopwatch clock;
  const double scale = part.scale.value_or(1);
  if (whole != nullptr)
    vector_.move(whole->floats(), scale,
                 part.learning_rate.value_or(vector_.rule().learning_rate.value_or(0)),
                 vector_.shard_of(part.worker));
  else
    vector_.move_sparse(push.indices(), push.values(), scale);
  Stats& stats = shared_.environment.stats;
  stats.update_ns += static_cast<std::uint64_t>(clock.seconds() * 1e9);
  ++stats.updates;
  ++stats.pushes;
}

/// The workers that this answer waits for.
std::vector<std::uint32_t> RunningVector::behind(const Part& part) const {
  std::vector<std::uint32_t> out;
  for (std::uint32_t worker = 0; worker < shared_.workers; ++worker) {
    const Turns& other = shared_.turns[worker];
    if (other.finished) continue;
    if (part.last ||
        (part.staleness && other.pushes + *part.staleness < shared_.turns[part.worker].pushes))
      out.push_back(worker);
  }
  return out;
}

}  // namespace lambdaml::ps
