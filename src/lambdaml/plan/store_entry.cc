#include "lambdaml/plan/store_entry.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <ctime>
#include <limits>

#include <fmt/format.h>

#include "lambdaml/base/deadline.h"
#include "lambdaml/base/text.h"

namespace lambdaml::plan {
namespace {

constexpr double kQuantiles[] = {0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1};

/// yaml-cpp writes all digits of a double.
std::string number(double value) { return fmt::format("{:.6g}", value); }

YAML::Node flow() {
  YAML::Node node(YAML::NodeType::Map);
  node.SetStyle(YAML::EmitterStyle::Flow);
  return node;
}

}  // namespace

YAML::Node latency_entry(const std::vector<double>& seconds, double more_s) {
  YAML::Node out = flow();
  constexpr double kLeast = 0.1;  // of what was measured, if it is less in a job
  for (const double p : kQuantiles) {
    const double measured_s = worker::quantile(seconds, p);
    out[fmt::format("p{:g}", 100 * p)] =
        number(1e3 * std::max(kLeast * measured_s, measured_s + more_s));
  }
  return out;
}

YAML::Node constant_entry(double ms) {
  YAML::Node out = flow();
  out["always"] = number(ms);
  return out;
}

YAML::Node rate_entry(double memory_mb, double bytes_per_s) {
  YAML::Node out = flow();
  out[number(memory_mb)] = number(bytes_per_s / 1e6);
  return out;
}

void set_measured(YAML::Node store, const worker::StoreMeasure& measured, double memory_mb,
                  double request_s) {
  store["put"] = latency_entry(measured.puts, request_s);
  store["get"] = latency_entry(measured.gets, request_s);
  if (!measured.lists.empty()) store["list"] = latency_entry(measured.lists);
  if (!measured.removes.empty()) store["remove"] = latency_entry(measured.removes);
  if (measured.put_per_s > 0) store["put_mb_per_s"] = rate_entry(memory_mb, measured.put_per_s);
  if (measured.get_per_s > 0) store["get_mb_per_s"] = rate_entry(memory_mb, measured.get_per_s);
  store["parallel"] = number(measured.parallel);
  store["put_parallel"] = number(measured.put_parallel);
  store["remove_parallel"] = number(measured.remove_parallel);
  store["pushes"] = measured.pushes;
  if (measured.adds) store["adds"] = true;
}

void set_capabilities(YAML::Node store, const storage::Capabilities& capabilities) {
  store["polling_is_expensive"] = capabilities.polling_is_expensive;
  if (capabilities.polling_is_quick) store["polling_is_quick"] = true;
  if (capabilities.keeps_index) store["keeps_index"] = true;
  store["durable"] = capabilities.durable;
  if (capabilities.max_value_bytes < std::numeric_limits<std::uint64_t>::max())
    store["max_value_bytes"] = capabilities.max_value_bytes;  // values are cut there
}

void set_splits(YAML::Node store, const BatchLimits& put, const BatchLimits& get,
                const BatchLimits& remove, const PartLimits& parts) {
  const auto set = [&](const std::string& name, double value) {
    if (std::isfinite(value))
      store[name] = fmt::format("{:.0f}", value);
    else
      store.remove(name);
  };
  const auto set_batch = [&](const std::string& verb, const BatchLimits& batch) {
    store[verb + "_keys"] = number(batch.keys);
    // Removals have no values.
    if (verb != "remove") set(verb + "_batch_bytes", batch.bytes);
  };
  set_batch("put", put);
  set_batch("get", get);
  set_batch("remove", remove);
  set("whole_bytes", parts.whole_bytes);
  set("part_bytes", std::isfinite(parts.whole_bytes) ? parts.part_bytes : parts.whole_bytes);
}

std::string today() {
  const std::time_t now = std::chrono::system_clock::to_time_t(wall_now());
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  return fmt::format("{:04}-{:02}-{:02}", 1900 + utc.tm_year, 1 + utc.tm_mon, utc.tm_mday);
}

std::string profile_text(const YAML::Node& root, const std::string& comment) {
  YAML::Emitter out;
  out << YAML::Comment(comment) << YAML::Newline << root;
  return std::string(out.c_str()) + "\n";
}

}  // namespace lambdaml::plan
