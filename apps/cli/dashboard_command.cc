#include <filesystem>
#include <memory>
#include <vector>

#include <nlohmann/json.hpp>

#include "apps/cli/command.h"
#include "apps/cli/token_file.h"
#include "lambdaml/base/interrupt.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/service/host_name.h"
#include "lambdaml/base/wait.h"
#include "lambdaml/dashboard/dashboard.h"

namespace lambdaml::cli {
namespace {

struct DashboardArguments {
  dashboard::Settings settings;
  std::string token_file;
};

void serve(DashboardArguments& arguments, const Globals& globals) {
  catch_interrupts();
  dashboard::Settings& settings = arguments.settings;
  if (settings.places.empty()) settings.places = {"runs"};
  if (!arguments.token_file.empty()) settings.token = read_token(arguments.token_file);
  std::error_code error;
  settings.program = std::filesystem::read_symlink("/proc/self/exe", error).string();
  const dashboard::Dashboard dashboard(settings);
  if (settings.host.empty()) settings.host = "127.0.0.1";
  if (!is_loopback(settings.host))
    log::warning("{} is served without encryption: put it behind a proxy with TLS, or a tunnel",
                 settings.host);
  const std::string url = "http://" + with_port(settings.host, dashboard.port());
  if (globals.json)
    print_json(json_text(nlohmann::json{{"url", url}}));
  else
    print_line("listening on " + url);
  wait_for_interrupt();
}

}  // namespace

void add_dashboard_command(CLI::App& app, Globals& globals) {
  CLI::App* command =
      add_command(app, globals, "dashboard", "a live page of jobs and searches: curves, logs, cost",
                  Interrupt::is_end);
  const auto arguments = std::make_shared<DashboardArguments>();
  DashboardArguments& a = *arguments;
  command->add_option("PLACE", a.settings.places,
                      "folders of runs and searches, checkpoint URIs, or single ones [runs]");
  command->add_option("--port", a.settings.port, "port to listen on; 0 picks a free one [0]")
      ->check(CLI::Range(0, 65535));
  command->add_option(
      "--host", a.settings.host,
      "address to listen on; any other than the default needs a token [127.0.0.1, for this "
      "user alone]");
  command->add_option("--token", a.token_file,
                      "file whose first line clients must know, also to read [none]");
  command->callback([arguments, &globals] { serve(*arguments, globals); });
}

}  // namespace lambdaml::cli
