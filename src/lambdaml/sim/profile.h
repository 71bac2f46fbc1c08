#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lambdaml/base/batch_limits.h"
#include "lambdaml/base/rng.h"

/// What a simulated world is like: how long requests, transfers and starts take, what is limited,
/// and what it costs. Profiles are YAML files; docs/how-to/planning.md describes the form. The
/// built-in ones say of each number where and when it was measured.
namespace lambdaml::sim {

/// How long something takes, in seconds: by quantiles, or log-normally, or always the same.
class Latency {
 public:
  Latency() = default;
  static Latency always(double seconds);
  /// Pairs of probability, ascending from 0 to 1, and seconds, not falling.
  static Latency quantiles(std::vector<std::pair<double, double>> points);
  /// median · exp(N(0, sigma²)).
  static Latency log_normal(double median_ms, double sigma);

  /// The time that a share `u` of all requests, in [0, 1), does not exceed.
  double at(double u) const;
  double sample(Rng& rng) const { return at(rng.uniform()); }
  double mean() const;
  /// The expectation of the longest of n, which need not be whole.
  double expected_longest(double n) const;

 private:
  template <class Of>
  double integral(Of&& of) const;

  std::vector<std::pair<double, double>> points_;
  double mu_ = 0, sigma_ = -1;  ///< below 0: the points count
};

/// A rate with a credit for bursts, as clouds shape networks.
struct Bandwidth {
  double bytes_per_s = std::numeric_limits<double>::infinity();
  double burst_bytes = 0;        ///< of the full credit
  double burst_bytes_per_s = 0;  ///< while there is credit; 0: without limit
  bool operator==(const Bandwidth&) const = default;
};

struct StorePrices {
  double put = 0, get = 0, list = 0, remove = 0;  ///< dollars a request
  double put_gb = 0, get_gb = 0;                  ///< dollars a GB moved
  /// Dollars a unit of a value, rounded up.
  double put_kb = 0, get_kb = 0, get_4kb = 0;
  double hour = 0;  ///< dollars an hour of its servers
};

struct StoreProfile {
  std::string name;
  std::string scheme;  ///< of the store that it stands for
  std::string mark;    ///< what URIs that mean it have; empty: any of its scheme
  Latency put, get, list, remove;
  double put_per_s = 0, get_per_s = 0;  ///< requests a second that it takes; 0: without limit
  /// Of one function's connections, by the function's memory in MB; between two, linear.
  std::map<double, double> put_bytes_per_s, get_bytes_per_s;
  std::optional<Bandwidth> server;  ///< shared by all: the network of a cache node or host
  bool in_vpc = false;              ///< functions that use it share the network of their VPC
  /// Of a batch of keys, requests that are under way at once, or as many as fit the time of one.
  std::uint32_t parallel = 1, put_parallel = 1, remove_parallel = 1;
  /// What one request of a batch takes, see BatchLimits: what is counted, not how long it takes.
  double put_keys = 1, get_keys = 1, remove_keys = 1;
  double put_batch_bytes = std::numeric_limits<double>::infinity();
  double get_batch_bytes = std::numeric_limits<double>::infinity();  ///< of an answer
  PartLimits parts;
  /// Where functions share a host's processors: what a request, a PUT if that differs, and a byte
  /// that it sends or brings take of them, the store's and the function's own work.
  double request_processor_s = 0, put_processor_s = 0;
  double put_byte_processor_s = 0, get_byte_processor_s = 0;
  bool pushes = false;  ///< it tells waiting functions; otherwise they poll
  bool adds = false;    ///< it adds up workers' vectors, as a parameter server does
  bool polling_is_expensive = false;
  bool polling_is_quick =
      false;  ///< a poll costs less than a function's time while it waits for it
  /// It cannot list: its handles keep lists of the keys in it, whose requests are simulated one by
  /// one. A request of `put` saves one value.
  bool keeps_index = false;
  bool durable = true;
  std::uint64_t max_value_bytes = std::numeric_limits<std::uint64_t>::max();
  StorePrices prices;
};

struct FunctionProfile {
  double least_mb = 128, most_mb = 10240;
  double mb_per_processor = 1769;
  /// Functions are processes of one machine, which share so many processors and use one each; 0:
  /// they have what comes with their memory.
  double host_processors = 0;
  double threads_s = 0;   ///< there, what waking the other threads adds to a step
  Bandwidth network;      ///< of each direction
  Bandwidth vpc_network;  ///< shared by all functions in a VPC
  Latency invoke, cold_start;
  /// Seconds until n functions have started, by n, where that is known better than by the
  /// latencies.
  std::map<double, double> starts_s;
  double starts_per_s = 0;  ///< 0: without limit
  double longest_s = 900;
  double command_s = 0;  ///< what a job takes beside what is simulated: its command's own work
  double step_s = 0;     ///< what a processor takes for a step, whatever its rows
  double gb_second = 0, request = 0;  ///< dollars
  /// Dollars a GB-second by how many an account has used in the month, where that matters;
  /// gb_second is the one at `month_gb_seconds`.
  std::map<double, double> gb_second_tiers;
  bool init_is_billed = false;  ///< cold starts are
  std::string architecture;

  /// What a function with that memory computes, in processors: a share of one, or whole ones.
  double processors(double memory_mb) const;
};

/// A machine by the hour, for comparison.
struct HostProfile {
  std::string name;
  double processors = 1;
  double speed = 1;  ///< of a processor, relative to one of a function
  double hour = 0;   ///< dollars
  double starts_s = 0;
  double bytes_per_s = 0;  ///< from the store that holds the data
};

struct Profile {
  std::string name;
  std::string date;
  std::vector<StoreProfile> stores;
  std::string checkpoints;  ///< the store that has them; empty: the channel's
  FunctionProfile functions;
  std::vector<HostProfile> hosts;

  /// A built-in profile of that name, or the file. Throws invalid_argument, naming the file and the
  /// entry, for a number that is missing or negative, and not_found.
  static Profile open(const std::string& name_or_path);
  /// The text of a built-in profile, or the file's. Throws not_found.
  static std::string text_of(const std::string& name_or_path);
  static Profile parse(std::string_view yaml, const std::string& what);
  static std::vector<std::string> built_in();
  /// Of these the first one of functions of that architecture, "x86_64" or "arm64"; of another or
  /// none, that of x86_64.
  static std::string built_in_for(const std::string& architecture);

  /// Throws invalid_argument, naming the nearest known ones.
  const StoreProfile& store(std::string_view name) const;
  /// Throws invalid_argument for a memory that the profile's functions cannot have.
  void require_memory(double mb) const;
};

/// The value at `x` of a table: linear between its entries, constant outside.
double interpolated(const std::map<double, double>& table, double x);

}  // namespace lambdaml::sim
