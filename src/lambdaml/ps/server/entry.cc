#include "lambdaml/ps/server/entry.h"

#include <algorithm>
#include <cmath>

namespace lambdaml::ps {

Entry::Entry(std::string id, Environment& environment)
    : id_(std::move(id)), environment_(environment) {
  touch();
}

double Entry::idle_s() const {
  const Deadline::Clock::duration since(Deadline::Clock::now().time_since_epoch().count() -
                                        touched_);
  return std::chrono::duration<double>(since).count();
}

Entry::Answer Entry::push_pull(Request request, Deadline deadline) {
  touch();
  switch (request.part.kind) {
    case Kind::round:
      return add_to_round(std::move(request), deadline);
    case Kind::running:
      return add_to_running(std::move(request), deadline);
    case Kind::newest:
      return replace_newest(std::move(request));
    case Kind::result:
      return put_back_result(std::move(request));
  }
  fail(Code::internal, "'{}': a request of no kind", printable(id_));
}

void Entry::set_workers(std::uint32_t workers) {
  if (workers_ == 0) {
    if (workers == 0 || workers > kMostWorkers)
      fail(Code::invalid_argument, "'{}': {} workers cannot share it", printable(id_), workers);
    workers_charge_ = Charge(environment_.budget, workers * (sizeof(Turns) + sizeof(Newest)));
    turns_.resize(workers);
    workers_ = workers;
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

void Entry::check_totals(std::span<const double> totals) const {
  if (!std::ranges::all_of(totals, [](double total) { return std::isfinite(total); }))
    fail(Code::diverged, "'{}': its totals have left the finite numbers", printable(id_));
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
