#include <memory>
#include <optional>
#include <string>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "apps/cli/command.h"
#include "lambdaml/base/interrupt.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/wait.h"
#include "lambdaml/dashboard/live_views.h"
#include "lambdaml/deploy/own_service.h"

namespace lambdaml::cli {
namespace {

void print_ready(const std::string& endpoint, const std::optional<aws::Credentials>& made,
                 bool as_json) {
  if (as_json) {
    nlohmann::json line = {{"endpoint", endpoint}};
    if (made) {
      line["access_key_id"] = made->access_key;
      line["secret_access_key"] = made->secret_key;
    }
    return print_json(json_text(line));
  }
  // A single write, so that a script that reads the first line and closes the pipe does not
  // interrupt this.
  print_text("listening on " + endpoint +
             (made ? fmt::format("\nexport AWS_ACCESS_KEY_ID={}\nexport AWS_SECRET_ACCESS_KEY={}",
                                 made->access_key, made->secret_key)
                   : ""));
}

}  // namespace

void add_emulate_command(CLI::App& app, Globals& globals) {
  CLI::App* command =
      add_command(app, globals, "emulate", "a Lambda service on this machine, for AWS's clients",
                  Interrupt::is_end);
  const auto settings = std::make_shared<faas::EmulatorSettings>();
  const auto log_folder = std::make_shared<std::string>();
  const auto no_auth = std::make_shared<bool>(false);
  const auto metrics_port = std::make_shared<int>(-1);
  command->add_option("--port", settings->port, "port of 127.0.0.1; 0 picks a free one [0]")
      ->check(CLI::Range(0, 65535));
  command->add_option("--concurrency", settings->concurrency, "events that may run at once [1000]")
      ->check(CLI::Range(1, 100'000));
  command
      ->add_option("--retry-delay-s", settings->retry_delay_s,
                   "before a failed asynchronous event's second attempt; doubles [60]")
      ->check(CLI::Range(0.0, 1e6));
  command
      ->add_option("--idle-s", settings->idle_s,
                   "an environment without an event for so long is ended [300]")
      ->check(CLI::Range(0.0, 1e6));
  command->add_flag("--deliver-twice", settings->deliver_twice,
                    "deliver each asynchronous event twice, as AWS may");
  command->add_option("--log-folder", *log_folder,
                      "functions' logs go to a folder each in it [stderr]");
  command
      ->add_option("--metrics-port", *metrics_port,
                   "port of 127.0.0.1 for Prometheus; 0 picks a free one [none]")
      ->check(CLI::Range(0, 65535));
  command->add_flag("--no-auth", *no_auth,
                    "take requests that are not signed: every program of this user may then run "
                    "code by it");
  command->callback([settings, log_folder, no_auth, metrics_port, &globals] {
    catch_interrupts();
    settings->log_folder = *log_folder;
    const deploy::OwnService service = deploy::start_own_service(*settings, !*no_auth);
    const std::unique_ptr<MetricsServer> metrics = dashboard::serve_metrics(
        *metrics_port, [&] { return service.emulator->metrics(); }, tell_serving);
    if (*no_auth)
      log::warning(
          "--no-auth: requests need no signature; every program of this user that reaches port {} "
          "can make and run functions",
          service.emulator->port());
    print_ready(service.endpoint, service.made, globals.json);
    wait_for_interrupt();
  });
}

}  // namespace lambdaml::cli
