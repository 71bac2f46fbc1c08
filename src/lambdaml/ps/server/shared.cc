#include "lambdaml/ps/server/shared.h"

#include <algorithm>
#include <cmath>

#include "lambdaml/base/parallel.h"
#include "lambdaml/tensor/kernels.h"

namespace lambdaml::ps {

void Shared::set_workers(std::uint32_t count) {
  // Besides its turns, each worker may have a newest sum.
  constexpr std::size_t kBytes =
      sizeof(Turns) + sizeof(std::uint64_t) + sizeof(std::shared_ptr<const Result>);
  if (workers == 0) {
    if (count == 0 || count > kMostWorkers)
      fail(Code::invalid_argument, "'{}': {} workers cannot share it", printable(id), count);
    workers_charge_ = Charge(environment.budget, count * kBytes);
    turns.resize(count);
    workers = count;
  }
  if (count != 0 && count != workers)
    fail(Code::invalid_argument, "'{}': it has {} workers, not {}", printable(id), workers, count);
}

void Shared::check_worker(std::int64_t worker) const {
  if (worker < 0 || worker >= static_cast<std::int64_t>(workers))
    fail(Code::invalid_argument, "'{}': there is no worker {} of {}", printable(id), worker,
         workers);
}

void Shared::check_totals(std::span<const double> totals) const {
  if (!std::ranges::all_of(totals, [](double total) { return std::isfinite(total); }))
    fail(Code::diverged, "'{}': its totals have left the finite numbers", printable(id));
}

std::shared_ptr<Result> Shared::room_for(std::uint64_t n_totals, std::uint64_t n_values) const {
  auto out = std::make_shared<Result>();
  out->charge = Charge(environment.budget, Result::bytes(n_totals, n_values));
  out->values = Buffer(n_values * sizeof(float));
  return out;
}

bool Shared::wait(Lock& lock, Deadline deadline, const std::function<bool()>& ready) {
  if (ready()) return true;
  const Stopwatch clock;
  const auto patience = std::chrono::duration<double>(std::min(deadline.seconds_left(), 1e6));
  const bool in_time = changed.wait_for(
      lock, patience, [&] { return removed_ != nullptr || interrupted_ || ready(); });
  environment.stats.wait_ns += static_cast<std::uint64_t>(clock.seconds() * 1e9);
  ++environment.stats.waits;
  if (removed_ != nullptr) fail(Code::not_found, "'{}' was {}", printable(id), removed_);
  if (interrupted_) fail(Code::unavailable, "the server is ending");
  if (!in_time) ++environment.stats.waits_in_vain;
  return in_time;
}

void Shared::wait_for_snapshot(Lock& lock) {
  wait(lock, Deadline::never(), [this] { return !frozen_; });
}

void Shared::interrupt() {
  {
    const Lock lock(mutex);
    interrupted_ = true;
  }
  changed.notify_all();
}

void Shared::remove(const char* how) {
  {
    const Lock lock(mutex);
    removed_ = how;
  }
  changed.notify_all();
}

std::shared_ptr<Result> sum_of(const Shared& shared, const std::vector<const Result*>& parts,
                               bool sparse) {
  constexpr std::size_t kBlock = 128 << 10;
  const std::size_t n = parts.front()->length();
  const std::size_t n_totals = parts.front()->doubles().size();
  std::shared_ptr<Result> out = shared.room_for(n_totals, n);
  out->totals = Buffer(n_totals * sizeof(double));
  std::vector<const double*> totals;
  for (const Result* part : parts) totals.push_back(part->doubles().data());
  tensor::sum_in_order(totals, n_totals, out->doubles().data());
  shared.check_totals(out->doubles());
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
        shared.environment.budget,
        out->charge.bytes() + out->sparse->values.size() * (sizeof(float) + sizeof(std::uint32_t)));
  return out;
}

}  // namespace lambdaml::ps
