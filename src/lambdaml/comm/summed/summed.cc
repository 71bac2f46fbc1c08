#include "lambdaml/comm/summed/summed.h"

#include <algorithm>
#include <array>

#include "lambdaml/base/error.h"
#include "lambdaml/base/option_sets.h"
#include "lambdaml/comm/registry.h"

namespace lambdaml::comm::summed {

using Kind = storage::SumRequest::Kind;

Summed::Summed(Membership given, bool bulk_synchronous)
    : Communicator(std::move(given)), bulk_synchronous_(bulk_synchronous) {
  // It replaces other patterns, so it accepts the options of those in this build.
  const Options& options = membership().options;
  if (is_changed(options, "compress"))
    fail(Code::invalid_argument, "compress: the channel {} adds up itself and takes plain numbers",
         store().describe());
  if (is_changed(options, "aggregators"))
    fail(Code::invalid_argument, "aggregators: the channel {} adds up itself, and is the only one",
         store().describe());
  if (is_changed(options, "staleness"))
    staleness_ = static_cast<std::uint32_t>(options.integer("staleness"));
}

void Summed::retire(std::uint64_t round) { retired_ = std::max(retired_, round); }

storage::SumAnswer Summed::ask(storage::SumRequest request, Vectors v) {
  request.worker = worker();
  request.workers = workers();
  request.retired = retired_;
  const std::string key = fmt::format("sums/{:016x}/{}", membership().job, request.key);
  request.key = key;
  try {
    return store().aggregator()->push_pull(request, v.totals, v.values, wait_deadline());
  } catch (const storage::MissingWorkers& missing) {
    fail_silent(fmt::format("round {}", request.round), missing.workers());
  }
}

std::size_t Summed::merge_round(std::uint64_t round, Vectors v, Meaning meaning) {
  if (bulk_synchronous_)
    return ask({.key = "rounds", .kind = Kind::round, .round = round}, v).merged;
  return meaning == Meaning::increment ? merge_increments(v, Contributes::contribution)
                                       : merge_states(round, v);
}

std::size_t Summed::merge_states(std::uint64_t round, Vectors v) {
  const std::string key = fmt::format("state-{}-{}", v.totals.size(), v.values.size());
  return ask({.key = key, .kind = Kind::newest, .round = round}, v).merged;
}

std::size_t Summed::finish_rounds(Vectors v, Meaning meaning) {
  if (bulk_synchronous_) return Communicator::finish_rounds(v, meaning);
  if (restored_) rejoin_sums();
  if (meaning == Meaning::increment) return merge_increments(v, Contributes::end);
  std::vector<float> values(v.values.begin(), v.values.end());
  std::vector<double> totals(v.totals.begin(), v.totals.end());
  merge_states(round(), {values, totals});
  merge_increments({}, Contributes::end);
  return merge_states(round() + 1, v);
}

/// The others may still be running, and may wait for what this worker contributed in an earlier
/// process.
void Summed::rejoin_sums() {
  for (const auto& [sizes, stream] : streams_) {
    std::vector<double> totals(sizes.first);
    std::vector<float> values(sizes.second);
    merge_increments({values, totals}, Contributes::nothing);
  }
}

std::size_t Summed::merge_increments(Vectors v, Contributes contributes) {
  Stream& stream = streams_[{v.totals.size(), v.values.size()}];
  stream.own_totals.resize(v.totals.size() + 1);
  stream.given_totals.resize(v.totals.size() + 1);
  stream.own_values.resize(v.values.size());
  stream.given_values.resize(v.values.size());
  const std::string key = fmt::format("increments-{}-{}", v.totals.size(), v.values.size());
  storage::SumRequest request{.key = key, .kind = Kind::running, .round = round()};
  request.last = contributes == Contributes::end;
  if (contributes != Contributes::nothing) request.staleness = staleness_;
  request.generation = stream.generation;

  std::vector<double> totals(v.totals.begin(), v.totals.end());
  totals.push_back(contributes == Contributes::contribution ? 1 : 0);
  if (contributes == Contributes::contribution) {
    for (std::size_t i = 0; i < totals.size(); ++i) stream.own_totals[i] += totals[i];
    for (std::size_t i = 0; i < v.values.size(); ++i) stream.own_values[i] += v.values[i];
  }
  storage::SumAnswer answer = ask(request, {v.values, totals});
  if (stream.generation != 0 && answer.generation != stream.generation) {
    // Start again: contribute everything so far in one piece, and continue from the sum only when
    // the others have done so too.
    request.generation = answer.generation;
    request.last = false;
    if (contributes != Contributes::nothing) request.staleness = 0;
    totals = stream.own_totals;
    std::ranges::copy(stream.own_values, v.values.begin());
    answer = ask(request, {v.values, totals});
    if (contributes == Contributes::end) {
      request.last = true;
      answer = ask(request, {v.values, totals});
    }
  }
  stream.generation = answer.generation;
  if (contributes == Contributes::nothing) return 0;
  for (std::size_t i = 0; i < v.totals.size(); ++i)
    v.totals[i] = totals[i] - std::exchange(stream.given_totals[i], totals[i]);
  for (std::size_t i = 0; i < v.values.size(); ++i) {
    const float sum = v.values[i];
    v.values[i] = sum - std::exchange(stream.given_values[i], sum);
  }
  // A server restored from a snapshot may have fewer contributions than before.
  const double before = std::exchange(stream.given_totals.back(), totals.back());
  return static_cast<std::size_t>(std::max(0.0, totals.back() - before));
}

std::vector<double> Summed::snapshot() const {
  std::vector<double> out;
  const auto append = [&](const auto& all) { out.insert(out.end(), all.begin(), all.end()); };
  for (const auto& [sizes, stream] : streams_) {
    append(std::array{static_cast<double>(sizes.first), static_cast<double>(sizes.second),
                      static_cast<double>(stream.generation)});
    append(stream.own_totals);
    append(stream.own_values);
    append(stream.given_totals);
    append(stream.given_values);
  }
  return out;
}

void Summed::restore(std::span<const double> snapshot) {
  std::map<Sizes, Stream> all;
  const auto check = [](bool fits) {
    if (!fits) fail(Code::data_corrupt, "a checkpoint's sums of a parameter server do not add up");
  };
  const auto take = [&](std::uint64_t n) {
    check(n <= snapshot.size());
    const std::span<const double> out = snapshot.first(n);
    snapshot = snapshot.subspan(n);
    return out;
  };
  const auto take_count = [&] {
    const double number = take(1).front();
    check(number >= 0 && number <= 0x1p53);
    return static_cast<std::uint64_t>(number);
  };
  while (!snapshot.empty()) {
    const std::uint64_t totals = take_count();
    const std::uint64_t values = take_count();
    Stream stream;
    stream.generation = take_count();
    for (const bool own : {true, false}) {
      const auto doubles = take(totals + 1);
      (own ? stream.own_totals : stream.given_totals).assign(doubles.begin(), doubles.end());
      for (const double value : take(values))
        (own ? stream.own_values : stream.given_values).push_back(static_cast<float>(value));
    }
    all.insert_or_assign({totals, values}, std::move(stream));
  }
  streams_ = std::move(all);
  restored_ = true;
}

void register_plugin(Registry& registry) {
  registry.set_aggregated(
      {.make =
           [](Membership membership, bool bulk_synchronous) {
             return std::make_unique<Summed>(std::move(membership), bulk_synchronous);
           },
       // However many workers there are: the store's answer and the last sum, which is kept for a
       // store that has lost it; or the answer and a Stream.
       .bytes_needed = [](const MergeSizes& sizes, bool bulk_synchronous) -> std::uint64_t {
         return sizes.bytes() * (bulk_synchronous ? 2 : 3);
       }});
}

}  // namespace lambdaml::comm::summed
