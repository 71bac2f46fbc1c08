#include "paper/original.h"

#include <algorithm>
#include <memory>
#include <numeric>
#include <optional>
#include <vector>

#include <fmt/core.h>

#include "lambdaml/base/bytes.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/wait.h"
#include "lambdaml/sim/world.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::paper {
namespace {

constexpr double kPoll_s = 0.1;
/// Numbers of a chunk of a simulated vector: even, as a vector is cut into at most two values.
constexpr std::size_t kChunk = 2;
/// A request for a list brings no more keys, and the original makes one.
constexpr std::size_t kMostListed = 1000;
/// The first round, which has nothing to remove, is not counted.
constexpr std::uint32_t kRounds = 4;

using Vector = std::vector<float>;

class Worker {
 public:
  Worker(const std::string& store, std::uint32_t rank, const Merge& merge)
      : store_(storage::open(fmt::format("sim://{}/original", store))),
        rank_(rank),
        workers_(merge.workers),
        values_(merge.is_network ? 1 : 2),
        is_network_(merge.is_network) {}

  Vector reduce(const Vector& vector, std::uint32_t round) {
    const std::string merged = fmt::format("merged/{}/", round);
    for (std::uint32_t i = 0; i < values_; ++i)
      save(fmt::format("tmp/{}/{}", i, rank_), value_of(vector, i));
    std::vector<Vector> sums(values_);
    if (rank_ != 0) {
      for (std::uint32_t i = 0; i < values_; ++i) sums[i] = wait_for(merged + std::to_string(i));
      return joined(sums);
    }
    for (std::uint32_t found = 0; found < values_ * workers_;)
      for (const std::string& key : list("tmp/")) {
        add(load(key), sums.at(number_at(key, 1)));
        store_->remove(key);
        ++found;
      }
    for (std::uint32_t i = 0; i < values_; ++i) save(merged + std::to_string(i), sums[i]);
    remove_before(round);
    return joined(sums);
  }

  Vector reduce_scatter(const Vector& vector, std::uint32_t round) {
    for (std::uint32_t chunk = 0; chunk < workers_; ++chunk)
      if (chunk != rank_) save(fmt::format("tmp/{}/{}", chunk, rank_), part(vector, chunk));
    std::vector<Vector> sums(workers_);
    sums[rank_] = part(vector, rank_);
    for (std::uint32_t found = 1; found < workers_;)
      for (const std::string& key : list("tmp/")) {
        if (number_at(key, 1) != rank_) continue;
        add(load(key), sums[rank_]);
        store_->remove(key);
        ++found;
      }
    save(fmt::format("merged/{}/{}", round, rank_), sums[rank_]);
    for (std::uint32_t found = 1; found < workers_;)
      for (const std::string& key : list("merged/")) {
        Vector& sum = sums.at(number_at(key, 2));
        if (number_at(key, 1) != round || !sum.empty()) continue;
        sum = load(key);
        ++found;
      }
    if (rank_ == 0 && is_network_) remove_before(round);
    return joined(sums);
  }

 private:
  void save(const std::string& key, const Vector& vector) {
    store_->save(key, as_bytes(std::string_view(reinterpret_cast<const char*>(vector.data()),
                                                vector.size() * sizeof(float))));
  }
  static Vector vector_of(const Buffer& value) {
    Vector out(value.size() / sizeof(float));
    std::copy_n(reinterpret_cast<const float*>(value.view().data()), out.size(), out.begin());
    return out;
  }
  Vector load(const std::string& key) { return vector_of(*store_->load(key)); }
  Vector wait_for(const std::string& key) {
    while (true) {
      if (const std::optional<Buffer> value = store_->load(key)) return vector_of(*value);
      pause_for(kPoll_s);
    }
  }
  std::vector<std::string> list(const std::string& prefix) {
    std::vector<std::string> out;
    for (const storage::Entry& entry : store_->list(prefix)) {
      if (out.size() == kMostListed) break;
      out.push_back(entry.key);
    }
    return out;
  }
  void remove_before(std::uint32_t round) {
    for (const std::string& key : list("merged/"))
      if (number_at(key, 1) < round) store_->remove(key);
  }
  /// Of a key such as `tmp/3/17`, whose part 1 is 3.
  static std::uint32_t number_at(const std::string& key, std::size_t part) {
    return static_cast<std::uint32_t>(std::stoul(split(key, '/').at(part)));
  }
  static void add(const Vector& more, Vector& sum) {
    sum.resize(more.size());
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += more[i];
  }
  static Vector part(const Vector& vector, std::uint32_t chunk) {
    const auto begin = vector.begin() + static_cast<std::ptrdiff_t>(chunk * kChunk);
    return {begin, begin + kChunk};
  }
  Vector value_of(const Vector& vector, std::uint32_t i) const {
    const auto size = static_cast<std::ptrdiff_t>(vector.size() / values_);
    return {vector.begin() + i * size, vector.begin() + (i + 1) * size};
  }
  static Vector joined(const std::vector<Vector>& parts) {
    Vector out;
    for (const Vector& one : parts) out.insert(out.end(), one.begin(), one.end());
    return out;
  }

  const std::shared_ptr<storage::Storage> store_;
  const std::uint32_t rank_, workers_, values_;
  const bool is_network_;
};

}  // namespace

OriginalRound original_round(Protocol protocol, const Merge& merge, const sim::Profile& profile,
                             const std::string& store, double memory_mb) {
  const std::size_t values = kChunk * merge.workers;
  sim::Simulation simulation(1);
  sim::World world(simulation, profile);
  world.byte_scale = merge.bytes / static_cast<double>(values * sizeof(float));
  OriginalRound out;
  std::vector<double> ends_s(kRounds);
  const auto work = [&](std::uint32_t rank) {
    Worker worker(store, rank, merge);
    Vector vector(values);
    std::iota(vector.begin(), vector.end(), static_cast<float>(rank));
    const auto p = static_cast<float>(merge.workers);
    for (std::uint32_t round = 0; round < kRounds; ++round) {
      const Vector sum = protocol == Protocol::reduce ? worker.reduce(vector, round)
                                                      : worker.reduce_scatter(vector, round);
      for (std::size_t i = 0; i < values; ++i)
        out.equal = out.equal && sum[i] == p * (p - 1) / 2 + p * static_cast<float>(i);
      ends_s[round] = std::max(ends_s[round], simulation.now_s());
    }
  };
  for (std::uint32_t rank = 0; rank < merge.workers; ++rank)
    simulation.start(fmt::format("worker-{}", rank), [&work, rank] { work(rank); })->annotation =
        world.new_network(memory_mb);
  simulation.run();
  const sim::Traffic& traffic = world.store(store)->traffic();
  const auto of_round = [](std::uint64_t all) { return static_cast<double>(all) / kRounds; };
  out.seconds = (ends_s.back() - ends_s.front()) / (kRounds - 1);
  out.puts = of_round(traffic.puts);
  out.gets = of_round(traffic.gets);
  out.lists = of_round(traffic.lists);
  out.removes = of_round(traffic.removes);
  return out;
}

}  // namespace lambdaml::paper
