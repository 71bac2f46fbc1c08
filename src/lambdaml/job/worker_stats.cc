#include "lambdaml/job/worker_stats.h"

#include <algorithm>
#include <array>
#include <utility>

#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/text.h"
#include "lambdaml/faas/host.h"
#include "lambdaml/faas/runtime.h"

namespace lambdaml::job {
namespace {

using nlohmann::json;

constexpr std::array<std::pair<const char*, double WorkerStats::*>, 5> kSeconds{
    {{"startup_s", &WorkerStats::startup_s},
     {"load_s", &WorkerStats::load_s},
     {"compute_s", &WorkerStats::compute_s},
     {"comm_s", &WorkerStats::comm_s},
     {"run_s", &WorkerStats::run_s}}};
constexpr std::array<std::pair<const char*, std::uint64_t WorkerStats::*>, 3> kCounts{
    {{"invocations", &WorkerStats::invocations},
     {"bytes_sent", &WorkerStats::bytes_sent},
     {"bytes_received", &WorkerStats::bytes_received}}};

constexpr const char* kMemory = "memory_mb";
constexpr const char* kArchitecture = "architecture";
constexpr const char* kWaited = "waited_s";

}  // namespace

std::string own_architecture() { return faas::own_architecture() == "arm64" ? "arm64" : ""; }

void WorkerStats::describe_function() {
  memory_mb = static_cast<std::uint64_t>(faas::own_memory_mb().value_or(0));
  architecture = own_architecture();
}

WorkerStats& WorkerStats::operator+=(const WorkerStats& more) {
  for (const auto& [name, member] : kSeconds) this->*member += more.*member;
  for (const auto& [name, member] : kCounts) this->*member += more.*member;
  memory_mb = std::max(memory_mb, more.memory_mb);
  cost::add(usage, more.usage);
  return *this;
}

json WorkerStats::to_json() const {
  json object{{"usage", cost::to_json(usage)}};
  for (const auto& [name, member] : kSeconds) object[name] = this->*member;
  for (const auto& [name, member] : kCounts) object[name] = this->*member;
  if (memory_mb > 0) object[kMemory] = memory_mb;
  if (!architecture.empty()) object[kArchitecture] = architecture;
  if (waited_s > 0) object[kWaited] = waited_s;
  return object;
}

WorkerStats WorkerStats::from_json(const json& object) {
  WorkerStats out;
  try {
    for (const auto& [name, member] : kSeconds) out.*member = object.at(name).get<double>();
    for (const auto& [name, member] : kCounts) out.*member = whole_number(object.at(name));
    out.memory_mb = object.value(kMemory, std::uint64_t{0});
    out.architecture = object.value(kArchitecture, std::string());
    out.waited_s = object.value(kWaited, 0.0);
    out.usage = cost::usage_from_json(object.at("usage"));
  } catch (const json::exception& error) {
    fail(Code::data_corrupt, "statistics: not what a worker reports: {}", printable(error.what()));
  }
  return out;
}

}  // namespace lambdaml::job
