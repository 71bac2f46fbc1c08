#include "lambdaml/ps/server/newest_sums.h"

namespace lambdaml::ps {

Answer NewestSums::push_pull(Request request) {
  const Part& part = request.part;
  Stats& stats = shared_.environment.stats;
  std::shared_ptr<const Result> mine;
  if (request.push) mine = std::move(*request.push).whole(shared_.environment.budget);
  stats.pushes += mine ? 1 : 0;
  const std::vector<std::shared_ptr<const Result>> all = replace(part, std::move(mine));
  if (all.empty()) return {.result = nullptr, .resend = true};
  ++stats.pulls;
  std::vector<const Result*> parts;
  for (const auto& one : all) parts.push_back(one.get());
  return {sum_of(shared_, parts, false), parts.size()};
}

std::vector<std::shared_ptr<const Result>> NewestSums::replace(const Part& part,
                                                               std::shared_ptr<const Result> mine) {
  const Lock lock(shared_.mutex);
  shared_.set_workers(part.workers);
  shared_.check_worker(part.worker);
  newest_.resize(shared_.workers);
  Newest& own = newest_[part.worker];
  std::vector<std::shared_ptr<const Result>> all;
  if (!mine && !own.result) return all;
  for (const Newest& other : newest_)
    if (mine && other.result &&
        (other.result->values.size() != mine->values.size() ||
         other.result->totals.size() != mine->totals.size()))
      fail(Code::invalid_argument, "'{}': worker {} pushes {} values, others {}",
           printable(shared_.id), part.worker, mine->length(), other.result->length());
  all.reserve(shared_.workers);
  if (mine && (!own.result || part.round >= own.round)) {
    own = {part.round, std::move(mine)};
    ++shared_.version;
  }
  for (const Newest& other : newest_)
    if (other.result) all.push_back(other.result);
  return all;
}

}  // namespace lambdaml::ps
