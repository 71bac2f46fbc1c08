#include "lambdaml/comm/communicator.h"

#include <algorithm>

#include <fmt/format.h>

#include "lambdaml/base/text.h"

namespace lambdaml::comm {
namespace {

/// The messages of a round are kept together if they have at most so many bytes in all.
constexpr std::size_t kTogetherBytes = 1 << 20;

}  // namespace

Communicator::Communicator(Membership membership) : membership_(std::move(membership)) {
  if (membership_.workers == 0 || membership_.worker >= membership_.workers)
    fail(Code::invalid_argument, "worker {} of {} cannot take part in merges", membership_.worker,
         membership_.workers);
  if (membership_.workers > 1 && !membership_.store)
    fail(Code::invalid_argument, "{} workers need a store to meet in", membership_.workers);
  if (!membership_.store) return;
  membership_.store->take_share(1.0 / membership_.workers);
  if (membership_.store->capabilities().keeps_together_by_braces)
    place_ = fmt::format("{{{:04x}}}", membership_.job & 0xffff);
}

std::string Communicator::placed(std::string key, std::size_t bytes) const {
  if (!place_.empty() && bytes <= kTogetherBytes / workers())
    key.insert(key.rfind('/') + 1, place_);
  return key;
}

std::size_t Communicator::merge(Vectors vectors, Meaning meaning) {
  const Stopwatch clock;
  const std::size_t merged = meets_nobody() ? 1 : merge_round(round_, vectors, meaning);
  ++round_;
  count(clock.seconds());
  return merged;
}

std::size_t Communicator::merge_and_step(Vectors vectors, ChunkStep& step) {
  const Stopwatch clock;
  std::size_t merged = 1;
  if (meets_nobody()) {
    std::vector<double> scalars(step.scalar_count());
    if (!scalars.empty()) step.measure(0, vectors.values, scalars);
    step.begin(scalars);
    const std::vector<float> sums(vectors.values.begin(), vectors.values.end());
    step.step(0, sums, vectors.values);
  } else {
    merged = step_round(round_, vectors, step);
  }
  round_ += step.scalar_count() > 0 ? 2 : 1;
  count(clock.seconds());
  return merged;
}

std::size_t Communicator::step_round(std::uint64_t, Vectors, ChunkStep&) {
  fail(Code::internal, "this pattern has no aggregators among the workers, which could step");
}

std::size_t Communicator::finish(Vectors vectors, Meaning meaning) {
  const Stopwatch clock;
  if (meaning == Meaning::increment) {
    std::ranges::fill(vectors.values, 0.0F);
    std::ranges::fill(vectors.totals, 0.0);
  }
  const std::size_t alone = meaning == Meaning::state ? 1 : 0;
  const std::size_t merged = meets_nobody() ? alone : finish_rounds(vectors, meaning);
  if (meaning == Meaning::state) ++round_;
  count(clock.seconds());
  return merged;
}

std::size_t Communicator::finish_rounds(Vectors vectors, Meaning meaning) {
  return meaning == Meaning::state ? merge_round(round_, vectors, meaning) : 0;
}

void Communicator::retire(std::uint64_t) {}

void Communicator::restore(std::span<const double> snapshot) {
  if (!snapshot.empty())
    fail(Code::data_corrupt, "a checkpoint holds {} sums of another sync mode", snapshot.size());
}

void Communicator::restore_residual(std::span<const float> residual) {
  if (!residual.empty())
    fail(Code::data_corrupt, "a checkpoint holds {} held-back values of another sync mode",
         residual.size());
}

Deadline Communicator::wait_deadline() const {
  return membership_.deadline.earlier(Deadline::in(membership_.patience_s));
}

void Communicator::fail_silent(const std::string& round,
                               const std::vector<std::uint32_t>& silent) const {
  std::vector<std::string> names;
  for (const std::uint32_t worker : silent) names.push_back(std::to_string(worker));
  fail(Code::deadline_exceeded, "{}: no word from {} {} within {}{}", round,
       silent.size() == 1 ? "worker" : "workers", join(names, ", "),
       human_seconds(membership_.patience_s),
       membership_.deadline.passed() ? ", and the function's time is over" : "");
}

}  // namespace lambdaml::comm
