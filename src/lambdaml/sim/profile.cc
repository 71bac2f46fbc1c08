#include "lambdaml/sim/profile.h"

#include <algorithm>
#include <cmath>

#include <yaml-cpp/yaml.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/files.h"
#include "lambdaml/base/formats/yaml.h"
#include "lambdaml/base/text.h"

namespace lambdaml::sim {

/// Name and text of each profile in profiles/, embedded by the build; ends with a null.
extern const char* const kProfiles[][2];

namespace {

constexpr double kMillisecond = 1e-3;
constexpr double kMegabyte = 1e6;
/// Where quantiles begin to be those of slow requests.
constexpr double kTail = 0.9;

/// The standard normal quantile (Acklam's rational approximation, relative error below 1.2e-9).
double normal_quantile(double p) {
  constexpr double a[] = {-3.969683028665376e+01, 2.209460984245205e+02,  -2.759285104469687e+02,
                          1.383577518672690e+02,  -3.066479806614716e+01, 2.506628277459239e+00};
  constexpr double b[] = {-5.447609879822406e+01, 1.615858368580409e+02, -1.556989798598866e+02,
                          6.680131188771972e+01, -1.328068155288572e+01};
  constexpr double c[] = {-7.784894002430293e-03, -3.223964580411365e-01, -2.400758277161838e+00,
                          -2.549732539343734e+00, 4.374664141464968e+00,  2.938163982698783e+00};
  constexpr double d[] = {7.784695709041462e-03, 3.224671290700398e-01, 2.445134137142996e+00,
                          3.754408661907416e+00};
  p = std::clamp(p, 1e-12, 1 - 1e-12);
  const auto tail = [&](double q) {
    return (((((c[0] * q + c[1]) * q + c[2]) * q + c[3]) * q + c[4]) * q + c[5]) /
           ((((d[0] * q + d[1]) * q + d[2]) * q + d[3]) * q + 1);
  };
  constexpr double kLow = 0.02425;
  if (p < kLow) return tail(std::sqrt(-2 * std::log(p)));
  if (p > 1 - kLow) return -tail(std::sqrt(-2 * std::log(1 - p)));
  const double q = p - 0.5, r = q * q;
  return (((((a[0] * r + a[1]) * r + a[2]) * r + a[3]) * r + a[4]) * r + a[5]) * q /
         (((((b[0] * r + b[1]) * r + b[2]) * r + b[3]) * r + b[4]) * r + 1);
}

}  // namespace

// ---- latencies ----

Latency Latency::always(double seconds) { return quantiles({{0, seconds}, {1, seconds}}); }

Latency Latency::quantiles(std::vector<std::pair<double, double>> points) {
  Latency out;
  out.points_ = std::move(points);
  return out;
}

Latency Latency::log_normal(double median_ms, double sigma) {
  Latency out;
  out.mu_ = std::log(median_ms);
  out.sigma_ = sigma;
  return out;
}

double Latency::at(double u) const {
  if (sigma_ >= 0) return kMillisecond * std::exp(mu_ + sigma_ * normal_quantile(u));
  if (points_.empty()) return 0;
  const auto above = std::ranges::upper_bound(points_, u, {}, &std::pair<double, double>::first);
  if (above == points_.begin()) return points_.front().second;
  if (above == points_.end()) return points_.back().second;
  const auto& [p0, s0] = *std::prev(above);
  const auto& [p1, s1] = *above;
  if (p0 >= kTail && s0 > 0) {
    // Of the slow ones, exceedances fall by a power; the last is the longest of some million.
    constexpr double kRarest = 1e-6;
    const double from = std::log(1 - p0), to = std::log(std::max(1 - p1, kRarest));
    const double share = from > to ? (from - std::log(std::max(1 - u, kRarest))) / (from - to) : 0;
    return s0 * std::pow(s1 / s0, std::clamp(share, 0.0, 1.0));
  }
  return s0 + (s1 - s0) * (u - p0) / (p1 - p0);
}

/// ∫ at(u) d(of(u)) over [0, 1), by steps that are finer towards 1, where latencies are long.
template <class Of>
double Latency::integral(Of&& of) const {
  constexpr int kSteps = 400;
  double sum = 0, before_u = 0, before = of(0.0);
  for (int i = 1; i <= kSteps; ++i) {
    const double left = static_cast<double>(kSteps - i) / kSteps;
    const double u = 1 - left * left * left;
    const double now = of(u);
    sum += at((before_u + u) / 2) * (now - before);
    before_u = u;
    before = now;
  }
  return sum;
}

double Latency::mean() const {
  return integral([](double u) { return u; });
}

double Latency::expected_longest(double n) const {
  if (n <= 1) return mean();
  return integral([n](double u) { return std::pow(u, n); });
}

double FunctionProfile::processors(double memory_mb) const {
  if (host_processors > 0) return 1;
  const double share = memory_mb / mb_per_processor;
  return share < 1 ? share : std::floor(share);
}

double interpolated(const std::map<double, double>& table, double x) {
  if (table.empty()) return std::numeric_limits<double>::infinity();
  const auto above = table.lower_bound(x);
  if (above == table.end()) return std::prev(above)->second;
  if (above == table.begin()) return above->second;
  const auto below = std::prev(above);
  return below->second +
         (above->second - below->second) * (x - below->first) / (above->first - below->first);
}

// ---- files ----

namespace {

/// A map of the file, which knows its place for messages and which entries were read.
class Entry {
 public:
  Entry(YAML::Node node, std::string what) : node_(std::move(node)), what_(std::move(what)) {
    if (!node_.IsMap()) fail(Code::invalid_argument, "{}: not a map", what_);
  }

