#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <mutex>
#include <numeric>
#include <span>
#include <thread>

#include <sys/wait.h>
#include <unistd.h>

#include "lambdaml/base/files.h"
#include "lambdaml/base/rng.h"
#include "lambdaml/comm/registry.h"
#include "lambdaml/comm/testing/conformance.h"
#include "lambdaml/storage/testing/faults.h"

namespace lambdaml::comm {

Options options_with(const std::map<std::string, std::string>& values) {
  Options options = pattern_options();
  for (const auto& [name, value] : values) options.parse(name, value, "test");
  return options;
}

Numbers& Numbers::operator+=(const Numbers& other) {
  for (std::size_t i = 0; i < values.size(); ++i) values[i] += other.values[i];
  for (std::size_t i = 0; i < totals.size(); ++i) totals[i] += other.totals[i];
  return *this;
}

bool Numbers::same_bits(const Numbers& other) const {
  return std::ranges::equal(std::as_bytes(std::span(values)),
                            std::as_bytes(std::span(other.values))) &&
         std::ranges::equal(std::as_bytes(std::span(totals)),
                            std::as_bytes(std::span(other.totals)));
}

Numbers contribution(std::uint64_t round, std::uint32_t worker, std::size_t n) {
  Rng rng(mix({round, worker, n}));
  Numbers out;
  for (std::size_t i = 0; i < n; ++i)
    out.values.push_back(
        static_cast<float>(std::ldexp(rng.uniform(-1, 1), static_cast<int>(rng.below(30)) - 15)));
  for (std::size_t i = 0; i < kTotals; ++i)
    out.totals.push_back(std::ldexp(rng.uniform(-1, 1), static_cast<int>(rng.below(60)) - 30));
  return out;
}

Numbers ordered_sum(std::uint64_t round, std::uint32_t workers, std::size_t n) {
  Numbers sum = contribution(round, 0, n);
  for (std::uint32_t w = 1; w < workers; ++w) sum += contribution(round, w, n);
  return sum;
}

Numbers whole_contribution(std::uint64_t round, std::uint32_t worker, std::size_t n) {
  Rng rng(mix({round, worker}));
  Numbers out;
  for (std::size_t i = 0; i < n; ++i) out.values.push_back(static_cast<float>(rng.below(100)));
  for (std::size_t i = 0; i < kTotals; ++i)
    out.totals.push_back(static_cast<double>(rng.below(1'000'000)));
  return out;
}

Numbers whole_sum(const std::vector<std::uint64_t>& rounds, std::size_t n) {
  Numbers sum{std::vector<float>(n), std::vector<double>(kTotals)};
  for (std::uint32_t w = 0; w < rounds.size(); ++w)
    for (std::uint64_t round = 0; round < rounds[w]; ++round)
      sum += whole_contribution(round, w, n);
  return sum;
}

std::unique_ptr<Communicator> Job::communicator(std::uint32_t worker) const {
  Membership membership;
  membership.store = storage::open(uri);
  if (decorate) membership.store = decorate(std::move(membership.store), worker);
  membership.job = id;
  membership.worker = worker;
  membership.workers = workers;
  membership.patience_s = patience_s;
  membership.options = options_with(options);
  membership.cuts_large_chunks = cuts_large_chunks;
  return make_communicator(pattern, std::move(membership));
}

void Job::merge_rounds(Communicator& communicator, std::uint64_t from, std::uint64_t to,
                       const std::function<void(std::uint64_t)>& after_round) const {
  for (std::uint64_t round = from; round < to; ++round) {
    Numbers numbers = contribution(round, communicator.worker(), n);
    const std::size_t merged = communicator.merge(numbers.view(), Meaning::increment);
    if (merged != workers)
      fail(Code::internal, "round {}: {} contributions of {}", round, merged, workers);
    if (!numbers.same_bits(ordered_sum(round, workers, n)))
      fail(Code::internal, "round {}: a wrong sum at worker {}", round, communicator.worker());
    if (communicator.round() != round + 1) fail(Code::internal, "round {} does not count", round);
    if (after_round) after_round(round + 1);
  }
}

void Job::merge_without_waiting(std::uint32_t worker,
                                const std::vector<std::uint64_t>& rounds) const {
  SummingWorker summing(*this, worker);
  for (std::uint64_t round = 0; round < rounds[worker]; ++round) summing.contribute(round);
  summing.finish();
  if (!summing.sum.same_bits(whole_sum(rounds, n)))
    fail(Code::internal, "a wrong sum at worker {}", worker);
  const std::size_t all = std::accumulate(rounds.begin(), rounds.end(), std::size_t{0});
  if (summing.contributions != all)
    fail(Code::internal, "worker {}: {} contributions of {}", worker, summing.contributions, all);
}

SummingWorker::SummingWorker(const Job& of, std::uint32_t worker)
    : job(of),
      communicator(job.communicator(worker)),
      sum{std::vector<float>(job.n), std::vector<double>(kTotals)} {}

std::size_t SummingWorker::contribute(Numbers increment) {
  const std::size_t merged = communicator->merge(increment.view(), Meaning::increment);
  sum += increment;
  contributions += merged;
  return merged;
}

std::size_t SummingWorker::contribute(std::uint64_t round) {
  return contribute(whole_contribution(round, communicator->worker(), job.n));
}

void SummingWorker::finish() {
  Numbers rest = whole_contribution(0, 0, job.n);  // its values do not count
  contributions += communicator->finish(rest.view());
  sum += rest;
}

void SummingWorker::restart() {
  const std::vector<double> snapshot = communicator->snapshot();
  const std::uint64_t round = communicator->round();
  communicator = job.communicator(communicator->worker());
  communicator->restore(snapshot);
  communicator->seek(round);
}

namespace {

std::string unique_name() {
  static std::atomic<int> serial{0};
  return fmt::format("comm-test-{}-{}-{}", ::getpid(), serial++,
                     time_now().time_since_epoch().count());
}

}  // namespace

std::string memory_place() { return "memory://" + unique_name(); }

FolderPlace::FolderPlace() : path_((shared_memory_folder() / unique_name()).string()) {}
FolderPlace::~FolderPlace() { std::filesystem::remove_all(path_); }

std::vector<std::string> on_threads(std::uint32_t workers,
                                    const std::function<void(std::uint32_t)>& body) {
  std::vector<std::string> errors(workers);
  std::vector<std::thread> threads;
  for (std::uint32_t w = 0; w < workers; ++w)
    threads.emplace_back([&, w] {
      try {
        body(w);
      } catch (const Error& error) {
        errors[w] = fmt::format("{}: {}", to_string(error.code()), error.what());
      } catch (const std::exception& error) {
        errors[w] = error.what();
      }
    });
  for (std::thread& thread : threads) thread.join();
  return errors;
}

pid_t start_process(const std::function<void()>& body) {
  const pid_t process = ::fork();
  if (process != 0) return process;
  try {
    body();
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    ::_exit(1);
  }
  ::_exit(0);
}

int end_of(pid_t process) {
  int status = 0;
  return ::waitpid(process, &status, 0) == process ? status : -1;
}

storage::FaultHook random_delays(std::uint64_t seed, double most_s) {
  struct State {
    explicit State(std::uint64_t from) : rng(from) {}
    std::mutex mutex;
    Rng rng;
  };
  const auto state = std::make_shared<State>(seed);
  return [state, most_s](std::string_view, std::string_view) {
    double seconds = 0;
    {
      const std::lock_guard lock(state->mutex);
      seconds = state->rng.uniform(0, most_s);
    }
    std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  };
}

}  // namespace lambdaml::comm
