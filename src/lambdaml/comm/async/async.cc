#include <algorithm>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"
#include "lambdaml/comm/message.h"
#include "lambdaml/comm/registry.h"

namespace lambdaml::comm::async {
namespace {

/// Nobody waits and no update is lost. Every worker keeps the sum of all its contributions so far,
/// C_i, and publishes it under one key, written again each round. A merge reads everybody's newest
/// C_j and returns Σ_j C_j minus what it was given before. Differences telescope: whatever was
/// skipped, read twice or published again by a worker that started over from a checkpoint, in the
/// end each worker has been given Σ_j C_j, every contribution exactly once.
///
/// Sums are kept in double and published in float32: the rounding of one publication is undone by
/// the next, so it never adds up. Staleness: a merge sees of every other worker what it had
/// published when it was read; nothing bounds how many rounds that lies behind but the workers'
/// speeds.
///
/// Vectors of other sizes are other streams: an optimizer's increments and the metrics of an epoch
/// do not mix. 1 PUT and P − 1 GETs a round, no waiting; finish() waits once, for the last of all.
class Async final : public Communicator {
 public:
  using Communicator::Communicator;

  std::size_t finish(Vectors vectors) override {
    if (workers() == 1) return Communicator::finish(vectors);
    Stream& stream = increments_[sizes(vectors)];
    stream.resize(vectors);
    publish(final_key(vectors, worker()), stream, vectors, true);
    std::vector<std::string> keys;
    for (std::uint32_t i = 0; i < workers(); ++i) keys.push_back(final_key(vectors, i));
    std::vector<Buffer> all;
    try {
      all = store().load_all(keys, wait_deadline());
    } catch (const Error& error) {
      if (error.code() != Code::deadline_exceeded) throw;
      rethrow_with("waiting for the last contributions of asynchronous workers");
    }
    std::vector<double> sum(stream.given.size(), 0.0);
    for (std::uint32_t i = 0; i < workers(); ++i) add(all[i], keys[i], i, vectors, sum);
    give(stream, sum, vectors);
    return workers();
  }

  std::vector<double> snapshot() const override {
    std::vector<double> out;
    for (const auto& [size, stream] : increments_) {
      out.push_back(static_cast<double>(size.first));
      out.push_back(static_cast<double>(size.second));
      out.push_back(static_cast<double>(stream.count));
      out.insert(out.end(), stream.own.begin(), stream.own.end());
      out.insert(out.end(), stream.given.begin(), stream.given.end());
    }
    return out;
  }

  void restore(std::span<const double> snapshot) override {
    increments_.clear();
    while (!snapshot.empty()) {
      const auto bad = [] {
        fail(Code::data_corrupt, "checkpoint: the asynchronous workers' sums are damaged");
      };
      if (snapshot.size() < 3 || snapshot[0] < 0 || snapshot[1] < 0) bad();
      const double n = snapshot[0] + snapshot[1];
      if (n * 2 > static_cast<double>(snapshot.size() - 3)) bad();
      const auto numbers = static_cast<std::size_t>(n);
      Stream& stream = increments_[{static_cast<std::size_t>(snapshot[0]),
                                    static_cast<std::size_t>(snapshot[1])}];
      stream.count = static_cast<std::uint64_t>(snapshot[2]);
      const auto own = snapshot.subspan(3, numbers);
      const auto given = snapshot.subspan(3 + numbers, numbers);
      stream.own.assign(own.begin(), own.end());
      stream.given.assign(given.begin(), given.end());
      snapshot = snapshot.subspan(3 + 2 * numbers);
    }
  }

 private:
  using Kind = MessageHead::Kind;
  using Sizes = std::pair<std::size_t, std::size_t>;  ///< floats, totals

  /// Both vectors hold the floats, then the totals.
  struct Stream {
    std::vector<double> own;    ///< this worker's sum
    std::vector<double> given;  ///< what the optimizer has been given of all workers' sums
    std::uint64_t count = 0;    ///< contributions in `own`

    void resize(const Vectors& vectors) {
      own.resize(vectors.values.size() + vectors.totals.size());
      given.resize(own.size());
    }
  };

  static Sizes sizes(const Vectors& vectors) {
    return {vectors.values.size(), vectors.totals.size()};
  }
  static std::string stream_key(std::string_view what, const Vectors& vectors,
                                std::uint32_t worker) {
    return fmt::format("{}-{}x{}",
                       latest_key(what == "state" ? Kind::state : Kind::cumulative, worker),
                       vectors.values.size(), vectors.totals.size()) +
           (what == "final" ? "-final" : "");
  }
  static std::string final_key(const Vectors& vectors, std::uint32_t worker) {
    return stream_key("final", vectors, worker);
  }

