#include "lambdaml/deploy/event_bridge.h"

#include <sstream>
#include <string_view>

#include "lambdaml/aws/bucket_request.h"
#include "lambdaml/aws/lambda/lambda_json.h"
#include "lambdaml/base/environment.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/text.h"

namespace lambdaml::deploy {
namespace {

using nlohmann::json;

constexpr double kOperation_s = 120;
constexpr const char* kElement = "EventBridgeConfiguration";

std::string explain(const aws::Response& answer) {
  const aws::LambdaProblem problem = aws::problem_of(answer);
  if (problem.type.empty())
    return fmt::format("HTTP {}: '{}'", answer.status, printable(answer.body.text(), 80));
  return problem.message.empty() ? problem.type : problem.type + ": " + problem.message;
}

aws::Verdict judge(const aws::Response& answer) {
  if (answer.ok()) return aws::Verdict::answer;
  if (aws::is_server_fault(answer.status) || answer.status == 429) return aws::Verdict::again;
  const std::string type = aws::problem_of(answer).type;
  if (type == "ThrottlingException" || type == "ConcurrentModificationException")
    return aws::Verdict::again;
  if (type == "ExpiredTokenException") return aws::Verdict::credentials;
  return aws::Verdict::answer;
}

json member(const json& object, const char* name) {
  return object.is_object() ? object.value(name, json()) : json();
}

/// Whether a pattern's list of values says that it can be none like this: it holds other texts
/// only, no conditions.
bool excludes(const json& values, const std::string& value) {
  if (!values.is_array()) return false;
  for (const json& one : values)
    if (!one.is_string() || one == value) return false;
  return true;
}

}  // namespace

aws::Client& EventBridge::client() {
  if (!client_)
    client_.emplace(aws::ClientOptions{
        .service = "events",
        // As AWS's tools call the service.
        .endpoint = environment_variable("AWS_ENDPOINT_URL_EVENTBRIDGE").value_or(""),
        .judge = judge,
        .explain = explain});
  return *client_;
}

std::optional<json> EventBridge::find(const char* operation, const json& input) {
  const std::string body = json_text(input);
  aws::Request request;
  request.method = "POST";
  request.headers = {{"content-type", "application/x-amz-json-1.1"},
                     {"x-amz-target", std::string("AWSEvents.") + operation}};
  request.body = as_bytes(body);
  const aws::Response answer = client().call(request, operation, Deadline::in(kOperation_s));
  if (answer.ok()) {
    json out = answer.body.text().empty() ? json::object() : parse_json(answer.body.text());
    if (!out.is_object())
      fail(Code::data_corrupt, "{}: {}: the answer is not EventBridge's: '{}'", client().endpoint(),
           operation, printable(answer.body.text(), 80));
    return out;
  }
  const aws::LambdaProblem problem = aws::problem_of(answer);
  if (problem.type == "ResourceNotFoundException") return {};
  const bool is_denied = answer.status == 403 || problem.type == "AccessDeniedException" ||
                         problem.type == "UnrecognizedClientException";
  fail(is_denied ? Code::permission_denied : Code::invalid_argument, "{}: {}: {}{}",
       client().endpoint(), operation, explain(answer),
       is_denied ? fmt::format("; the credentials must allow events:{}", operation) : "");
}

json EventBridge::call(const char* operation, const json& input) {
  if (auto answer = find(operation, input)) return *std::move(answer);
  fail(Code::not_found, "{}: {}: there is no such rule any more", client().endpoint(), operation);
}

std::string EventBridge::rule_for(const std::string& bucket, const std::string& except) {
  json input = {{"Limit", 100}};
  while (true) {
    const json page = call("ListRules", input);
    for (const json& rule : member(page, "Rules")) {
      if (!rule.is_object() || text_at(rule, "Name") == except) continue;
      const std::string text = text_at(rule, "EventPattern");
      if (text.empty()) continue;  // It has a schedule alone.
      const json pattern = parse_json(text);
      if (!excludes(member(pattern, "source"), "aws.s3") &&
          !excludes(member(member(member(pattern, "detail"), "bucket"), "name"), bucket))
        return text_at(rule, "Name");
    }
    const std::string next = text_at(page, "NextToken");
    if (next.empty() || next == text_at(input, "NextToken")) return {};
    input["NextToken"] = next;
  }
}

bool BucketEvents::are_on() {
  const std::string text = send("GET", "", "GetBucketNotificationConfiguration");
  document_.load_buffer(text.data(), text.size());
  pugi::xml_node top = root();
  // moto names it after the operation.
  if (std::string_view(top.name()) == "GetBucketNotificationResponse")
    top.set_name("NotificationConfiguration");
  if (std::string_view(top.name()) != "NotificationConfiguration")
    fail(Code::data_corrupt, "{}: bucket {}: its notifications are no XML of S3: '{}'",
         client_.endpoint(), bucket_, printable(text, 80));
  return static_cast<bool>(top.child(kElement));
}

void BucketEvents::turn(bool on) {
  if (on == static_cast<bool>(root().child(kElement))) return;
  if (on)
    root().append_child(kElement);
  else
    root().remove_child(kElement);
  std::ostringstream text;
  document_.save(text, "", pugi::format_raw);
  send("PUT", text.str(), "PutBucketNotificationConfiguration");
}

std::string BucketEvents::send(const char* method, const std::string& body, const char* operation) {
  aws::Request request = aws::bucket_request(
      client_, method, bucket_, "", aws::names_bucket_in_path(bucket_, !client_.is_custom()));
  request.query = {{"notification", ""}};
  if (!body.empty()) request.headers = {{"content-type", "application/xml"}};
  request.body = as_bytes(body);
  const aws::Response answer = client_.call(request, operation, Deadline::in(kOperation_s));
  if (answer.ok()) return std::string(answer.body.text());
  pugi::xml_document document;
  document.load_buffer(answer.body.text().data(), answer.body.size());
  const std::string code = printable(document.document_element().child_value("Code"), 60);
  const std::string what = fmt::format("{}: {} of the bucket {}: HTTP {} {}", client_.endpoint(),
                                       operation, bucket_, answer.status, code);
  if (answer.status == 404) fail(Code::not_found, "{}; --on-upload names no bucket", what);
  if (answer.status == 301 || code == "AuthorizationHeaderMalformed")
    fail(Code::invalid_argument, "{}; the bucket must be in the functions' region, {}", what,
         client_.region());
  fail(answer.status == 403 ? Code::permission_denied : Code::invalid_argument, "{}{}", what,
       answer.status == 403
           ? fmt::format("; the credentials must allow s3:{}", std::string_view(method) == "GET"
                                                                   ? "GetBucketNotification"
                                                                   : "PutBucketNotification")
           : "");
}

}  // namespace lambdaml::deploy
