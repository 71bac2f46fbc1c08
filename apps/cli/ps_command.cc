#include <algorithm>
#include <chrono>
#include <memory>
#include <thread>

#include <fmt/core.h>
#include <nlohmann/json.hpp>
#include <sys/resource.h>
#include <unistd.h>

#include "apps/cli/command.h"
#include "apps/cli/token_file.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/files.h"
#include "lambdaml/base/interrupt.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/memory.h"
#include "lambdaml/base/service/host_name.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/wait.h"
#include "lambdaml/ps/server.h"

namespace lambdaml::cli {
namespace {

std::uint64_t half_of_the_memory() {
  return static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)) *
         static_cast<std::uint64_t>(::sysconf(_SC_PAGE_SIZE)) / 2;
}

/// Raises the limit of descriptors to what connections, files and ports need, or as far as
/// permitted.
void allow_descriptors(std::size_t connections) {
  constexpr rlim_t kBeside = 200;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const rlim_t wanted = connections + kBeside;
  if (limit.rlim_cur >= wanted) return;
  limit.rlim_cur = std::min(wanted, limit.rlim_max);
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < wanted)
    log::warning("--connections {}: this process may open {} files; ulimit -n says more",
                 connections, limit.rlim_cur);
}

struct Wanted {
  ps::ServerSettings settings;
  std::string host, dir, token_file;
  std::string log_level = "warning";
  std::uint64_t memory_mb = 0;
  std::uint64_t message_mb = 1024;
};

void serve(Wanted& wanted, bool json) {
  catch_interrupts();
  log::configure(log::parse_level(wanted.log_level), log::Format::text);
  ps::ServerSettings& settings = wanted.settings;
  if (!wanted.token_file.empty()) settings.token = read_token(wanted.token_file);
  settings.host = !wanted.host.empty()     ? wanted.host
                  : settings.token.empty() ? "127.0.0.1"
                                           : "0.0.0.0";
  settings.dir = wanted.dir;
  settings.memory_bytes =
      wanted.memory_mb == 0 ? half_of_the_memory() : wanted.memory_mb * 1'000'000;
  settings.message_bytes = static_cast<std::uint32_t>(wanted.message_mb * 1'000'000);
  if (!is_loopback(settings.host) && settings.token.empty())
    log::warning("{} is open to anyone who can reach this machine: give it a --token",
                 settings.host);
  allow_descriptors(settings.connections);
  share_freed_memory();
  const ps::Server server(settings);
  const std::string address = with_port(settings.host, server.port());
  const std::string metrics =
      server.metrics_port() < 0
          ? ""
          : fmt::format(
                "http://{}/metrics",
                with_port(settings.host, static_cast<std::uint16_t>(server.metrics_port())));
  if (json) {
    print_json(json_text(nlohmann::ordered_json{{"address", address}, {"metrics", metrics}}));
  } else {
    print_line("listening on " + address);
    if (!metrics.empty()) print_line("metrics on " + metrics);
  }
  wait_for_interrupt();
}

}  // namespace

void add_ps_command(CLI::App& app, Globals& globals) {
  CLI::App* command =
      add_command(app, globals, "ps", "the parameter server of --channel ps://", Interrupt::is_end);
  const auto wanted = std::make_shared<Wanted>();
  ps::ServerSettings& settings = wanted->settings;
  command->add_option("--host", wanted->host,
                      "address to listen on [127.0.0.1; with a token 0.0.0.0]");
  command->add_option("--port", settings.port, "port to listen on; 0 picks a free one [27000]");
  command
      ->add_option("--interval", settings.interval_s,
                   "seconds between two snapshots, and looks for what has expired [60]")
      ->check(CLI::Range(0.01, 1e6));
  command
      ->add_option("--expired", settings.expired_s,
                   "seconds after which what nobody uses is removed [6000]")
      ->check(CLI::Range(0.0, 1e9));
  command->add_option("--dir", wanted->dir, "folder for snapshots and keys [none: memory only]");
  command
      ->add_option("--metrics-port", settings.metrics_port,
                   "port for Prometheus; 0 picks a free one [none]")
      ->check(CLI::Range(0, 65535));
  command->add_option("--token", wanted->token_file,
                      "file whose first line clients must know [none]");
  command->add_option("--tls-cert", settings.tls_cert, "certificate, PEM [none]");
  command->add_option("--tls-key", settings.tls_key, "its key, PEM [none]");
  command
      ->add_option("--memory-mb", wanted->memory_mb,
                   "memory for vectors and values [half of the machine's]")
      ->check(CLI::Range(1, 1'000'000'000));
  command->add_option("--message-mb", wanted->message_mb, "the longest vector or value [1024]")
      ->check(CLI::Range(1, 2000));
  command->add_option("--models", settings.models, "models and sums, at most [1000]")
      ->check(CLI::Range(1, 1'000'000));
  command->add_option("--connections", settings.connections, "clients at once, at most [1000]")
      ->check(CLI::Range(1, 100'000));
  command->add_option("--log-level", wanted->log_level,
                      "debug, info, warning, error or off [warning]");
  command->callback([wanted, &globals] { serve(*wanted, globals.json); });
}

}  // namespace lambdaml::cli