  bool has(const char* name) const { return static_cast<bool>(node_[name]); }
  Entry at(const char* name) const {
    if (!has(name)) fail(Code::invalid_argument, "{}: '{}' is missing", what_, name);
    return {node_[name], place(name)};
  }
  double number(const char* name) const {
    if (!has(name)) fail(Code::invalid_argument, "{}: the number '{}' is missing", what_, name);
    return number_of(node_[name], place(name));
  }
  double number(const char* name, double otherwise) const {
    return has(name) ? number(name) : otherwise;
  }
  bool flag(const char* name, bool otherwise) const {
    if (!has(name)) return otherwise;
    const std::string value = text(name);
    if (value != "true" && value != "false")
      fail(Code::invalid_argument, "{}: '{}' is true or false", what_, name);
    return value == "true";
  }
  std::string text(const char* name) const {
    if (!has(name) || !node_[name].IsScalar())
      fail(Code::invalid_argument, "{}: the text '{}' is missing", what_, name);
    return node_[name].as<std::string>();
  }
  /// Numbers by numbers.
  std::map<double, double> table(const char* name, double unit) const {
    std::map<double, double> out;
    if (!has(name)) return out;
    const YAML::Node table = node_[name];
    if (!table.IsMap()) fail(Code::invalid_argument, "{}: not a map", place(name));
    for (const auto& item : table)
      out[number_of(item.first, place(name))] =
          unit * number_of(item.second, place(name) + "." + item.first.as<std::string>());
    return out;
  }
  /// Throws for a name that is not one of these.
  void require_only(const std::vector<std::string>& names) const {
    for (const auto& item : node_)
      if (const auto name = item.first.as<std::string>();
          std::ranges::find(names, name) == names.end())
        fail(Code::invalid_argument, "{}: unknown entry '{}'{}", what_, printable(name),
             did_you_mean(name, names));
  }
  const YAML::Node& node() const { return node_; }
  std::string place(const std::string& name) const { return what_ + "." + name; }
  const std::string& what() const { return what_; }

  static double number_of(const YAML::Node& node, const std::string& place) {
    std::optional<double> value;
    if (node.IsScalar()) value = to_real(node.as<std::string>());
    if (!value || !std::isfinite(*value)) fail(Code::invalid_argument, "{}: not a number", place);
    if (*value < 0)
      fail(Code::invalid_argument, "{}: {} is negative", place, node.as<std::string>());
    return *value;
  }

