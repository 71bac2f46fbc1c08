#include "lambdaml/comm/summed.h"

#include <algorithm>

#include "lambdaml/base/error.h"

namespace lambdaml::comm {

using Kind = storage::SumRequest::Kind;

Summed::Summed(Membership membership, bool bulk_synchronous)
    : Communicator(std::move(membership)), bulk_synchronous_(bulk_synchronous) {}

void Summed::retire(std::uint64_t round) { retired_ = std::max(retired_, round); }

std::size_t Summed::ask(storage::SumRequest request, Vectors v) {
  request.worker = worker();
  request.workers = workers();
  request.retired = retired_;
  const std::string key = fmt::format("sums/{:016x}/{}", membership().job, request.key);
  request.key = key;
  try {
    return store().sum(request, v.totals, v.values, wait_deadline());
  } catch (const storage::MissingWorkers& missing) {
    fail_silent(fmt::format("round {}", request.round), missing.workers());
  }
}

std::size_t Summed::merge_round(std::uint64_t round, Vectors v, Meaning meaning) {
  if (bulk_synchronous_) return ask({.key = "rounds", .kind = Kind::round, .round = round}, v);
  if (meaning == Meaning::increment) return merge_increments(round, v, false);
  const std::string key = fmt::format("state-{}-{}", v.totals.size(), v.values.size());
  return ask({.key = key, .kind = Kind::newest, .round = round}, v);
}

std::size_t Summed::finish_rounds(Vectors v) {
  return bulk_synchronous_ ? 0 : merge_increments(round(), v, true);
}

Summed::Given& Summed::given_of(const Sizes& sizes) {
  Given& given = given_[sizes];
  given.totals.resize(sizes.first);
  given.values.resize(sizes.second);
  return given;
}

std::size_t Summed::merge_increments(std::uint64_t round, Vectors v, bool last) {
  Given& given = given_of({v.totals.size(), v.values.size()});
  const std::string key = fmt::format("increments-{}-{}", v.totals.size(), v.values.size());
  storage::SumRequest request{.key = key, .kind = Kind::running, .round = round, .last = last};
  if (membership().staleness) request.staleness = *membership().staleness;
  const std::size_t all = ask(request, v);
  for (std::size_t i = 0; i < v.totals.size(); ++i) {
    const double sum = v.totals[i];
    v.totals[i] = sum - std::exchange(given.totals[i], sum);
  }
  for (std::size_t i = 0; i < v.values.size(); ++i) {
    const float sum = v.values[i];
    v.values[i] = sum - std::exchange(given.values[i], sum);
  }
  // A server that started again may have lost some.
  const std::uint64_t before = std::exchange(given.count, all);
  return all > before ? all - before : 0;
}

std::vector<double> Summed::snapshot() const {
  std::vector<double> out;
  for (const auto& [sizes, given] : given_) {
    out.insert(out.end(), {static_cast<double>(sizes.first), static_cast<double>(sizes.second),
                           static_cast<double>(given.count)});
    out.insert(out.end(), given.totals.begin(), given.totals.end());
    out.insert(out.end(), given.values.begin(), given.values.end());
  }
  return out;
}

void Summed::restore(std::span<const double> snapshot) {
  std::map<Sizes, Given> all;
  const auto take = [&](std::size_t n) {
    if (n > snapshot.size())
      fail(Code::data_corrupt, "a checkpoint's sums of a parameter server do not add up");
    const std::span<const double> out = snapshot.first(n);
    snapshot = snapshot.subspan(n);
    return out;
  };
  const auto take_count = [&] {
    const double number = take(1).front();
    if (!(number >= 0 && number <= 0x1p53))
      fail(Code::data_corrupt, "a checkpoint's sums of a parameter server do not add up");
    return static_cast<std::uint64_t>(number);
  };
  while (!snapshot.empty()) {
    const std::uint64_t totals = take_count();
    const std::uint64_t values = take_count();
    Given given;
    given.count = take_count();
    const auto doubles = take(totals);
    given.totals.assign(doubles.begin(), doubles.end());
    for (const double value : take(values)) given.values.push_back(static_cast<float>(value));
    all.insert_or_assign({totals, values}, std::move(given));
  }
  given_ = std::move(all);
}

}  // namespace lambdaml::comm
