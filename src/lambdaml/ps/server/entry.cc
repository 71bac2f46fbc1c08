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

std::shared_ptr<const Result> Entry::pull(std::int64_t n, std::int64_t worker) {
  touch();
  return model_.pull(n, worker);
}

void Entry::push(double rate, Buffer doubles, Charge charge, std::int64_t n, std::int64_t worker) {
  touch();
  model_.push(rate, std::move(doubles), std::move(charge), n, worker);
}

}  // namespace lambdaml::ps
