#include <chrono>
#include <memory>
#include <optional>
#include <thread>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/base/interrupt.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/own_folder.h"
#include "lambdaml/base/uri.h"
#include "lambdaml/cli/command.h"
#include "lambdaml/faas/registry.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::cli {

void add_emulate_command(CLI::App& app, Globals& globals) {
  CLI::App* command =
      add_command(app, globals, "emulate", "a Lambda service on this machine, for AWS's clients");
  const auto settings = std::make_shared<faas::EmulatorSettings>();
  const auto log_folder = std::make_shared<std::string>();
  command->add_option("--port", settings->port, "port of 127.0.0.1; 0 picks a free one [0]")
      ->check(CLI::Range(0, 65535));
  command->add_option("--concurrency", settings->concurrency, "events that may run at once [1000]")
      ->check(CLI::Range(1, 100'000));
  command
      ->add_option("--retry-delay-s", settings->retry_delay_s,
                   "before a failed asynchronous event's second try; doubles [60]")
      ->check(CLI::Range(0.0, 1e6));
  command
      ->add_option("--idle-s", settings->idle_s,
                   "an environment without an event for so long is ended [300]")
      ->check(CLI::Range(0.0, 1e6));
  command->add_flag("--deliver-twice", settings->deliver_twice,
                    "deliver each asynchronous event twice, as AWS may");
  command->add_option("--log-folder", *log_folder,
                      "functions' logs go to a folder each in it [stderr]");
  command->callback([settings, log_folder, &globals] {
    catch_interrupts();
    settings->log_folder = *log_folder;
    if (!log_folder->empty()) make_own_folder(*log_folder);
    settings->fetch_code = [](const std::string& bucket, const std::string& key) {
      const std::optional<Buffer> zip = storage::open(Uri::parse("s3://" + bucket))->load(key);
      if (!zip) fail(Code::not_found, "s3://{} has no {}", bucket, key);
      return std::string(zip->text());
    };
    const auto emulator = faas::registry().get("local").emulate(*settings);
    const std::string endpoint = fmt::format("http://127.0.0.1:{}", emulator->port());
    print_line(globals.json ? json_text(nlohmann::json{{"endpoint", endpoint}})
                            : "listening on " + endpoint);
    while (!interrupted()) std::this_thread::sleep_for(std::chrono::milliseconds(50));
  });
}

}  // namespace lambdaml::cli
