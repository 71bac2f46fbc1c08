#include "lambdaml/storage/dynamodb/service.h"

#include <algorithm>
#include <string>

#include <zlib.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/service/answers.h"
#include "lambdaml/base/service/backoff.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/wait.h"
#include "lambdaml/storage/dynamodb/item.h"

namespace lambdaml::storage::dynamodb {
namespace {

constexpr std::string_view kTarget = "x-amz-target";
constexpr std::string_view kVersion = "DynamoDB_20120810.";
constexpr double kFirstPoll_s = 0.002;
constexpr double kLongestPoll_s = 1;
constexpr double kCreation_s = 60;  ///< of a table; some 10 on AWS
/// A reply to a batch has at most 16 MB of items, each byte of a value in 4/3 of base64.
constexpr std::size_t kMostBatchBytes = 24U << 20U;
/// A page of a Scan, which here has no values, stands for at most 1 MB of keys and numbers; a byte
/// of a key may become six in JSON.
constexpr std::size_t kMostPageBytes = 8U << 20U;

bool is_one_of(std::string_view type, std::initializer_list<std::string_view> types) {
  return std::ranges::find(types, type) != types.end();
}

/// Whether the body is the one that was sent; true if the server sends no checksum.
bool is_intact(const aws::Response& answer) {
  const std::string_view told = answer.header("x-amz-crc32");
  if (told.empty()) return true;
  const auto sum =
      ::crc32_z(0, reinterpret_cast<const Bytef*>(answer.body.data()), answer.body.size());
  return to_integer(told) == static_cast<std::int64_t>(sum);
}

bool is_throttling(std::string_view type) {
  return is_one_of(type, {"ProvisionedThroughputExceededException", "ThrottlingException",
                          "RequestLimitExceeded"});
}
bool is_passing(std::string_view type) {
  return is_one_of(type, {"InternalServerError", "ServiceUnavailable",
                          "ServiceUnavailableException", "TransactionInProgressException"});
}

/// Whether the answer comes from DynamoDB or a service that speaks its protocol.
bool is_marked(const aws::Response& answer) {
  return answer.has_header_like("x-amz") ||
         answer.header("content-type").starts_with("application/x-amz-json");
}

aws::Verdict judge(const aws::Response& answer) {
  if (answer.status == 501) return aws::Verdict::answer;  // the server will not learn it
  if (!is_marked(answer) || !is_intact(answer)) return aws::Verdict::again;
  if (answer.ok()) return aws::Verdict::answer;
  const Problem problem = parse_problem(answer.body.text());
  if (is_throttling(problem.type) || answer.status == 429) return aws::Verdict::slow_down;
  if (is_passing(problem.type) || aws::is_server_fault(answer.status)) return aws::Verdict::again;
  if (problem.type == "ExpiredTokenException") return aws::Verdict::credentials;
  const bool about_time = problem.message.find("Signature expired") != std::string::npos ||
                          problem.message.find("Signature not yet current") != std::string::npos;
  if (problem.type == "RequestTimeTooSkewed" ||
      (is_one_of(problem.type, {"InvalidSignatureException", "SignatureDoesNotMatch"}) &&
       about_time))
    return aws::Verdict::clock;
  return aws::Verdict::answer;
}

/// `is_told`: whether the answer's text may be repeated.
std::string explain(const aws::Response& answer, bool is_told) {
  if (!is_marked(answer))
    return fmt::format("HTTP {} without DynamoDB's x-amzn-RequestId: something else answers there",
                       answer.status);
  if (!is_intact(answer)) return "the answer was damaged on its way (x-amz-crc32)";
  const Problem problem = parse_problem(answer.body.text());
  if (!is_error_code(problem.type))
    return fmt::format("HTTP {}, which is not DynamoDB's{}", answer.status,
                       is_told ? fmt::format(": '{}'", printable(answer.body.text(), 80)) : "");
  return problem.message.empty() || !is_told ? problem.type : problem.type + ": " + problem.message;
}

Code code_of_problem(const Problem& problem, int status) {
  const std::string& type = problem.type;
  if (status == 501 || type == "UnknownOperationException") return Code::invalid_argument;
  if (type.empty()) return Code::data_corrupt;
  if (type == "ResourceNotFoundException") return Code::not_found;
  if (is_one_of(type, {"UnrecognizedClientException", "InvalidSignatureException",
                       "SignatureDoesNotMatch", "AccessDeniedException", "AccessDenied",
                       "MissingAuthenticationToken", "MissingAuthenticationTokenException",
                       "IncompleteSignatureException", "IncompleteSignature",
                       "InvalidClientTokenId", "ExpiredTokenException", "OptInRequired"}))
    return Code::permission_denied;
  if (is_one_of(type, {"ItemCollectionSizeLimitExceededException", "LimitExceededException"}))
    return Code::resource_exhausted;
  if (type == "ValidationException" && (problem.message.find("size") != std::string::npos))
    return Code::resource_exhausted;
  return Code::internal;
}

aws::Request request_of(std::string_view name, Kind kind, const std::string& body) {
  aws::Request request;
  request.tag = static_cast<int>(kind);
  request.method = "POST";
  request.headers = {{"content-type", "application/x-amz-json-1.0"},
                     {std::string(kTarget), std::string(kVersion) + std::string(name)}};
  request.body = as_bytes(body);
  const bool may_hold_values = kind == Kind::put || kind == Kind::get;
  request.most_bytes = may_hold_values ? kMostBatchBytes : kMostPageBytes;
  return request;
}

}  // namespace

Service::Service(Address address, std::shared_ptr<Patience> patience)
    : address_(std::move(address)), client_(client_options(std::move(patience))) {}

aws::ClientOptions Service::client_options(std::shared_ptr<Patience> patience) {
  aws::ClientOptions options;
  options.service = "dynamodb";
  options.region = address_.region;
  options.endpoint = address_.endpoint;
  options.judge = judge;
  options.pace = pace_;
  options.explain = [this](const aws::Response& answer) { return explain(answer, is_told()); };
  options.patience = std::move(patience);
  options.on_sent = [this](const aws::Request& request) {
    if (!meter_) return;
    switch (static_cast<Kind>(request.tag)) {
      case Kind::put:
        return meter_->count_put(1, 0);
      case Kind::get:
        return meter_->count_get(1, 0);
      case Kind::list:
        return meter_->count_list(1);
      case Kind::remove:
        return meter_->count_remove(1);
      case Kind::other:
        return;
    }
  };
  return options;
}

bool Service::is_told() const { return address_.endpoint.empty() || repeats_answers(); }

bool Service::is_condition_failed(const aws::Response& answer) {
  return !answer.ok() &&
         parse_problem(answer.body.text()).type == "ConditionalCheckFailedException";
}

std::string Service::what(std::string_view name, std::string_view subject) const {
  return fmt::format("{} of {} in the table '{}'", name, subject, address_.table);
}

aws::Response Service::call(std::string_view name, Kind kind, const std::string& body,
                            std::string_view subject) {
  return std::move(call_all(name, kind, {&body, 1}, subject).front());
}

std::vector<aws::Response> Service::call_all(std::string_view name, Kind kind,
                                             std::span<const std::string> bodies,
                                             std::string_view subject) {
  std::vector<aws::Request> requests;
  requests.reserve(bodies.size());
  for (const std::string& body : bodies) requests.push_back(request_of(name, kind, body));
  std::vector<aws::Response> answers = client_.call_all(requests, what(name, subject));
  for (const aws::Response& answer : answers)
    if (!answer.ok() && !is_condition_failed(answer)) fail_answer(what(name, subject), answer);
  return answers;
}

void Service::fail_answer(std::string_view what, const aws::Response& answer) const {
  const Problem problem = parse_problem(answer.body.text());
  const Code code = code_of_problem(problem, answer.status);
  fail(code, "{}: {}: {}{}", client_.endpoint(), what, explain(answer, is_told()),
       code == Code::not_found ? "; make the table, or add ?create=true to its URI" : "");
}

void Service::rethrow(std::string_view name, std::string_view subject) const {
  rethrow_with(fmt::format("{}: {}", client_.endpoint(), what(name, subject)));
}

Reply Service::parse(std::string_view name, std::string_view subject, const aws::Response& answer) {
  const std::string attribute = key_attribute();
  try {
    return parse_reply(answer.body.text(), attribute);
  } catch (const Error&) {
    rethrow(name, subject);
  }
}

Buffer Service::take_value(std::string_view name, ReplyItem& item) const {
  try {
    Buffer value = item.take_value();
    if (meter_) meter_->count_get(0, value.size());
    return value;
  } catch (const Error&) {
    rethrow(name, fmt::format("'{}'", printable(item.key)));
  }
}

void Service::count_written(const Reply& reply, double computed) const {
  if (meter_) meter_->count_units(reply.units.value_or(computed), 0);
}

void Service::count_read(const Reply& reply, double computed) const {
  if (meter_) meter_->count_units(0, reply.units.value_or(computed));
}

double Service::read_units_of(const ReplyItem& item) {
  return read_units(item_bytes(key_attribute(), item.key, item.value ? item.value->size() : 0));
}

std::string Service::key_attribute() {
  const std::lock_guard lock(mutex_);
  if (key_attribute_.empty()) key_attribute_ = find_key_attribute();
  return key_attribute_;
}

std::string Service::find_key_attribute() {
  const Deadline deadline = Deadline::in(kCreation_s);
  const std::string named = fmt::format(R"({{"TableName":"{}"}})", address_.table);
  bool create = address_.create;
  for (Backoff backoff(kFirstPoll_s, kLongestPoll_s);;) {
    const aws::Request request = request_of("DescribeTable", Kind::other, named);
    const aws::Response answer = client_.call(request, what("DescribeTable", "its key"), deadline);
    if (!answer.ok()) {
      const bool absent = parse_problem(answer.body.text()).type == "ResourceNotFoundException";
      if (!absent || !address_.create) fail_answer(what("DescribeTable", "its key"), answer);
      // A new table may not be visible everywhere yet.
      if (std::exchange(create, false)) create_table(deadline);
    } else {
      TableState table;
      try {
        table = parse_table(answer.body.text());
      } catch (const Error&) {
        rethrow("DescribeTable", "its key");
      }
      // In other states, UPDATING and the like, a table can be used.
      if (table.status == "DELETING")
        fail(Code::not_found, "{}: the table '{}' is being deleted", client_.endpoint(),
             address_.table);
      if (table.status != "CREATING") {
        if (table.key_attribute.empty())
          fail(Code::invalid_argument,
               "{}: the table '{}' cannot hold values: its key must be one string attribute (HASH) "
               "that is not called '{}' or '{}'",
               client_.endpoint(), address_.table, kValueAttribute, kBytesAttribute);
        return table.key_attribute;
      }
    }
    if (deadline.passed())
      fail(Code::unavailable, "{}: the table '{}' is still being created after {}",
           client_.endpoint(), address_.table, human_seconds(kCreation_s));
    pause_for(backoff.next_s());
  }
}

void Service::create_table(Deadline deadline) {
  const std::string body =
      fmt::format(R"({{"TableName":"{}","BillingMode":"PAY_PER_REQUEST",)"
                  R"("AttributeDefinitions":[{{"AttributeName":"key","AttributeType":"S"}}],)"
                  R"("KeySchema":[{{"AttributeName":"key","KeyType":"HASH"}}]}})",
                  address_.table);
  const aws::Request request = request_of("CreateTable", Kind::other, body);
  const aws::Response answer = client_.call(request, what("CreateTable", "it"), deadline);
  // Another worker may have been faster.
  if (!answer.ok() && parse_problem(answer.body.text()).type != "ResourceInUseException")
    fail_answer(what("CreateTable", "it"), answer);
}

}  // namespace lambdaml::storage::dynamodb
