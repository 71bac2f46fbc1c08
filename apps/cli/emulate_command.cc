#include <array>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include <fmt/core.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "apps/cli/command.h"
#include "lambdaml/aws/credentials.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/interrupt.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/own_folder.h"
#include "lambdaml/base/uri.h"
#include "lambdaml/base/wait.h"
#include "lambdaml/faas/registry.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::cli {
namespace {

/// `n` random characters that cannot be guessed: five bits each.
std::string random_text(std::size_t n) {
  constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  std::array<unsigned char, 64> bytes{};
  if (n > bytes.size() || getentropy(bytes.data(), n) != 0)
    fail(Code::internal, "the system gives no random numbers");
  std::string out;
  for (std::size_t i = 0; i < n; ++i) out += kAlphabet[bytes[i] % kAlphabet.size()];
  return out;
}

/// Reports which key requests must be signed with and which one functions sign with. Returns the
/// generated key, if any.
///
/// Functions inherit this process's AWS_… variables and HOME, and through them their access to
/// other services, such as S3 with the user's own keys. An environment variable takes precedence
/// over all other sources, so functions get the generated key only if they would find none. Keys in
/// the profile they find by themselves.
std::optional<aws::Credentials> set_keys(faas::EmulatorSettings& settings) {
  if (const auto own = aws::credentials_from_environment()) {
    settings.keys = {own->credentials};
    return std::nullopt;
  }
  const aws::Credentials made{"LAMBDAML" + random_text(12), random_text(40), ""};
  settings.keys = {made};
  if (const auto profile = aws::keys_in_profile())
    settings.keys.push_back(*profile);
  else if (!aws::names_other_source())
    settings.function_keys = made;
  return made;
}

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
  command->add_flag("--no-auth", *no_auth,
                    "take requests that are not signed: every program of this user may then run "
                    "code by it");
  command->callback([settings, log_folder, no_auth, &globals] {
    catch_interrupts();
    settings->log_folder = *log_folder;
    if (!log_folder->empty()) make_own_folder(*log_folder);
    settings->fetch_code = [](const std::string& bucket, const std::string& key) {
      const std::optional<Buffer> zip = storage::open(Uri::parse("s3://" + bucket))->load(key);
      if (!zip) fail(Code::not_found, "s3://{} has no {}", bucket, key);
      return std::string(zip->text());
    };
    std::optional<aws::Credentials> made;
    if (!*no_auth) made = set_keys(*settings);
    const auto emulator = faas::registry().get("local").emulate(*settings);
    if (*no_auth)
      log::warning(
          "--no-auth: requests need no signature; every program of this user that reaches port {} "
          "can make and run functions",
          emulator->port());
    print_ready(fmt::format("http://127.0.0.1:{}", emulator->port()), made, globals.json);
    wait_for_interrupt();
  });
}

}  // namespace lambdaml::cli
