// The running vector of an entry: what pushes move at once, and what the answers wait for.
#include <algorithm>

#include "lambdaml/ps/server/entry.h"
#include "lambdaml/ps/server/moving.h"

namespace lambdaml::ps {

Entry::Answer Entry::add_to_running(Request request, Deadline deadline) {
  const Part& part = request.part;
  Lock lock(mutex_);
  set_workers(part.workers);
  check_worker(part.worker);
  if (!shards_) {
    if (!request.push && (!part.last || part.again)) return {.result = nullptr, .resend = true};
    make_model(part.length, {});
  }
  wait(lock, Deadline::never(), [&] { return !frozen_; });
  if (part.generation && *part.generation != generation_)
    return {.result = nullptr, .resend = true, .generation = generation_};
  Turns& own = turns_[part.worker];
  if (part.again && (part.last ? !own.finished : part.round >= own.next_push))
    return {.result = nullptr, .resend = true};
  if (request.push) {
    count_running_push(lock, request);
    request.push.reset();
  } else if (part.last && !own.finished) {
    if (totals_.empty() && part.length == model_.size()) {
      totals_charge_.resize(environment_.budget, request.n_totals * sizeof(double));
      totals_.resize(request.n_totals);
    }
    own.finished = true;
    ++version_;
    changed_.notify_all();
  }

  std::vector<std::uint32_t> late;
  const bool in_time = wait(lock, deadline, [&] {
    late = behind(part);
    return late.empty();
  });
  if (!in_time) return {.result = nullptr, .missing = late, .generation = generation_};
  if (part.pull_only && part.round >= own.next_pull) {
    own.next_pull = part.round + 1;
    ++pulls_;
    ++version_;
    changed_.notify_all();
  }
  const std::uint64_t merged = pushes_;
  Buffer totals{Bytes(std::as_bytes(std::span(totals_)))};
  lock.unlock();
  std::shared_ptr<Result> result =
      copy_of(request.wanted, totals.size() / sizeof(double), shard_of(part.worker));
  result->totals = std::move(totals);
  ++environment_.stats.pulls;
  return {.result = std::move(result), .merged = merged, .generation = generation_};
}

void Entry::count_running_push(Lock& lock, Request& request) {
  const Part& part = request.part;
  Push& push = *request.push;
  if (push.length() != model_.size() ||
      (!totals_.empty() && push.totals().size() != totals_.size()))
    fail(Code::invalid_argument,
         "'{}': worker {} pushes {} values and {} totals, the vector has {} and {}", printable(id_),
         part.worker, push.length(), push.totals().size(), model_.size(), totals_.size());
  Turns& own = turns_[part.worker];
  if (part.round < own.next_push) {
    ++environment_.stats.repeated_pushes;
    return;
  }
  // There may be no memory for it, or no number for a total: then nothing has been counted yet.
  std::vector<double> totals = totals_;
  totals.resize(push.totals().size());
  for (std::size_t i = 0; i < totals.size(); ++i) totals[i] += push.totals()[i];
  check_totals(totals);
  totals_charge_.resize(environment_.budget, totals.size() * sizeof(double));
  std::unique_ptr<Result> whole;
  if (!push.is_sparse() || rule_.learning_rate) whole = std::move(push).whole(environment_.budget);

  own.next_push = part.round + 1;
  totals_ = std::move(totals);
  {
    const Moving moving(*this, lock);
    const Stopwatch clock;
    const double scale = part.scale.value_or(1);
    if (whole)
      move(whole->floats(), scale, part.learning_rate.value_or(rule_.learning_rate.value_or(0)),
           shard_of(part.worker));
    else
      move_sparse(push.indices(), push.values(), scale);
    environment_.stats.update_ns += static_cast<std::uint64_t>(clock.seconds() * 1e9);
    ++environment_.stats.updates;
    ++environment_.stats.pushes;
  }
  ++pushes_;
  ++own.pushes;
  ++version_;
  changed_.notify_all();
}

/// The workers that the answer to this one waits for.
std::vector<std::uint32_t> Entry::behind(const Part& part) const {
  std::vector<std::uint32_t> out;
  for (std::uint32_t worker = 0; worker < workers_; ++worker) {
    const Turns& other = turns_[worker];
    if (other.finished) continue;
    if (part.last ||
        (part.staleness && other.pushes + *part.staleness < turns_[part.worker].pushes))
      out.push_back(worker);
  }
  return out;
}

}  // namespace lambdaml::ps