  MessageHead head(Kind kind, std::uint64_t count, bool last) const {
    return {
        .kind = kind, .job = membership().job, .round = count, .worker = worker(), .last = last};
  }

  std::size_t merge_round(std::uint64_t round, Vectors vectors, Meaning meaning) override {
    if (workers() == 1) return 1;
    return meaning == Meaning::increment ? merge_increment(vectors) : merge_state(round, vectors);
  }

  std::size_t merge_increment(Vectors vectors) {
    Stream& stream = increments_[sizes(vectors)];
    stream.resize(vectors);
    const std::size_t n = vectors.values.size();
    for (std::size_t i = 0; i < n; ++i) stream.own[i] += vectors.values[i];
    for (std::size_t i = 0; i < vectors.totals.size(); ++i) stream.own[n + i] += vectors.totals[i];
    ++stream.count;
    const Buffer own = publish(stream_key("sum", vectors, worker()), stream, vectors, false);
    std::vector<double> sum(stream.own.size(), 0.0);
    std::size_t present = 0;
    for (std::uint32_t i = 0; i < workers(); ++i) {
      const std::string key = stream_key("sum", vectors, i);
      // Its own goes through the same rounding as the others read it in.
      const std::optional<Buffer> latest =
          i == worker() ? std::optional(Buffer(own.view())) : store().load(key);
      if (!latest) continue;
      add(*latest, key, i, vectors, sum);
      ++present;
    }
    give(stream, sum, vectors);
    return present;
  }

  std::size_t merge_state(std::uint64_t round, Vectors vectors) {
    const Buffer own = encode(head(Kind::state, round, false), vectors.totals, vectors.values);
    store().save(stream_key("state", vectors, worker()), own);
    std::vector<double> sum(vectors.values.size() + vectors.totals.size(), 0.0);
    std::size_t present = 0;
    for (std::uint32_t i = 0; i < workers(); ++i) {
      const std::string key = stream_key("state", vectors, i);
      const std::optional<Buffer> latest =
          i == worker() ? std::optional(Buffer(own.view())) : store().load(key);
      if (!latest) continue;
      add(*latest, key, i, vectors, sum);
      ++present;
    }
    for (std::size_t i = 0; i < vectors.values.size(); ++i)
      vectors.values[i] = static_cast<float>(sum[i]);
    for (std::size_t i = 0; i < vectors.totals.size(); ++i)
      vectors.totals[i] = sum[vectors.values.size() + i];
    return present;
  }

  Buffer publish(const std::string& key, const Stream& stream, const Vectors& vectors, bool last) {
    const std::size_t n = vectors.values.size();
    const std::vector<float> values(stream.own.begin(),
                                    stream.own.begin() + static_cast<std::ptrdiff_t>(n));
    Buffer message = encode(head(Kind::cumulative, stream.count, last),
                            std::span(stream.own).subspan(n), values);
    store().save(key, message);
    return message;
  }

  void add(const Buffer& bytes, const std::string& key, std::uint32_t from, const Vectors& vectors,
           std::vector<double>& sum) const {
    const Message message = decode(bytes, key);
    if (message.head.job != membership().job || message.head.worker != from ||
        message.values.size() != vectors.values.size() ||
        message.totals.size() != vectors.totals.size())
      fail(Code::data_corrupt, "message {}: it is not worker {}'s of this job and size", key, from);
    for (std::size_t i = 0; i < message.values.size(); ++i) sum[i] += message.values[i];
    for (std::size_t i = 0; i < message.totals.size(); ++i)
      sum[message.values.size() + i] += message.totals[i];
  }

  static void give(Stream& stream, const std::vector<double>& sum, Vectors vectors) {
    const std::size_t n = vectors.values.size();
    for (std::size_t i = 0; i < n; ++i)
      vectors.values[i] = static_cast<float>(sum[i] - stream.given[i]);
    for (std::size_t i = 0; i < vectors.totals.size(); ++i)
      vectors.totals[i] = sum[n + i] - stream.given[n + i];
    stream.given = sum;
  }

  std::map<Sizes, Stream> increments_;
};

}  // namespace

void register_plugin(Registry& registry) {
  registry.add({.name = "async",
                .help = "waits for nobody; every update counts once",
                .bulk_synchronous = false,
                .make = [](Membership membership) {
                  return std::make_unique<Async>(std::move(membership));
                }});
}

}  // namespace lambdaml::comm::async
