#include "integration/ceph.h"

#include <fstream>
#include <random>

#include <fmt/core.h>

#include "lambdaml/base/error.h"

namespace lambdaml::servers {
namespace {

namespace fs = std::filesystem;

constexpr double kCephPatience = 60;

/// Version 4, as ceph wants one for its cluster.
std::string random_uuid() {
  std::random_device random;
  const auto word = [&] { return static_cast<std::uint32_t>(random()) & 0xFFFFU; };
  return fmt::format("{:04x}{:04x}-{:04x}-4{:03x}-8{:03x}-{:04x}{:04x}{:04x}", word(), word(),
                     word(), word() & 0xFFFU, word() & 0xFFFU, word(), word(), word());
}

/// The path of a program that missing_program() found.
std::string program(const std::string& name) { return find_program(name).string(); }

}  // namespace

std::string Ceph::missing_program() {
  for (const char* name : {"monmaptool", "osdmaptool", "ceph-authtool", "ceph-mon", "ceph-osd",
                           "radosgw-admin", "radosgw"})
    if (find_program(name).empty()) return name;
  return {};
}

void Ceph::write_config() const {
  const std::string folder = folder_.string();
  std::ofstream file(folder_ / "ceph.conf");
  file << "[global]\n"
       << "mon host = [v1:127.0.0.1:" << monitor_port_ << "]\n"
       << "mon data = " << folder << "/mon\n"
       << "osd data = " << folder << "/osd\n"
       << "keyring = " << folder << "/keyring\n"
       << "run dir = " << folder << "\n"
       << "crash dir = " << folder << "\n"
       << "admin socket =\n"
       << "log file = " << folder << "/$name.log\n"
       << "mon cluster log file = " << folder << "/cluster.log\n"
       << "public addr = 127.0.0.1\n"
       << "cluster addr = 127.0.0.1\n"
       << R"(ms bind msgr2 = false
ms bind ipv6 = false
auth cluster required = none
auth service required = none
auth client required = none

# Agree at once: nobody else has a say.
paxos propose interval = 0.01
paxos min wait = 0.01

# One copy, in memory; what it may hold is reserved only as it comes.
osd objectstore = memstore
memstore device bytes = 8589934592
osd memory target = 939524096
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd crush chooseleaf type = 0
mon allow pool size one = true
mon warn on pool no redundancy = false
# A monitor ends by default when its disk is 95 % full, although it needs some megabytes.
mon data avail crit = 0
mon data avail warn = 0
# The map that the monitor starts with knows where the OSD is. Telling it again at once would fail,
# now and then, because the monitor has not formed its quorum of one.
osd crush update on start = false
osd class update on start = false
osd class load list = *
osd class default list = *

# What was removed gives its memory back soon, not after two hours.
rgw gc obj min wait = 1
rgw gc processor period = 2
)"
       << "rgw frontends = beast endpoint=127.0.0.1:"
       << port_
       // Without tcp_nodelay a small GET takes 44 ms instead of 1.4.
       << " tcp_nodelay=1\n";
  if (!file.flush()) fail(Code::internal, "cannot write {}/ceph.conf", folder);
}

Ceph::Ceph(const fs::path& folder, const std::string& access_key, const std::string& secret_key)
    : folder_(folder), monitor_port_(free_port()), port_(free_port()) {
  const std::string config = (folder_ / "ceph.conf").string();
  const std::string keyring = (folder_ / "keyring").string();
  const std::string monitors = (folder_ / "monmap").string();
  const std::string osds = (folder_ / "osdmap").string();
  const auto tool = [&](const std::string& name, std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), program(name));
    run(arguments, folder_, "start.log", Deadline::in(kCephPatience));
  };
  write_config();
  fs::create_directory(folder_ / "mon");
  fs::create_directory(folder_ / "osd");
  const std::string cluster = random_uuid();
  tool("ceph-authtool", {keyring, "--create-keyring", "--gen-key", "-n", "mon."});
  tool("monmaptool", {"--create", "--fsid", cluster, "--addv", "a",
                      fmt::format("[v1:127.0.0.1:{}]", monitor_port_), monitors});
  // A map that knows OSD 0 already, without a UUID: so it may boot under any, and nobody has to
  // announce it to the monitor through the slow command line.
  tool("osdmaptool", {"--createsimple", "1", osds});
  tool("ceph-mon", {"-c", config, "-i", "a", "--mkfs", "--monmap", monitors, "--osdmap", osds,
                    "--keyring", keyring});
  // What needs no monitor does not ask it either: one that is still starting lets it wait.
  tool("ceph-osd", {"-c", config, "-i", "0", "--mkfs", "--no-mon-config", "--fsid", cluster,
                    "--osd-uuid", random_uuid()});
  monitor_ = std::make_unique<Process>(
      std::vector<std::string>{program("ceph-mon"), "-c", config, "-i", "a", "-f"}, folder_,
      "mon.log");
  osd_ = std::make_unique<Process>(
      std::vector<std::string>{program("ceph-osd"), "-c", config, "-i", "0", "-f"}, folder_,
      "osd.log");
  try {
    tool("radosgw-admin", {"-c", config, "user", "create", "--uid=test", "--display-name=test",
                           "--access-key=" + access_key, "--secret-key=" + secret_key});
  } catch (const Error& error) {
    fail(error.code(), "{}\nceph-mon: {}\nceph-osd: {}", error.what(), monitor_->last_lines(),
         osd_->last_lines());
  }
  start_gateway();
}

void Ceph::start_gateway() {
  gateway_ = std::make_unique<Process>(
      std::vector<std::string>{program("radosgw"), "-c", (folder_ / "ceph.conf").string(), "-n",
                               "client.rgw", "-f"},
      folder_, "gateway.log");
  await_answer(*gateway_, port_, "GET / HTTP/1.0\r\n\r\n", "HTTP/1.", Deadline::in(kCephPatience));
}

void Ceph::signal_gateway(int number) {
  if (gateway_) gateway_->signal(number);
}

}  // namespace lambdaml::servers
