#include "integration/redis_cluster.h"

#include <algorithm>
#include <thread>

#include "integration/talk.h"
#include "lambdaml/base/deadline.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"

namespace lambdaml::servers {
namespace {

constexpr double kClusterPatience = 60;
constexpr int kSlots = 16384;

bool says(int port, const std::string& question, const std::string& part) {
  return talk(port, question + "\r\n").find(part) != std::string::npos;
}

/// Throws what the server answers if that is an error.
void order(int port, const std::string& command) {
  const std::string answer = talk(port, command + "\r\n");
  if (!answer.starts_with("+OK"))
    fail(Code::internal, "preparing the Redis cluster: {}: {}", command, printable(answer, 200));
}

}  // namespace

template <class Is>
void RedisCluster::await(const std::string& what, Is&& is) {
  const Deadline deadline = Deadline::in(kClusterPatience);
  while (!is()) {
    if (deadline.passed()) fail(Code::unavailable, "the Redis cluster: {} takes too long", what);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

RedisCluster::RedisCluster(const std::filesystem::path& program,
                           const std::filesystem::path& folder, bool has_replicas)
    : program_(program),
      folder_(folder),
      servers_(has_replicas ? 2 * kPrimaries : kPrimaries),
      processes_(static_cast<std::size_t>(servers_)) {
  while (ports_.size() < processes_.size()) {
    for (std::vector<int>* ports : {&ports_, &bus_ports_}) ports->push_back(free_port());
    for (const int port : {ports_.back(), bus_ports_.back()})
      if (std::ranges::count(ports_, port) + std::ranges::count(bus_ports_, port) > 1)
        fail(Code::unavailable, "the same free port twice");
  }
  for (int i = 0; i < servers_; ++i) start_one(i);
  for (int i = 0; i < kPrimaries; ++i) {
    order(ports_[i], fmt::format("CLUSTER SET-CONFIG-EPOCH {}", i + 1));
    order(ports_[i], fmt::format("CLUSTER ADDSLOTSRANGE {} {}", kSlots * i / kPrimaries,
                                 kSlots * (i + 1) / kPrimaries - 1));
  }
  for (int i = 1; i < servers_; ++i)
    order(ports_[0], fmt::format("CLUSTER MEET 127.0.0.1 {} {}", ports_[i], bus_ports_[i]));
  await("meeting", [&] {
    return std::ranges::all_of(ports_, [&](int port) {
      return says(port, "CLUSTER INFO", fmt::format("cluster_known_nodes:{}\r", servers_));
    });
  });
  for (int i = 0; i + kPrimaries < servers_; ++i) {
    // "$40\r\nID\r\n…"
    const std::string id = talk(ports_[i], "CLUSTER MYID\r\n").substr(5, 40);
    await("a replica", [&] {
      return talk(ports_[i + kPrimaries], "CLUSTER REPLICATE " + id + "\r\n").starts_with("+OK");
    });
  }
  await("its replicas' copies", [&] {
    return std::ranges::all_of(ports_.begin() + kPrimaries, ports_.end(), [](int port) {
      return says(port, "INFO replication", "master_link_status:up");
    });
  });
  start();
}

void RedisCluster::start_one(int i) {
  const std::string name = std::to_string(i);
  std::filesystem::create_directories(folder_ / name);
  processes_[i] = std::make_unique<Process>(
      std::vector<std::string>{
          program_.string(), "--bind", "127.0.0.1", "--port", std::to_string(ports_[i]),
          "--cluster-enabled", "yes", "--cluster-port", std::to_string(bus_ports_[i]),
          "--cluster-node-timeout", "1000", "--cluster-config-file", "nodes.conf",
          "--repl-diskless-sync-delay", "0",
          // A replica may take over however old its copy is.
          "--cluster-replica-validity-factor", "0", "--save", "", "--appendonly", "no"},
      folder_ / name, "log");
  await_answer(*processes_[i], ports_[i], "PING\r\n", "+PONG", Deadline::in(kClusterPatience));
}

void RedisCluster::stop() {
  for (std::unique_ptr<Process>& process : processes_) process.reset();
}

void RedisCluster::stop(int port) {
  processes_[static_cast<std::size_t>(std::ranges::find(ports_, port) - ports_.begin())].reset();
}

void RedisCluster::start() {
  for (int i = 0; i < servers_; ++i)
    if (!processes_[i]) start_one(i);
  await("serving every slot", [&] {
    return count_primaries() == kPrimaries && std::ranges::all_of(ports_, [](int port) {
             const std::string info = talk(port, "CLUSTER INFO\r\n");
             return info.find("cluster_state:ok") != std::string::npos &&
                    info.find(fmt::format("cluster_slots_ok:{}\r", kSlots)) != std::string::npos;
           });
  });
}

int RedisCluster::count_primaries() const {
  return static_cast<int>(
      std::ranges::count_if(ports_, [](int port) { return says(port, "ROLE", "\r\nmaster\r\n"); }));
}

void RedisCluster::signal(int number) {
  for (const std::unique_ptr<Process>& process : processes_)
    if (process) process->signal(number);
}

}  // namespace lambdaml::servers
