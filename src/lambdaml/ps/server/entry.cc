#include "lambdaml/ps/server/entry.h"

namespace lambdaml::ps {

Entry::Entry(std::string id, Environment& environment) : shared_(std::move(id), environment) {
  touch();
}

bool Entry::has_model() const {
  const Lock lock(shared_.mutex);
  return model_.is_declared();
}

std::uint64_t Entry::model_length() const {
  const Lock lock(shared_.mutex);
  return vector_.size();
}

double Entry::idle_s() const {
  const TimePoint::duration since(time_now().time_since_epoch().count() - touched_);
  return std::chrono::duration<double>(since).count();
}

void Entry::declare(std::uint64_t length, std::uint32_t workers, const Rule& rule, bool zeros) {
  touch();
  const Lock lock(shared_.mutex);
  // Threads use a vector without the lock, so an existing one is never replaced.
  if (!model_.is_declared() && (vector_.exists() || !rounds_.empty() || !newest_.empty()))
    fail(Code::already_exists,
         "'{}' holds sums that workers push to; delete it first, or take another id",
         printable(id()));
  model_.declare(length, workers, rule, zeros);
}

bool Entry::takes_registration(std::uint64_t length, std::uint32_t workers,
                               const std::shared_ptr<const Caller>& caller) {
  const Lock lock(shared_.mutex);
  // Models that are moved by a rule, and sums, belong to clients that can delete them.
  if (!model_.is_declared() || vector_.rule() != Rule{}) return true;
  return length == vector_.size() && workers == shared_.workers && rounds_.empty() &&
         model_.is_new_for(caller);
}

std::uint32_t Entry::workers() const {
  const Lock lock(shared_.mutex);
  return shared_.workers;
}

void Entry::remove(const char* how) {
  {
    const Lock lock(shared_.mutex);
    if (model_.is_declared() && vector_.pushes % shared_.workers == 0)
      *last_turn_ = static_cast<std::int64_t>(vector_.pushes / shared_.workers);
  }
  shared_.remove(how);
}

Answer Entry::push_pull(Request request, Deadline deadline) {
  touch();
  switch (request.part.kind) {
    case Kind::round:
      return rounds_.push_pull(std::move(request), deadline);
    case Kind::running:
      return running_.push_pull(std::move(request), deadline);
    case Kind::newest:
      return newest_.push_pull(std::move(request));
    case Kind::result:
      return rounds_.put_back(std::move(request));
  }
  fail(Code::internal, "'{}': a request of no kind", printable(id()));
}

std::shared_ptr<const Result> Entry::pull(std::int64_t n, std::int64_t worker,
                                          const std::shared_ptr<const Caller>& caller) {
  touch();
  return model_.pull(n, worker, caller);
}

void Entry::push(double rate, Buffer doubles, Charge charge, std::int64_t n, std::int64_t worker) {
  touch();
  model_.push(rate, std::move(doubles), std::move(charge), n, worker);
}

}  // namespace lambdaml::ps
