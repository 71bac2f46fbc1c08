#include "lambdaml/aws/lambda/lambda_json.h"

#include <algorithm>
#include <initializer_list>

#include <nlohmann/json.hpp>

#include "lambdaml/aws/digest.h"
#include "lambdaml/base/formats/base64.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/text.h"

namespace lambdaml::aws {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kLongestMessage = 400;

Json parse(std::string_view body) {
  Json json = parse_json(body);
  if (!json.is_object())
    fail(Code::data_corrupt, "the answer is not Lambda's: '{}'", printable(body, 80));
  return json;
}

/// A member; null if there is none or it is not an object.
const Json& member(const Json& json, const char* name) {
  static const Json none;
  const auto at = json.is_object() ? json.find(name) : json.end();
  return json.is_object() && at != json.end() ? *at : none;
}
std::optional<int> number(const Json& json, const char* name) {
  const Json& value = member(json, name);
  if (!value.is_number()) return {};
  return static_cast<int>(std::clamp(value.get<double>(), -1.0, 2e9));
}
std::map<std::string, std::string> texts(const Json& json) {
  std::map<std::string, std::string> out;
  if (json.is_object())
    for (const auto& [name, value] : json.items())
      if (value.is_string()) out[name] = value.get<std::string>();
  return out;
}
std::vector<std::string> list(const Json& json) {
  std::vector<std::string> out;
  if (json.is_array())
    for (const Json& value : json)
      if (value.is_string()) out.push_back(value.get<std::string>());
  return out;
}

/// As FunctionSettings has them.
std::vector<std::string> mounts(const Json& json) {
  std::vector<std::string> out;
  if (json.is_array())
    for (const Json& mount : json)
      out.push_back(text_at(mount, "Arn") + "=" + text_at(mount, "LocalMountPath"));
  return out;
}

bool is_one_of(std::string_view type, std::initializer_list<std::string_view> types) {
  return std::ranges::find(types, type) != types.end();
}

FunctionDescription description_of(const Json& json) {
  FunctionDescription out;
  out.name = text_at(json, "FunctionName");
  if (out.name.empty())
    fail(Code::data_corrupt, "the answer is not Lambda's: it has no FunctionName");
  out.arn = text_at(json, "FunctionArn");
  out.runtime = text_at(json, "Runtime");
  out.package_type = text_at(json, "PackageType");
  const std::vector<std::string> architectures = list(member(json, "Architectures"));
  out.architecture = architectures.empty() ? "x86_64" : architectures.front();
  out.settings.role = text_at(json, "Role");
  out.settings.handler = text_at(json, "Handler");
  const std::vector<std::string> command =
      list(member(member(member(json, "ImageConfigResponse"), "ImageConfig"), "Command"));
  if (!command.empty()) out.settings.command = command.front();
  out.settings.memory_mb = number(json, "MemorySize");
  out.settings.timeout_s = number(json, "Timeout");
  out.settings.ephemeral_mb = number(member(json, "EphemeralStorage"), "Size").value_or(512);
  out.settings.environment = texts(member(member(json, "Environment"), "Variables"));
  out.settings.subnets = list(member(member(json, "VpcConfig"), "SubnetIds"));
  out.settings.security_groups = list(member(member(json, "VpcConfig"), "SecurityGroupIds"));
  out.settings.file_systems = mounts(member(json, "FileSystemConfigs"));
  out.code_sha256 = text_at(json, "CodeSha256");
  out.code_bytes = static_cast<std::int64_t>(count_at(json, "CodeSize"));
  out.state = text_at(json, "State");
  out.update = text_at(json, "LastUpdateStatus");
  const char* const about = out.update == "Failed" ? "LastUpdateStatusReason" : "StateReason";
  out.reason = text_at(json, about);
  if (const std::string code = text_at(json, (std::string(about) + "Code").c_str()); !code.empty())
    out.reason = out.reason.empty() ? code : code + ": " + out.reason;
  out.reason = printable(out.reason, kLongestMessage);
  out.last_change = text_at(json, "LastModified");
  return out;
}

Json settings_json(const FunctionSettings& settings) {
  Json json = Json::object();
  if (settings.role) json["Role"] = *settings.role;
  if (settings.handler) json["Handler"] = *settings.handler;
  if (settings.command) json["ImageConfig"] = {{"Command", std::vector{*settings.command}}};
  if (settings.memory_mb) json["MemorySize"] = *settings.memory_mb;
  if (settings.timeout_s) json["Timeout"] = *settings.timeout_s;
  if (settings.ephemeral_mb) json["EphemeralStorage"] = {{"Size", *settings.ephemeral_mb}};
  if (settings.environment) json["Environment"] = {{"Variables", Json(*settings.environment)}};
  if (settings.subnets || settings.security_groups) {
    using Names = std::vector<std::string>;
    json["VpcConfig"] = {{"SubnetIds", settings.subnets.value_or(Names())},
                         {"SecurityGroupIds", settings.security_groups.value_or(Names())}};
  }
  if (settings.file_systems) {
    Json& mounts = json["FileSystemConfigs"] = Json::array();
    for (const std::string& mount : *settings.file_systems) {
      const std::size_t equals = mount.rfind('=');
      mounts.push_back(
          {{"Arn", mount.substr(0, equals)}, {"LocalMountPath", mount.substr(equals + 1)}});
    }
  }
  return json;
}

Json code_json(const FunctionCode& code) {
  if (!code.image_uri.empty()) return {{"ImageUri", code.image_uri}};
  if (!code.s3_key.empty()) return {{"S3Bucket", code.s3_bucket}, {"S3Key", code.s3_key}};
  return {{"ZipFile", encode_base64(code.zip)}};
}

}  // namespace

