#include "paper/original.h"

#include <algorithm>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <vector>

#include <fmt/core.h>

#include "lambdaml/base/bytes.h"
#include "lambdaml/base/wait.h"
#include "lambdaml/sim/world.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::paper {
namespace {

constexpr double kPoll_s = 0.1;
constexpr const char* kFolder = "original";
/// Numbers of a chunk of a simulated vector.
constexpr std::size_t kChunk = 2;

using Vector = std::vector<float>;

class Worker {
 public:
  Worker(const std::string& store, std::uint32_t rank, std::uint32_t workers)
      : store_(storage::open(fmt::format("sim://{}/{}", store, kFolder))),
        values_(sim::World::current()->store(store)->values()),
        rank_(rank),
        workers_(workers) {}

  Vector reduce(Vector vector) {
    save(fmt::format("tmp/{}", rank_), vector);
    if (rank_ != 0) return wait_for("merged");
    Vector sum(vector.size());
    for (std::uint32_t found = 0; found < workers_;) {
      std::vector<std::string> listed = list("tmp/");
      for (const std::string& key : listed) add(load(key), sum);
      found += static_cast<std::uint32_t>(listed.size());
      // One request, as the bulk removal of S3 is.
      if (!listed.empty()) remove_together(listed);
    }
    save("merged", sum);
    return sum;
  }

  Vector reduce_scatter(const Vector& vector) {
    for (std::uint32_t chunk = 0; chunk < workers_; ++chunk)
      if (chunk != rank_) save(fmt::format("tmp/{}/{}", chunk, rank_), part(vector, chunk));
    Vector sum = part(vector, rank_);
    take_all(fmt::format("tmp/{}/", rank_),
             [&](const std::string&, const Vector& other) { add(other, sum); });
    save(fmt::format("merged/{}", rank_), sum);
    Vector out(vector.size());
    const auto put = [&](std::uint32_t chunk, const Vector& values) {
      std::ranges::copy(values, out.begin() + static_cast<std::ptrdiff_t>(chunk * kChunk));
    };
    put(rank_, sum);
    take_all("merged/", [&](const std::string& key, const Vector& other) {
      put(static_cast<std::uint32_t>(std::stoul(key.substr(key.rfind('/') + 1))), other);
    });
    return out;
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
    for (const storage::Entry& entry : store_->list(prefix)) out.push_back(entry.key);
    return out;
  }
  /// In one request, as S3 does it.
  void remove_together(const std::vector<std::string>& keys) {
    store_->remove(keys.front());
    for (const std::string& key : keys) values_.erase(fmt::format("{}/{}", kFolder, key));
  }

  /// Lists what is below the prefix until values of all other workers were loaded.
  template <class Take>
  void take_all(const std::string& prefix, Take&& take) {
    std::vector<std::string> taken{prefix + std::to_string(rank_)};
    while (taken.size() < workers_)
      for (const std::string& key : list(prefix)) {
        if (std::ranges::find(taken, key) != taken.end()) continue;
        take(key, load(key));
        taken.push_back(key);
      }
  }
  static void add(const Vector& more, Vector& sum) {
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += more[i];
  }
  static Vector part(const Vector& vector, std::uint32_t chunk) {
    const auto begin = vector.begin() + static_cast<std::ptrdiff_t>(chunk * kChunk);
    return {begin, begin + kChunk};
  }

  std::shared_ptr<storage::Storage> store_;
  std::map<std::string, sim::StoreModel::Value, std::less<>>& values_;
  const std::uint32_t rank_, workers_;
};

}  // namespace

OriginalRound original_round(Protocol protocol, const plan::Round& round,
                             const sim::Profile& profile, const std::string& store,
                             double memory_mb) {
  const std::size_t values = kChunk * round.workers;
  sim::Simulation simulation(1);
  sim::World world(simulation, profile);
  world.byte_scale = round.bytes / static_cast<double>(values * sizeof(float));
  OriginalRound out;
  const auto work = [&](std::uint32_t rank) {
    Worker worker(store, rank, round.workers);
    Vector vector(values);
    std::iota(vector.begin(), vector.end(), static_cast<float>(rank));
    const Vector sum =
        protocol == Protocol::reduce ? worker.reduce(vector) : worker.reduce_scatter(vector);
    const float ranks =
        static_cast<float>(round.workers) * (static_cast<float>(round.workers) - 1) / 2;
    for (std::size_t i = 0; i < values; ++i)
      out.equal =
          out.equal && sum[i] == ranks + static_cast<float>(round.workers) * static_cast<float>(i);
    out.seconds = std::max(out.seconds, simulation.now_s());
  };
  for (std::uint32_t rank = 0; rank < round.workers; ++rank)
    simulation.start(fmt::format("worker-{}", rank), [&work, rank] { work(rank); })->annotation =
        world.new_network(memory_mb);
  simulation.run();
  const sim::Traffic& traffic = world.store(store)->traffic();
  out.puts = traffic.puts;
  out.gets = traffic.gets;
  out.lists = traffic.lists;
  return out;
}

}  // namespace lambdaml::paper
