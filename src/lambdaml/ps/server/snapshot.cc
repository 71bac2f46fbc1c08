// An entry's file format: its workers, sums and vector, in the order of writing. What each part of
// the entry writes is defined here together because it is one format.
#include "lambdaml/ps/server/entry.h"

namespace lambdaml::ps {
namespace {

/// Turns as stored in a file.
struct TurnsInFile {
  std::uint64_t next_push = 0, next_pull = 0, pushes = 0, retired = 0;
  std::uint64_t finished = 0;  ///< its lowest byte, as older servers left the others as they were
};

void require(bool holds, const char* otherwise) {
  if (!holds) fail(Code::data_corrupt, "{}", otherwise);
}

bool get_flag(Reader& in) { return in.get<std::uint8_t>() != 0; }

void put_result(Writer& out, std::uint64_t round, const Result& result) {
  out.put(round);
  out.put(result.totals.view());
  out.put(result.values.view());
}

std::shared_ptr<Result> get_result(Reader& in, Budget& budget) {
  auto result = std::make_shared<Result>();
  result->totals = Buffer(in.get_bytes());
  result->values = Buffer(in.get_bytes());
  require(result->totals.size() % sizeof(double) == 0 && result->values.size() % sizeof(float) == 0,
          "a sum is cut");
  result->charge = Charge(budget, Result::bytes(result->doubles().size(), result->length()));
  return result;
}

}  // namespace

void Entry::save(Writer& out) {
  Lock lock(shared_.mutex);
  const Freeze freeze(shared_, lock);
  shared_.save(out);
  rounds_.save(out);
  newest_.save(out);
  out.put(model_.is_declared());
  vector_.save_values(out);
  running_.save(out);
  vector_.save_counts(out);
}

std::shared_ptr<Entry> Entry::load(Reader& in, Environment& environment) {
  auto entry = std::make_shared<Entry>(in.get_text(), environment);
  entry->shared_.load(in);
  entry->rounds_.load(in);
  entry->newest_.load(in);
  const bool is_model = get_flag(in);
  entry->model_.set_declared(is_model);
  entry->vector_.load_values(in, is_model);
  if (is_model) entry->rounds_.require_length(entry->vector_.size());
  entry->running_.load(in);
  entry->vector_.load_counts(in);
  require(in.empty(), "it has data after its end");
  return entry;
}

void Shared::save(Writer& out) const {
  out.put(id);
  out.put(workers);
  for (const Turns& one : turns)
    out.put(
        TurnsInFile{one.next_push, one.next_pull, one.pushes, one.retired, one.finished ? 1U : 0U});
}

/// What follows the id.
void Shared::load(Reader& in) {
  const auto count = in.get<std::uint32_t>();
  require(count <= kMostWorkers, "it has too many workers");
  if (count != 0) set_workers(count);
  for (Turns& one : turns) {
    const auto file = in.get<TurnsInFile>();
    one = {file.next_push, file.next_pull, file.pushes, file.retired, (file.finished & 0xff) != 0};
    if (one.next_pull > 0) one.puller.emplace();  // No connection outlives its server.
  }
}

void RoundSums::save(Writer& out) const {
  constexpr std::size_t kBytesOfResults = 64 << 20;
  constexpr std::size_t kFewestResults = 2;
  out.put(dropped_before_);
  // Keeps only the newest results: a worker that waits for an older one also has a checkpoint to
  // resume from.
  std::vector<std::pair<std::uint64_t, const Result*>> kept;
  std::size_t bytes = 0;
  for (auto at = results_.rbegin(); at != results_.rend(); ++at) {
    bytes += at->second->values.size();
    if (kept.size() >= kFewestResults && bytes > kBytesOfResults) break;
    kept.emplace_back(at->first, at->second.get());
  }
  out.put(static_cast<std::uint64_t>(kept.size()));
  for (const auto& [round, result] : kept) put_result(out, round, *result);
}

void RoundSums::load(Reader& in) {
  dropped_before_ = in.get<std::uint64_t>();
  for (auto n = in.get<std::uint64_t>(); n > 0; --n) {
    const auto round = in.get<std::uint64_t>();
    results_[round] = get_result(in, shared_.environment.budget);
  }
}

void RoundSums::require_length(std::uint64_t length) const {
  for (const auto& [round, result] : results_)
    require(result->length() == length, "a sum of another length than the model");
}

void NewestSums::save(Writer& out) const {
  out.put(static_cast<std::uint64_t>(newest_.size()));
  for (const Newest& newest : newest_) {
    out.put(newest.result != nullptr);
    if (newest.result) put_result(out, newest.round, *newest.result);
  }
}

void NewestSums::load(Reader& in) {
  const auto newest = in.get<std::uint64_t>();
  require(newest <= shared_.workers, "more pushes than workers");
  newest_.resize(newest);
  const Result* first = nullptr;
  for (Newest& one : newest_) {
    if (!get_flag(in)) continue;
    one.round = in.get<std::uint64_t>();
    one.result = get_result(in, shared_.environment.budget);
    if (first == nullptr) first = one.result.get();
    require(one.result->values.size() == first->values.size() &&
                one.result->totals.size() == first->totals.size(),
            "pushes of several lengths");
  }
}

void MovedVector::save_values(Writer& out) const {
  out.put(rule_.learning_rate.has_value());
  out.put(rule_.learning_rate.value_or(0));
  out.put(rule_.momentum);
  out.put(rule_.l2);
  out.put(Bytes(std::as_bytes(std::span(rule_.penalized))));
  out.put(exists());
  out.put(values_);
  out.put(velocity_);
}

void MovedVector::load_values(Reader& in, bool is_model) {
  Rule rule;
  const bool descends = get_flag(in);
  const auto learning_rate = in.get<double>();
  if (descends) rule.learning_rate = learning_rate;
  rule.momentum = in.get<double>();
  rule.l2 = in.get<double>();
  rule.penalized = in.get_vector<Rule::Range>();
  const bool has_vector = get_flag(in);
  std::vector<float> values = in.get_vector<float>();
  std::vector<float> velocity = in.get_vector<float>();
  require(has_vector ? shared_.workers != 0 : !is_model && values.empty(),
          "a model without a vector");
  require(velocity.size() == (rule.momentum == 0 ? 0 : values.size()),
          "a velocity of another length than the model");
  for (const auto& [begin, end] : rule.penalized)
    require(begin <= end && end <= values.size(), "penalized ranges beyond the model");
  if (has_vector) make(values.size(), rule);
  values_.swap(values);
  velocity_.swap(velocity);
}

void MovedVector::save_counts(Writer& out) const {
  out.put(pushes);
  out.put(pulls);
  out.put(generation_);
}

void MovedVector::load_counts(Reader& in) {
  pushes = in.get<std::uint64_t>();
  pulls = in.get<std::uint64_t>();
  generation_ = in.get<std::uint64_t>();
}

void RunningVector::save(Writer& out) const { out.put(totals_); }

void RunningVector::load(Reader& in) {
  totals_ = in.get_vector<double>();
  totals_charge_ = Charge(shared_.environment.budget, totals_.size() * sizeof(double));
}

}  // namespace lambdaml::ps