 private:
  YAML::Node node_;
  std::string what_;
};

const std::vector<std::string> kOrigin = {"source", "date"};

/// `put: {p0: 3, …, p100: 90}` or `{median: 3.7, sigma: 0.4}` or `{always: 5}`, milliseconds.
Latency latency_of(const Entry& entry) {
  if (entry.has("always")) {
    entry.require_only({"always", "source", "date"});
    return Latency::always(kMillisecond * entry.number("always"));
  }
  if (entry.has("sigma")) {
    entry.require_only({"median", "sigma", "source", "date"});
    if (!(entry.number("median") > 0))
      fail(Code::invalid_argument, "{}: the median is above 0", entry.what());
    return Latency::log_normal(entry.number("median"), entry.number("sigma"));
  }
  std::vector<std::pair<double, double>> points;
  for (const auto& item : entry.node()) {
    const auto name = item.first.as<std::string>();
    if (std::ranges::find(kOrigin, name) != kOrigin.end()) continue;
    const std::optional<double> percent =
        name.starts_with("p") ? to_real(name.substr(1)) : std::nullopt;
    if (!percent || *percent < 0 || *percent > 100)
      fail(Code::invalid_argument, "{}: '{}' is no quantile: p0 to p100", entry.what(),
           printable(name));
    points.emplace_back(*percent / 100,
                        kMillisecond * Entry::number_of(item.second, entry.place(name)));
  }
  std::ranges::sort(points);
  if (points.size() < 2 || points.front().first > 0 || points.back().first < 1)
    fail(Code::invalid_argument, "{}: quantiles begin with p0 and end with p100", entry.what());
  for (std::size_t i = 1; i < points.size(); ++i)
    if (points[i].second < points[i - 1].second)
      fail(Code::invalid_argument, "{}: p{:g} is less than p{:g}", entry.what(),
           100 * points[i].first, 100 * points[i - 1].first);
  return Latency::quantiles(std::move(points));
}

Bandwidth bandwidth_of(const Entry& entry) {
  entry.require_only({"mb_per_s", "burst_mb", "burst_mb_per_s", "source", "date"});
  return {kMegabyte * entry.number("mb_per_s"), kMegabyte * entry.number("burst_mb", 0),
          kMegabyte * entry.number("burst_mb_per_s", 0)};
}

StorePrices prices_of(const Entry& entry) {
  entry.require_only({"put", "get", "list", "remove", "put_gb", "get_gb", "put_kb", "get_kb",
                      "get_4kb", "hour", "source", "date"});
  StorePrices out;
  out.put = entry.number("put", 0);
  out.get = entry.number("get", 0);
  out.list = entry.number("list", 0);
  out.remove = entry.number("remove", 0);
  out.put_gb = entry.number("put_gb", 0);
  out.get_gb = entry.number("get_gb", 0);
  out.put_kb = entry.number("put_kb", 0);
  out.get_kb = entry.number("get_kb", 0);
  out.get_4kb = entry.number("get_4kb", 0);
  out.hour = entry.number("hour", 0);
  return out;
}

StoreProfile store_of(const std::string& name, const Entry& entry) {
  entry.require_only({"scheme",
                      "mark",
                      "put",
                      "get",
                      "list",
                      "remove",
                      "put_per_s",
                      "get_per_s",
                      "put_mb_per_s",
                      "get_mb_per_s",
                      "server",
                      "in_vpc",
                      "parallel",
                      "put_parallel",
                      "remove_parallel",
                      "put_keys",
                      "get_keys",
                      "remove_keys",
                      "put_batch_bytes",
                      "get_batch_bytes",
                      "whole_bytes",
                      "part_bytes",
                      "host",
                      "pushes",
                      "adds",
                      "polling_is_expensive",
                      "polling_is_quick",
                      "keeps_index",
                      "durable",
                      "max_value_bytes",
                      "prices",
                      "source",
                      "date"});
  StoreProfile out;
  out.name = name;
  out.scheme = entry.text("scheme");
  if (entry.has("mark")) out.mark = entry.text("mark");
  out.put = latency_of(entry.at("put"));
  out.get = latency_of(entry.at("get"));
  out.list = entry.has("list") ? latency_of(entry.at("list")) : out.get;
  out.remove = entry.has("remove") ? latency_of(entry.at("remove")) : out.put;
  out.put_per_s = entry.number("put_per_s", 0);
  out.get_per_s = entry.number("get_per_s", 0);
  out.put_bytes_per_s = entry.table("put_mb_per_s", kMegabyte);
  out.get_bytes_per_s = entry.table("get_mb_per_s", kMegabyte);
  if (entry.has("server")) out.server = bandwidth_of(entry.at("server"));
  out.in_vpc = entry.flag("in_vpc", false);
  const auto whole = [&](const char* key, std::uint32_t otherwise) {
    return static_cast<std::uint32_t>(std::clamp(entry.number(key, otherwise), 1.0, 1e4));
  };
  out.parallel = whole("parallel", 1);
  // The client of a store with an index saves one value after another.
  out.put_parallel = whole("put_parallel", entry.flag("keeps_index", false) ? 1 : out.parallel);
  out.remove_parallel = whole("remove_parallel", out.parallel);
  out.put_keys = std::clamp(entry.number("put_keys", 1), 0.01, 1e4);
  out.get_keys = std::clamp(entry.number("get_keys", 1), 0.01, 1e4);
  out.remove_keys = std::clamp(entry.number("remove_keys", 1), 0.01, 1e4);
  const auto bytes = [&](const char* key, double& limit) {
    if (const double most = entry.number(key, 0); most > 0) limit = most;
  };
  bytes("put_batch_bytes", out.put_batch_bytes);
  bytes("get_batch_bytes", out.get_batch_bytes);
  if (entry.has("part_bytes") || entry.has("whole_bytes")) {
    out.parts = {entry.number("whole_bytes"), entry.number("part_bytes")};
    if (!(out.parts.part_bytes >= 1))
      fail(Code::invalid_argument, "{}: 'part_bytes' is at least 1", entry.what());
  }
  if (entry.has("host")) {
    const Entry host = entry.at("host");
    host.require_only({"request_ms", "put_ms", "put_mb_ms", "get_mb_ms", "source", "date"});
    const double request_ms = host.number("request_ms", 0);
    out.request_processor_s = kMillisecond * request_ms;
    out.put_processor_s = kMillisecond * host.number("put_ms", request_ms);
    out.put_byte_processor_s = kMillisecond * host.number("put_mb_ms", 0) / kMegabyte;
    out.get_byte_processor_s = kMillisecond * host.number("get_mb_ms", 0) / kMegabyte;
  }
  out.pushes = entry.flag("pushes", false);
  out.adds = entry.flag("adds", false);
  out.polling_is_expensive = entry.flag("polling_is_expensive", false);
  out.polling_is_quick = entry.flag("polling_is_quick", false);
  out.keeps_index = entry.flag("keeps_index", false);
  if (out.keeps_index && (out.adds || out.pushes))
    fail(Code::invalid_argument, "{}: a store that {} keeps no index", entry.what(),
         out.adds ? "adds up" : "pushes");
  out.durable = entry.flag("durable", true);
  if (entry.has("max_value_bytes"))
    out.max_value_bytes =
        static_cast<std::uint64_t>(std::clamp(entry.number("max_value_bytes"), 1e3, 1e15));
  if (entry.has("prices")) out.prices = prices_of(entry.at("prices"));
  return out;
}

FunctionProfile functions_of(const Entry& entry) {
  entry.require_only({"least_mb",         "most_mb",
                      "mb_per_processor", "host_processors",
                      "threads_ms",       "network",
                      "vpc_network",      "invoke",
                      "cold_start",       "starts_s",
                      "starts_per_s",     "longest_s",
                      "command_s",        "step_s",
                      "gb_second",        "gb_second_tiers",
                      "month_gb_seconds", "init_is_billed",
                      "request",          "architecture",
                      "source",           "date"});
  FunctionProfile out;
  out.least_mb = entry.number("least_mb");
  out.most_mb = entry.number("most_mb");
  out.mb_per_processor = entry.number("mb_per_processor");
  if (!(out.mb_per_processor > 0) || out.most_mb < out.least_mb)
    fail(Code::invalid_argument, "{}: no memory is between {} and {} MB", entry.what(),
         out.least_mb, out.most_mb);
  out.host_processors = entry.number("host_processors", 0);
  out.threads_s = kMillisecond * entry.number("threads_ms", 0);
  if (entry.has("network")) out.network = bandwidth_of(entry.at("network"));
  if (entry.has("vpc_network")) out.vpc_network = bandwidth_of(entry.at("vpc_network"));
  out.invoke = latency_of(entry.at("invoke"));
  out.cold_start = latency_of(entry.at("cold_start"));
  out.starts_s = entry.table("starts_s", 1);
  out.starts_per_s = entry.number("starts_per_s", 0);
  out.longest_s = entry.number("longest_s");
  out.command_s = entry.number("command_s", 0);
  out.step_s = entry.number("step_s", 0);
  out.gb_second = entry.number("gb_second");
  out.gb_second_tiers = entry.table("gb_second_tiers", 1);
  const double used = entry.number("month_gb_seconds", 0);
  for (const auto& [from, price] : out.gb_second_tiers)
    if (used >= from) out.gb_second = price;
  out.init_is_billed = entry.flag("init_is_billed", false);
  out.request = entry.number("request");
  if (entry.has("architecture")) out.architecture = entry.text("architecture");
  return out;
}

HostProfile host_of(const std::string& name, const Entry& entry) {
  entry.require_only({"processors", "speed", "hour", "starts_s", "mb_per_s", "source", "date"});
  HostProfile out;
  out.name = name;
  out.processors = entry.number("processors");
  out.speed = entry.number("speed", 1);
  out.hour = entry.number("hour");
  out.starts_s = entry.number("starts_s");
  out.bytes_per_s = kMegabyte * entry.number("mb_per_s");
  return out;
}

}  // namespace

std::vector<std::string> Profile::built_in() {
  std::vector<std::string> names;
  for (const auto* profile = kProfiles; (*profile)[0] != nullptr; ++profile)
    names.emplace_back((*profile)[0]);
  return names;
}

std::string Profile::built_in_for(const std::string& architecture) {
  const std::string wanted = architecture == "arm64" ? architecture : "x86_64";
  for (const std::string& name : built_in())
    if (open(name).functions.architecture == wanted) return name;
  return built_in().front();
}

std::string Profile::text_of(const std::string& name_or_path) {
  for (const auto* profile = kProfiles; (*profile)[0] != nullptr; ++profile)
    if (name_or_path == (*profile)[0]) return (*profile)[1];
  const std::optional<Buffer> text = read_file(name_or_path);
  if (!text)
    fail(Code::not_found, "profile {}: there is no such file, and the built-in ones are {}",
         printable(name_or_path), join(built_in(), ", "));
  return std::string(text->text());
}

Profile Profile::open(const std::string& name_or_path) {
  return parse(text_of(name_or_path), "profile " + printable(name_or_path));
}

Profile Profile::parse(std::string_view yaml, const std::string& what) {
  const Entry root(load_yaml(yaml, what), what);
  root.require_only({"name", "date", "source", "stores", "checkpoints", "functions", "hosts"});
  Profile out;
  out.name = root.text("name");
  out.date = root.text("date");
  const Entry stores = root.at("stores");
  for (const auto& item : stores.node()) {
    const auto name = item.first.as<std::string>();
    out.stores.push_back(store_of(name, Entry(item.second, stores.place(name))));
  }
  if (out.stores.empty()) fail(Code::invalid_argument, "{}: it has no store", what);
  if (root.has("checkpoints")) out.checkpoints = out.store(root.text("checkpoints")).name;
  out.functions = functions_of(root.at("functions"));
  if (root.has("hosts")) {
    const Entry hosts = root.at("hosts");
    for (const auto& item : hosts.node()) {
      const auto name = item.first.as<std::string>();
      out.hosts.push_back(host_of(name, Entry(item.second, hosts.place(name))));
    }
  }
  return out;
}

const StoreProfile& Profile::store(std::string_view wanted) const {
  std::vector<std::string> names;
  for (const StoreProfile& store : stores) {
    if (store.name == wanted) return store;
    names.push_back(store.name);
  }
  fail(Code::invalid_argument, "profile {}: it has no store '{}'{}", name, printable(wanted),
       did_you_mean(wanted, names));
}

void Profile::require_memory(double mb) const {
  if (mb < functions.least_mb || mb > functions.most_mb)
    fail(Code::invalid_argument, "profile {}: its functions have {:g} to {:g} MB, not {:g}", name,
         functions.least_mb, functions.most_mb, mb);
}

}  // namespace lambdaml::sim
