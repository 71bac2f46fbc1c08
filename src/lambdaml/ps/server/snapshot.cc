// An entry in its file: its workers, sums and vector, in the order of writing.
#include "lambdaml/ps/server/entry.h"
#include "lambdaml/ps/server/moving.h"

namespace lambdaml::ps {
namespace {

/// Entry::Turns in a file.
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
  Lock lock(mutex_);
  const Freeze freeze(*this, lock);
  out.put(id_);
  out.put(workers_);
  for (const Turns& turns : turns_)
    out.put(TurnsInFile{turns.next_push, turns.next_pull, turns.pushes, turns.retired,
                        turns.finished ? 1U : 0U});
  out.put(dropped_before_);
  save_sums(out);
  out.put(is_model_);
  out.put(rule_.learning_rate.has_value());
  out.put(rule_.learning_rate.value_or(0));
  out.put(rule_.momentum);
  out.put(rule_.l2);
  out.put(Bytes(std::as_bytes(std::span(rule_.penalized))));
  out.put(shards_ != nullptr);
  out.put(model_);
  out.put(velocity_);
  out.put(totals_);
  out.put(pushes_);
  out.put(pulls_);
  out.put(generation_);
}

void Entry::save_sums(Writer& out) const {
  constexpr std::size_t kBytesOfResults = 64 << 20;
  constexpr std::size_t kFewestResults = 2;
  // The newest results: whoever waits for an older one has a checkpoint behind it as well.
  std::vector<std::pair<std::uint64_t, const Result*>> kept;
  std::size_t bytes = 0;
  for (auto at = results_.rbegin(); at != results_.rend(); ++at) {
    bytes += at->second->values.size();
    if (kept.size() >= kFewestResults && bytes > kBytesOfResults) break;
    kept.emplace_back(at->first, at->second.get());
  }
  out.put(static_cast<std::uint64_t>(kept.size()));
  for (const auto& [round, result] : kept) put_result(out, round, *result);
  out.put(static_cast<std::uint64_t>(newest_.size()));
  for (const Newest& newest : newest_) {
    out.put(newest.result != nullptr);
    if (newest.result) put_result(out, newest.round, *newest.result);
  }
}

std::shared_ptr<Entry> Entry::load(Reader& in, Environment& environment) {
  auto entry = std::make_shared<Entry>(in.get_text(), environment);
  const auto workers = in.get<std::uint32_t>();
  require(workers <= kMostWorkers, "it has too many workers");
  if (workers != 0) entry->set_workers(workers);
  for (Turns& turns : entry->turns_) {
    const auto file = in.get<TurnsInFile>();
    turns = {file.next_push, file.next_pull, file.pushes, file.retired,
             (file.finished & 0xff) != 0};
  }
  entry->dropped_before_ = in.get<std::uint64_t>();
  entry->load_sums(in);
  entry->load_vector(in);
  require(in.empty(), "it goes on after its end");
  return entry;
}

void Entry::load_sums(Reader& in) {
  for (auto n = in.get<std::uint64_t>(); n > 0; --n) {
    const auto round = in.get<std::uint64_t>();
    results_[round] = get_result(in, environment_.budget);
  }
  const auto newest = in.get<std::uint64_t>();
  require(newest <= workers_, "more pushes than workers");
  newest_.resize(newest);
  const Result* first = nullptr;
  for (Newest& one : newest_) {
    if (!get_flag(in)) continue;
    one.round = in.get<std::uint64_t>();
    one.result = get_result(in, environment_.budget);
    if (first == nullptr) first = one.result.get();
    require(one.result->values.size() == first->values.size() &&
                one.result->totals.size() == first->totals.size(),
            "pushes of several lengths");
  }
}

void Entry::load_vector(Reader& in) {
  const bool is_model = get_flag(in);
  Rule rule;
  const bool descends = get_flag(in);
  const auto learning_rate = in.get<double>();
  if (descends) rule.learning_rate = learning_rate;
  rule.momentum = in.get<double>();
  rule.l2 = in.get<double>();
  rule.penalized = in.get_vector<Rule::Range>();
  const bool has_vector = get_flag(in);
  std::vector<float> model = in.get_vector<float>();
  std::vector<float> velocity = in.get_vector<float>();
  require(has_vector ? workers_ != 0 : !is_model && model.empty(), "a model without a vector");
  require(velocity.size() == (rule.momentum == 0 ? 0 : model.size()),
          "a velocity of another length than the model");
  for (const auto& [begin, end] : rule.penalized)
    require(begin <= end && end <= model.size(), "penalized ranges beyond the model");
  for (const auto& [round, result] : results_)
    require(!is_model || result->length() == model.size(),
            "a sum of another length than the model");
  if (has_vector) make_model(model.size(), rule);
  model_.swap(model);
  velocity_.swap(velocity);
  is_model_ = is_model;
  totals_ = in.get_vector<double>();
  totals_charge_ = Charge(environment_.budget, totals_.size() * sizeof(double));
  pushes_ = in.get<std::uint64_t>();
  pulls_ = in.get<std::uint64_t>();
  generation_ = in.get<std::uint64_t>();
}

}  // namespace lambdaml::ps
