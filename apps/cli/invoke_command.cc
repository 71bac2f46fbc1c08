#include <filesystem>
#include <memory>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "apps/cli/command.h"
#include "lambdaml/aws/lambda/lambda_client.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/files.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/text.h"
#include "lambdaml/job/compat_payload.h"
#include "lambdaml/job/job.h"
#include "lambdaml/tune/search.h"

namespace lambdaml::cli {
namespace {

struct InvokeArguments {
  std::string name;
  std::string payload = "{}";
  bool event = false;
  bool dry_run = false;
  bool log_tail = false;
};

/// The event, which must be JSON: given literally, in a file, or on standard input.
std::string read_payload(const std::string& given) {
  std::string text = given;
  if (!nlohmann::json::accept(given)) {
    const std::optional<Buffer> bytes = read_file(given == "-" ? "/dev/stdin" : given);
    if (!bytes)
      // It may hold secrets.
      fail(Code::invalid_argument,
           "--payload: what it says is neither JSON nor the name of a file that is there");
    text = bytes->text();
  }
  if (!nlohmann::json::accept(text))
    fail(Code::invalid_argument, "--payload {}: its content is not JSON",
         given == text ? "" : printable(given, 200));
  return text;
}

/// The id of the job or search that this event begins, if it is one for the handler trigger or
/// tuner: it follows from the request's id, so that an event delivered twice is one job.
std::string job_id_of(const std::string& payload, const std::string& request_id) {
  const nlohmann::json event = parse_json(payload);
  if (!event.is_object() || event.contains("worker_index")) return "";
  if (event.contains(std::string(tune::kSection))) return job::id_of_request("tune-", request_id);
  const bool is_job = event.contains("data") || job::is_original_payload(event);
  return is_job ? job::id_of_request("job-", request_id) : "";
}

}  // namespace

void add_invoke_command(CLI::App& app, Globals& globals) {
  CLI::App* command = add_command(app, globals, "invoke", "call a function on AWS Lambda");
  const auto arguments = std::make_shared<InvokeArguments>();
  command->add_option("NAME", arguments->name, "name or ARN of the function")->required();
  command->add_option("--payload", arguments->payload, "the event: JSON, a file, or - [{}]");
  CLI::Option* event =
      command->add_flag("--async", arguments->event, "hand the event over and do not wait");
  command->add_flag("--dry-run", arguments->dry_run, "only check that it could be called")
      ->excludes(event);
  command->add_flag("--log-tail", arguments->log_tail, "the last 4 KB of its log, to stderr")
      ->excludes(event);
  command->callback([arguments, &globals] {
    using Mode = aws::InvokeRequest::Mode;
    aws::InvokeRequest request;
    request.mode = arguments->dry_run ? Mode::dry_run : arguments->event ? Mode::event : Mode::wait;
    request.payload = read_payload(arguments->payload);
    request.log_tail = arguments->log_tail;
    aws::LambdaClient client;
    const aws::InvokeResult result = client.invoke(arguments->name, request);
    if (!result.log_tail.empty()) tell(result.log_tail + "\n");
    const std::string job_id =
        request.mode == Mode::event ? job_id_of(request.payload, result.request_id) : "";
    if (globals.json) {
      nlohmann::ordered_json json = {{"function", arguments->name},
                                     {"status", result.status},
                                     {"request_id", result.request_id},
                                     {"failed", result.failed}};
      if (!job_id.empty()) json["job_id"] = job_id;
      if (result.failed) {
        json["error_type"] = result.error_type;
        json["error_message"] = result.error_message;
      } else {
        auto response = parse_ordered_json(result.payload);
        if (response.is_discarded())
          json["response"] = result.payload;
        else
          json["response"] = std::move(response);
      }
      print_json(json_text(json));
    }
    if (result.failed)
      fail(Code::unavailable, "the function '{}' failed: {}: {}", arguments->name,
           result.error_type, result.error_message);
    if (globals.json) return;
    if (request.mode == Mode::wait)
      print_json(result.payload);
    else if (!globals.quiet)
      print_line(request.mode == Mode::event
                     ? fmt::format("taken, request {}{}", result.request_id,
                                   job_id.empty() ? "" : ", job " + job_id)
                     : fmt::format("'{}' could be called", arguments->name));
  });
}

}  // namespace lambdaml::cli