LambdaProblem problem_of(const aws::Response& answer) {
  LambdaProblem problem;
  const Json json = parse_json(answer.body.text());
  std::string type(answer.header("x-amzn-errortype"));
  if (type.empty()) type = text_at(json, "__type");
  if (type.empty()) type = text_at(json, "code");
  // Either end may carry a namespace: "com.amazonaws.lambda#X" or "X:http://internal…".
  if (const auto hash = type.find('#'); hash != std::string::npos) type.erase(0, hash + 1);
  type = type.substr(0, type.find(':'));
  problem.type = printable(type, 80);
  std::string message = text_at(json, "Message");
  if (message.empty()) message = text_at(json, "message");
  problem.message = printable(message, kLongestMessage);
  const Json& after = member(json, "retryAfterSeconds");
  if (after.is_number()) problem.retry_after_s = after.get<double>();
  if (after.is_string()) problem.retry_after_s = to_real(after.get<std::string>()).value_or(0);
  if (problem.retry_after_s == 0)
    problem.retry_after_s = to_real(answer.header("retry-after")).value_or(0);
  problem.retry_after_s = std::clamp(problem.retry_after_s, 0.0, 900.0);
  return problem;
}

Code code_of_problem(const LambdaProblem& problem, int status) {
  const std::string& type = problem.type;
  if (type == "ResourceNotFoundException") return Code::not_found;
  if (is_one_of(type, {"ResourceConflictException", "ResourceInUseException"}))
    return Code::already_exists;
  if (is_one_of(type, {"TooManyRequestsException", "ThrottlingException",
                       "CodeStorageExceededException", "ServiceQuotaExceededException"}))
    return Code::resource_exhausted;
  if (is_one_of(type, {"AccessDeniedException", "AccessDenied", "ExpiredTokenException",
                       "UnrecognizedClientException", "InvalidSignatureException",
                       "IncompleteSignatureException", "SignatureDoesNotMatch",
                       "MissingAuthenticationTokenException", "MissingAuthenticationToken",
                       "InvalidClientTokenId", "OptInRequired", "KMSAccessDeniedException",
                       "EC2AccessDeniedException"}))
    return Code::permission_denied;
  if (is_one_of(type, {"RequestTooLargeException", "InvalidParameterValueException",
                       "InvalidRequestContentException", "ValidationException",
                       "UnsupportedMediaTypeException", "SerializationException",
                       "PreconditionFailedException"}))
    return Code::invalid_argument;
  if (status == 413) return Code::invalid_argument;
  if (status == 403) return Code::permission_denied;
  if (status == 429) return Code::resource_exhausted;
  if (status == 501) return Code::invalid_argument;
  if (status >= 500) return Code::unavailable;
  return type.empty() ? Code::data_corrupt : Code::internal;
}

