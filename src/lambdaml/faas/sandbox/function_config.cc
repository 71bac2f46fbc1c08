#include "lambdaml/faas/sandbox/function_config.h"

#include <array>
#include <chrono>
#include <ctime>
#include <regex>
#include <string_view>

#include <fmt/format.h>

#include "lambdaml/base/clock.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/text.h"
#include "lambdaml/faas/failure.h"
#include "lambdaml/faas/sandbox/service_error.h"

namespace lambdaml::faas::sandbox {
namespace {

constexpr std::size_t kMostVariableBytes = 4096;
constexpr std::array<std::string_view, 16> kReserved = {"_HANDLER",
                                                        "_X_AMZN_TRACE_ID",
                                                        "AWS_REGION",
                                                        "AWS_DEFAULT_REGION",
                                                        "AWS_EXECUTION_ENV",
                                                        "AWS_LAMBDA_FUNCTION_NAME",
                                                        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
                                                        "AWS_LAMBDA_FUNCTION_VERSION",
                                                        "AWS_LAMBDA_INITIALIZATION_TYPE",
                                                        "AWS_LAMBDA_LOG_GROUP_NAME",
                                                        "AWS_LAMBDA_LOG_STREAM_NAME",
                                                        "AWS_ACCESS_KEY_ID",
                                                        "AWS_SECRET_ACCESS_KEY",
                                                        "AWS_SESSION_TOKEN",
                                                        "AWS_LAMBDA_RUNTIME_API",
                                                        "LAMBDA_TASK_ROOT"};

std::string now_text() {
  const std::time_t now = std::chrono::system_clock::to_time_t(wall_now());
  std::tm utc{};
  gmtime_r(&now, &utc);
  char text[64];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S.000+0000", &utc);
  return text;
}

void read_text(const json& request, const char* key, std::string& into) {
  if (const auto at = request.find(key); at != request.end() && !at->is_null())
    into = at->get<std::string>();
}

int checked(const json& value, const char* key, int least, int most) {
  const auto n = whole_number<std::int64_t>(value);
  if (n < least || n > most)
    throw invalid_parameter(
        fmt::format("{} must be between {} and {}; it is {}.", key, least, most, n));
  return static_cast<int>(n);
}

void read_number(const json& request, const char* key, int least, int most, int& into) {
  if (const auto at = request.find(key); at != request.end() && !at->is_null())
    into = checked(*at, key, least, most);
}

void read_variables(const json& request, std::map<std::string, std::string>& into) {
  const auto at = request.find("Environment");
  if (at == request.end() || at->is_null()) return;
  into.clear();
  if (!at->contains("Variables")) return;
  std::size_t bytes = 0;
  for (const auto& [name, value] : at->at("Variables").items()) {
    for (const std::string_view reserved : kReserved)
      if (name == reserved)
        throw invalid_parameter(
            "Lambda was unable to configure your environment variables because the environment "
            "variables you have provided contains reserved keys that are currently not supported "
            "for modification. Reserved keys used in this request: " +
            name);
    into[name] = value.get<std::string>();
    if (name.empty() || name.find('=') != std::string::npos ||
        (name + into[name]).find('\0') != std::string::npos)
      throw invalid_parameter("A variable's name or value cannot be one of an environment.");
    bytes += name.size() + into[name].size();
  }
  if (bytes > kMostVariableBytes)
    throw invalid_parameter(
        "Lambda was unable to configure your environment variables because the environment "
        "variables you have provided exceeded the 4KB limit.");
}

void read_role(const json& request, std::string& into) {
  static const std::string kPattern =
      R"(arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+)";
  std::string role;
  read_text(request, "Role", role);
  if (role.empty() && !request.contains("Role")) return;
  // The length first: std::regex recurses for each character.
  constexpr std::size_t kLongest = 2048;
  if (role.size() > kLongest || !std::regex_match(role, std::regex(kPattern)))
    throw ServiceError(400, "ValidationException",
                       fmt::format("1 validation error detected: Value '{}' at 'role' failed to "
                                   "satisfy constraint: Member must satisfy regular expression "
                                   "pattern: {}",
                                   printable(role), kPattern));
  into = std::move(role);
}

/// Whether the request gives that setting another value than none.
bool gives(const json& request, const char* key) {
  const auto at = request.find(key);
  return at != request.end() && !at->empty() && *at != "" && *at != false;
}

/// A member of a setting that is an object; empty if there is none.
std::string member_of(const json& request, const char* key, const char* member) {
  const auto at = request.find(key);
  if (at == request.end() || !at->is_object()) return {};
  std::string out;
  read_text(*at, member, out);
  return out;
}

struct Unavailable {
  const char* setting;
  const char* why;
};
/// What would change how a function works, and cannot here.
constexpr Unavailable kUnavailable[] = {
    {"Layers", "put what they hold into the function's zip"},
    {"FileSystemConfigs", "no file system is mounted"},
    {"KMSKeyArn", "variables are not encrypted"},
    {"CodeSigningConfigArn", "signatures of code are not checked"},
    {"ImageConfig", "images are not run"},
    {"CapacityProviderConfig", "functions run on this machine"},
    {"DurableConfig", "executions are not kept"},
    {"TenancyConfig", "environments have no tenants"},
    {"Publish", "$LATEST is the only version"},
};

void refuse_unsupported(const json& request, const std::string& runtime) {
  for (const auto& [setting, why] : kUnavailable)
    if (gives(request, setting))
      throw invalid_parameter(fmt::format("{} is not available here: {}.", setting, why));
  if (!member_of(request, "DeadLetterConfig", "TargetArn").empty())
    throw invalid_parameter("DeadLetterConfig is not available here: failed events are dropped.");
  if (const std::string to = member_of(request, "SnapStart", "ApplyOn");
      !to.empty() && to != "None")  // AWS's message
    throw invalid_parameter(runtime + " is not supported for SnapStart enabled functions.");
  if (const std::string format = member_of(request, "LoggingConfig", "LogFormat");
      !format.empty() && format != "Text")
    throw invalid_parameter("LoggingConfig: logs are Text here, as the function writes them.");
  for (const char* more : {"LogGroup", "ApplicationLogLevel", "SystemLogLevel"})
    if (!member_of(request, "LoggingConfig", more).empty())
      throw invalid_parameter(
          fmt::format("LoggingConfig: {} is not available here: there are no log groups, and all "
                      "of a log is kept.",
                      more));
}

/// What has no effect on one machine: a network of its own and tracing. It is kept, as AWS does.
void read_kept(const json& request, FunctionConfig& config) {
  if (const std::string mode = member_of(request, "TracingConfig", "Mode"); !mode.empty()) {
    if (mode != "Active" && mode != "PassThrough")
      throw ServiceError(400, "ValidationException",
                         fmt::format("1 validation error detected: Value '{}' at "
                                     "'tracingConfig.mode' failed to satisfy constraint: Member "
                                     "must satisfy enum value set: [Active, PassThrough]",
                                     printable(mode)));
    config.tracing = mode;
  }
  const auto vpc = request.find("VpcConfig");
  if (vpc == request.end() || vpc->is_null()) return;
  for (auto [key, into] : {std::pair("SubnetIds", &config.subnets),
                           std::pair("SecurityGroupIds", &config.security_groups)})
    if (vpc->contains(key)) *into = vpc->at(key).get<std::vector<std::string>>();
}

}  // namespace

double epoch_seconds() {
  return std::chrono::duration<double>(wall_now().time_since_epoch()).count();
}

void read_config(const json& request, FunctionConfig& config) {
  read_role(request, config.role);
  read_text(request, "Runtime", config.runtime);
  read_text(request, "Handler", config.handler);
  read_text(request, "Description", config.description);
  read_number(request, "Timeout", 1, 900, config.timeout_s);
  read_number(request, "MemorySize", 128, 10'240, config.memory_mb);
  if (request.contains("EphemeralStorage"))
    read_number(request.at("EphemeralStorage"), "Size", 512, 10'240, config.ephemeral_mb);
  if (request.contains("Architectures")) {
    const json& names = request.at("Architectures");
    if (!names.is_array() || names.size() != 1 || (names[0] != "x86_64" && names[0] != "arm64"))
      throw invalid_parameter("Architectures must be [\"x86_64\"] or [\"arm64\"].");
    config.architecture = names[0];
  }
  read_variables(request, config.variables);
  if (!config.runtime.starts_with("provided"))
    throw invalid_parameter(
        fmt::format("The runtime '{}' is not available here: a custom runtime (provided.al2023) "
                    "brings its own.",
                    printable(config.runtime)));
  refuse_unsupported(request, printable(config.runtime));
  read_kept(request, config);
  if (request.value("PackageType", "Zip") != "Zip")
    throw invalid_parameter("PackageType must be Zip here: images are not run.");
  if (config.handler.empty() || config.handler.size() > 128)
    throw invalid_parameter("Handler must have 1 to 128 characters.");
  config.revision = new_request_id();
  config.last_modified = now_text();
}

void check_revision(const json& request, const FunctionConfig& config) {
  std::string wanted;
  read_text(request, "RevisionId", wanted);
  if (!wanted.empty() && wanted != config.revision)
    throw ServiceError(412, "PreconditionFailedException",
                       "The RevisionId provided does not match the latest RevisionId. Call the "
                       "GetFunction API to retrieve the latest RevisionId for your resource.");
}

EventInvokeConfig read_event_invoke_config(const json& request, EventInvokeConfig before) {
  if (const auto to = request.find("DestinationConfig"); to != request.end() && !to->is_null())
    for (const json& one : *to)
      if (!one.value("Destination", "").empty())
        throw invalid_parameter("Destinations are not available here: results are not sent on.");
  read_number(request, "MaximumRetryAttempts", 0, 2, before.retries);
  read_number(request, "MaximumEventAgeInSeconds", 60, 21'600, before.age_s);
  before.modified = epoch_seconds();
  return before;
}

json to_json(const EventInvokeConfig& config, const std::string& arn) {
  return {{"FunctionArn", arn + ":$LATEST"},
          {"LastModified", config.modified},
          {"MaximumRetryAttempts", config.retries},
          {"MaximumEventAgeInSeconds", config.age_s},
          {"DestinationConfig", {{"OnSuccess", json::object()}, {"OnFailure", json::object()}}}};
}

json to_json(const FunctionConfig& config) {
  json out = {{"FunctionName", config.name},
              {"FunctionArn", config.arn},
              {"Role", config.role},
              {"Runtime", config.runtime},
              {"Handler", config.handler},
              {"Description", config.description},
              {"Timeout", config.timeout_s},
              {"MemorySize", config.memory_mb},
              {"EphemeralStorage", {{"Size", config.ephemeral_mb}}},
              {"Architectures", {config.architecture}},
              {"PackageType", "Zip"},
              {"Version", "$LATEST"},
              {"TracingConfig", {{"Mode", config.tracing}}},
              {"RevisionId", config.revision},
              {"LastModified", config.last_modified},
              {"CodeSha256", config.code_sha256},
              {"CodeSize", config.code_bytes}};
  if (!config.subnets.empty() || !config.security_groups.empty())
    out["VpcConfig"] = {
        {"SubnetIds", config.subnets}, {"SecurityGroupIds", config.security_groups}, {"VpcId", ""}};
  if (!config.variables.empty()) out["Environment"] = {{"Variables", config.variables}};
  return out;
}

}  // namespace lambdaml::faas::sandbox
