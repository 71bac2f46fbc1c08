#include "lambdaml/ps/server/original_model.h"

#include <cmath>
#include <cstring>

#include "lambdaml/base/checksum.h"

namespace lambdaml::ps {

void OriginalModel::declare(std::uint64_t length, std::uint32_t workers, const Rule& rule,
                            bool zeros) {
  if (is_declared_) {
    if (length != vector_.size() || workers != shared_.workers || rule != vector_.rule())
      fail(Code::already_exists,
           "'{}' is registered already, with {} values for {} workers{}; delete it first",
           printable(shared_.id), vector_.size(), shared_.workers,
           rule == vector_.rule() ? "" : " and another way to be moved");
    return;
  }
  if (length > shared_.environment.longest)
    fail(Code::resource_exhausted,
         "'{}': {} values are more than this server takes ({}; --message-mb)",
         printable(shared_.id), length, shared_.environment.longest);
  shared_.set_workers(workers);
  vector_.make(length, rule);
  is_declared_ = true;
  if (!zeros) vector_.fill_at_random(checksum(as_bytes(shared_.id)));
  ++shared_.version;
}

bool OriginalModel::is_new_for(const std::shared_ptr<const Caller>& caller) {
  if (vector_.pushes > 0) return false;
  for (const Turns& turns : shared_.turns)
    if (turns.next_pull > 1 || (turns.puller && turns.puller->lock() == caller)) return false;
  for (Turns& turns : shared_.turns) {
    if (!turns.puller || turns.next_pull == 0) continue;
    turns.next_pull = 0;
    --vector_.pulls;
    ++shared_.version;
  }
  return true;
}

void OriginalModel::heard_from(std::int64_t worker, const std::shared_ptr<const Caller>& caller) {
  Turns& own = shared_.turns[static_cast<std::size_t>(worker)];
  if (own.next_pull > 0 || !own.puller || own.puller->lock() != caller) return;
  own.next_pull = 1;
  ++vector_.pulls;
  ++shared_.version;
}

bool OriginalModel::is_pulled_by_another(std::int64_t worker,
                                         const std::shared_ptr<const Caller>& caller) const {
  const Lock lock(shared_.mutex);
  shared_.check_worker(worker);
  const Turns& turns = shared_.turns[static_cast<std::size_t>(worker)];
  const std::shared_ptr<const Caller> puller = turns.puller ? turns.puller->lock() : nullptr;
  return puller && puller != caller;
}

bool OriginalModel::can_pull(std::int64_t n, std::int64_t worker) const {
  const Lock lock(shared_.mutex);
  // A worker of a larger job, whose model is not registered yet.
  if (n == 0 && vector_.pushes > 0) return false;
  shared_.check_worker(worker);
  return n >= 0 && vector_.pushes == static_cast<std::uint64_t>(n) * shared_.workers;
}

bool OriginalModel::can_push(std::int64_t n, std::int64_t worker,
                             const std::shared_ptr<const Caller>& caller) {
  const Lock lock(shared_.mutex);
  shared_.check_worker(worker);
  heard_from(worker, caller);
  return n >= 0 && vector_.pulls == (static_cast<std::uint64_t>(n) + 1) * shared_.workers;
}

std::shared_ptr<const Result> OriginalModel::pull(std::int64_t n, std::int64_t worker,
                                                  const std::shared_ptr<const Caller>& caller) {
  if (n < 0) fail(Code::invalid_argument, "'{}': there is no turn {}", printable(shared_.id), n);
  {
    const Lock lock(shared_.mutex);
    if (!is_declared_) fail(Code::not_found, "'{}' is no model", printable(shared_.id));
    shared_.check_worker(worker);
  }
  // The copy first: once all pulls are counted, the others push.
  std::shared_ptr<const Result> result = vector_.copy_of({}, 0, 0);
  ++shared_.environment.stats.pulls;
  const Lock lock(shared_.mutex);
  Turns& own = shared_.turns[static_cast<std::size_t>(worker)];
  own.puller = caller;
  if (static_cast<std::uint64_t>(n) >= own.next_pull) {
    own.next_pull = static_cast<std::uint64_t>(n) + 1;
    ++vector_.pulls;
    ++shared_.version;
  }
  return result;
}

void OriginalModel::push(double rate, Buffer doubles, Charge charge, std::int64_t n,
                         std::int64_t worker) {
  if (n < 0) fail(Code::invalid_argument, "'{}': there is no turn {}", printable(shared_.id), n);
  if (worker < 0)
    fail(Code::invalid_argument, "'{}': there is no worker {}", printable(shared_.id), worker);
  if (!std::isfinite(rate))
    fail(Code::diverged, "worker {}: its learning rate is not finite", worker);
  Part part{.id = shared_.id, .kind = Kind::running, .round = static_cast<std::uint64_t>(n)};
  part.worker = static_cast<std::uint32_t>(worker);
  part.workers = 0;
  part.length = doubles.size() / sizeof(double);
  // Each float is written before the double that is read next.
  for (std::size_t i = 0; i < part.length; ++i) {
    double value = 0;
    std::memcpy(&value, doubles.data() + i * sizeof value, sizeof value);
    const auto moved = static_cast<float>(rate * value);
    std::memcpy(doubles.data() + i * sizeof moved, &moved, sizeof moved);
  }
  doubles.truncate(part.length * sizeof(float));
  Numbers numbers;
  numbers.values = std::move(doubles);
  numbers.wanted = Buffer();
  const std::uint64_t sum = checksum(numbers.values);
  Request request(part, std::move(numbers), std::move(charge), shared_.environment);
  request.checksum = sum;
  running_.push_pull(std::move(request), Deadline::never());
}

}  // namespace lambdaml::ps