bool is_throttled(const aws::Response& answer) {
  if (answer.status == 429) return true;
  return answer.status == 400 && problem_of(answer).type == "ThrottlingException";
}
bool is_conflict(const aws::Response& answer) {
  return answer.status == 409 && problem_of(answer).type != "ResourceInUseException";
}

std::string create_body(const std::string& name, const FunctionSettings& settings,
                        const FunctionCode& code, const std::map<std::string, std::string>& tags) {
  Json json = settings_json(settings);
  json["FunctionName"] = name;
  json["Code"] = code_json(code);
  if (code.image_uri.empty()) {
    json["PackageType"] = "Zip";
    json["Runtime"] = "provided.al2023";
  } else {
    json["PackageType"] = "Image";
    json.erase("Handler");
  }
  if (!code.architecture.empty()) json["Architectures"] = {code.architecture};
  if (!tags.empty()) json["Tags"] = tags;
  return json_text(json);
}

std::string settings_body(const FunctionSettings& settings) {
  return json_text(settings_json(settings));
}
std::string code_body(const FunctionCode& code) {
  Json json = code_json(code);
  if (!code.architecture.empty()) json["Architectures"] = {code.architecture};
  return json_text(json);
}
std::string event_config_body(const EventInvokeConfig& config) {
  Json json = Json::object();
  if (config.retries) json["MaximumRetryAttempts"] = *config.retries;
  if (config.max_age_s) json["MaximumEventAgeInSeconds"] = *config.max_age_s;
  return json_text(json);
}
std::string tags_body(const std::map<std::string, std::string>& tags) {
  return json_text(Json{{"Tags", tags}});
}
std::string permission_body(const std::string& statement, const std::string& service,
                            const std::string& source_arn) {
  return json_text(Json{{"StatementId", statement},
                        {"Action", "lambda:InvokeFunction"},
                        {"Principal", service},
                        {"SourceArn", source_arn}});
}

std::string concurrency_body(int reserved) {
  return json_text(Json{{"ReservedConcurrentExecutions", reserved}});
}

FunctionDescription parse_configuration(std::string_view body) {
  return description_of(parse(body));
}

FunctionDescription parse_function(std::string_view body) {
  const Json json = parse(body);
  FunctionDescription out = description_of(member(json, "Configuration"));
  out.image_uri = text_at(member(json, "Code"), "ImageUri");
  out.tags = texts(member(json, "Tags"));
  out.reserved_concurrency = number(member(json, "Concurrency"), "ReservedConcurrentExecutions");
  return out;
}

std::string parse_page(std::string_view body, std::vector<FunctionDescription>& out) {
  const Json json = parse(body);
  const Json& functions = member(json, "Functions");
  if (functions.is_array())
    for (const Json& function : functions) out.push_back(description_of(function));
  return text_at(json, "NextMarker");
}

AccountSettings parse_account(std::string_view body) {
  const Json json = parse(body);
  const Json& limit = member(json, "AccountLimit");
  const std::optional<int> all = number(limit, "ConcurrentExecutions");
  if (!all) fail(Code::data_corrupt, "the account's settings have no ConcurrentExecutions");
  return {*all, number(limit, "UnreservedConcurrentExecutions").value_or(*all)};
}

EventInvokeConfig parse_event_config(std::string_view body) {
  const Json json = parse(body);
  return {number(json, "MaximumRetryAttempts"), number(json, "MaximumEventAgeInSeconds")};
}

std::optional<int> parse_concurrency(std::string_view body) {
  return number(parse(body), "ReservedConcurrentExecutions");
}

LambdaProblem parse_function_error(std::string_view payload, std::string_view kind) {
  const Json json = parse_json(payload);
  LambdaProblem problem;
  problem.type = printable(text_at(json, "errorType"), 120);
  if (problem.type.empty()) problem.type = printable(kind, 40);
  problem.message = printable(text_at(json, "errorMessage"), kLongestMessage);
  if (problem.message.empty()) problem.message = printable(payload, 200);
  return problem;
}

std::string code_sha256(Bytes bytes) { return encode_base64(aws::sha256(bytes)); }

}  // namespace lambdaml::aws
