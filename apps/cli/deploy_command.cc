#include <memory>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "apps/cli/command.h"
#include "lambdaml/base/json.h"
#include "lambdaml/deploy/deployment.h"
#include "lambdaml/job/job_file.h"
#include "lambdaml/job/options.h"

namespace lambdaml::cli {
namespace {

using Json = nlohmann::ordered_json;

void print_deployed(const deploy::Deployed& deployed) {
  print_line(fmt::format("{}: {}", deployed.function, deployed.action));
  for (const deploy::Change& change : deployed.changes)
    print_line(change.from.empty()
                   ? fmt::format("  {}: {}", change.field, change.to)
                   : fmt::format("  {}: {} -> {}", change.field, change.from, change.to));
}

/// The options that the file gives, as the trigger takes them.
std::string event_of(const std::string& job_file) {
  Options options = job::job_options();
  job::read_job_file(job_file, options);
  return json_text(job::to_json(options, job::Values::given));
}

}  // namespace

void add_deploy_command(CLI::App& app, Globals& globals) {
  CLI::App* command =
      add_command(app, globals, "deploy", "make or update the functions on AWS Lambda");
  const auto options = std::make_shared<deploy::DeployOptions>();
  options->version = LAMBDAML_VERSION;
  deploy::DeployOptions& o = *options;
  command->add_option("--zip", o.zip, "the package, by `lambdaml package`");
  command->add_option("--image", o.image, "a container image instead, by its URI");
  command->add_option("--function", o.function, "name [lambdaml-worker]");
  command->add_option("--handler", o.handler, "worker, trigger, tuner, predict or all [worker]");
  command->add_option(
      "--model", o.model,
      "the model of the handler predict: a file, or the folder of a run, by its URI");
  command->add_option("--role", o.role, "ARN of the role that it runs with; a new one needs it");
  command->add_option("--code-bucket", o.code_bucket,
                      "s3://BUCKET[/PREFIX], by which the zip goes; needed above 50 MiB");
  command->add_option("--memory-mb", o.memory_mb, "memory in MB, 128 to 10240 [1769]");
  command->add_option("--timeout-s", o.timeout_s, "seconds an event may take, 1 to 900 [900]");
  command->add_option("--ephemeral-mb", o.ephemeral_mb, "MB of /tmp, 512 to 10240 [512]");
  command->add_option("--env", o.environment, "NAME=VALUE, any number; others stay as they are");
  command->add_option("--arch", o.architecture, "x86_64 or arm64 [this machine's]");
  command->add_option("--subnet", o.subnets, "subnet ids, to reach a cache in a VPC");
  command->add_option("--security-group", o.security_groups, "security group ids");
  command->add_option("--file-system", o.file_system,
                      "what it mounts, ARN=/mnt/NAME: an access point of EFS or S3 Files, within a "
                      "VPC; none: nothing");
  command->add_option("--reserved-concurrency", o.reserved_concurrency,
                      "events at the same time that are kept for it");
  command->add_option("--retries", o.retries, "attempts after the first that fails, 0 to 2 [2]");
  command->add_option("--max-event-age-s", o.max_event_age_s,
                      "seconds until an event that waits is dropped, 60 to 21600 [21600]");
  command->add_option("--schedule", o.starts.schedule,
                      "with the handler trigger: when it starts a job, cron(0 3 * * ? *) or rate(1 "
                      "day), in UTC; none: never");
  command->add_option("--on-upload", o.starts.on_upload,
                      "with the handler trigger: each new object there starts a job, "
                      "s3://BUCKET/PREFIX; none: none does");
  const auto job_file = std::make_shared<std::string>();
  command->add_option("--job", *job_file, "the job file of --schedule and --on-upload");
  command->add_flag("--dry-run", o.dry_run, "say what would change, and change nothing");
  command->callback([options, job_file, &globals] {
    if (!job_file->empty()) options->starts.job = event_of(*job_file);
    aws::LambdaClient client;
    const auto say = [&globals](const std::string& text) {
      if (!globals.quiet) tell_line(text);
    };
    Json all = Json::array();
    bool changed = false;
    for (const deploy::Deployed& deployed : deploy::deploy(client, *options, say)) {
      changed |= !deployed.changes.empty();
      if (!globals.json) print_deployed(deployed);
      all.push_back(deploy::to_json(deployed));
    }
    if (globals.json)
      print_json(
          json_text(Json{{"functions", all}, {"changed", changed}, {"dry_run", options->dry_run}}));
  });
}

}  // namespace lambdaml::cli
