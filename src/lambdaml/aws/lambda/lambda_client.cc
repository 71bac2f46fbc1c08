#include "lambdaml/aws/lambda/lambda_client.h"

#include <algorithm>
#include <numeric>
#include <string_view>

#include "lambdaml/aws/client.h"
#include "lambdaml/aws/lambda/lambda_json.h"
#include "lambdaml/aws/sigv4.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/formats/base64.h"
#include "lambdaml/base/service/backoff.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/wait.h"

namespace lambdaml::aws {
namespace {

constexpr std::string_view kFunctions = "/2015-03-31/functions/";
constexpr std::string_view kAccountSettings = "/2016-08-19/account-settings/";
constexpr double kLongestPause_s = 5;
constexpr double kReadSlack_s = 30;  ///< of a synchronous call beyond the function's time-out
/// More than a function may return (6 MB) and more than a page of 50 functions takes.
constexpr std::size_t kMostReplyBytes = 8U << 20U;

/// The IAM action of an operation.
std::string action_of(std::string_view operation) {
  return fmt::format("lambda:{}", operation == "Invoke" ? "InvokeFunction" : operation);
}

/// Whether the answer comes from Lambda.
bool is_marked(const aws::Response& answer) { return answer.has_header_like("x-amz"); }

std::string explain(const aws::Response& answer) {
  if (!is_marked(answer))
    return fmt::format("HTTP {} without Lambda's x-amzn-RequestId: something else answers there",
                       answer.status);
  const LambdaProblem problem = problem_of(answer);
  if (problem.type.empty())
    return fmt::format("HTTP {}: '{}'", answer.status, printable(answer.body.text(), 80));
  return problem.message.empty() ? problem.type : problem.type + ": " + problem.message;
}

/// Credentials or clock problems; such a request was not accepted.
aws::Verdict judge_rejected(const aws::Response& answer) {
  if (!is_marked(answer)) return answer.status == 501 ? aws::Verdict::answer : aws::Verdict::again;
  if (answer.status != 400 && answer.status != 403) return aws::Verdict::answer;
  const LambdaProblem problem = problem_of(answer);
  if (problem.type == "ExpiredTokenException") return aws::Verdict::credentials;
  const bool about_time = problem.message.find("Signature expired") != std::string::npos ||
                          problem.message.find("Signature not yet current") != std::string::npos;
  if (problem.type == "RequestTimeTooSkewed" ||
      (problem.type == "InvalidSignatureException" && about_time))
    return aws::Verdict::clock;
  return aws::Verdict::answer;
}

aws::Verdict judge(const aws::Response& answer) {
  // 429 says how long to wait: this class handles it, not the client.
  return aws::is_server_fault(answer.status) ? aws::Verdict::again : judge_rejected(answer);
}

/// Pauses between tries that grow and are jittered.
class Pauses {
 public:
  explicit Pauses(double first_s) : backoff_(first_s, kLongestPause_s) {}

  /// Returns false, without sleeping, if the deadline would pass during the pause.
  bool sleep(double at_least_s, Deadline deadline) {
    const double jittered = backoff_.next_s();
    // The time that the service asks for is a lower bound that all its clients were told.
    const double wait_s = at_least_s > 0 ? at_least_s + jittered : jittered;
    if (deadline.seconds_left() <= wait_s) return false;
    pause_for(wait_s);
    return true;
  }

 private:
  Backoff backoff_;
};

aws::Request request_of(std::string_view method, std::string path, std::string_view body = {}) {
  aws::Request request;
  request.method = method;
  request.path = std::move(path);
  if (!body.empty()) request.headers.emplace_back("content-type", "application/json");
  request.body = as_bytes(body);
  request.most_bytes = kMostReplyBytes;
  return request;
}

std::string path_of(std::string_view name, std::string_view rest = {},
                    std::string_view root = kFunctions) {
  return fmt::format("{}{}{}", root, aws::encode(name), rest);
}

aws::Request invocation(const std::string& name, InvokeRequest::Mode mode,
                        const std::string& payload, bool log_tail) {
  using Mode = InvokeRequest::Mode;
  aws::Request request = request_of("POST", path_of(name, "/invocations"), payload);
  request.headers.emplace_back("x-amz-invocation-type", mode == Mode::wait    ? "RequestResponse"
                                                        : mode == Mode::event ? "Event"
                                                                              : "DryRun");
  if (log_tail && mode == Mode::wait) request.headers.emplace_back("x-amz-log-type", "Tail");
  return request;
}

void check_payload(const std::string& name, std::size_t bytes, std::size_t limit) {
  if (bytes <= limit) return;
  fail(Code::invalid_argument,
       "Invoke of the function '{}': the event has {} bytes, Lambda takes {}; put what is large "
       "into storage and name it in the event",
       name, human_count(bytes), human_count(limit));
}

}  // namespace

class LambdaClient::Impl {
 public:
  explicit Impl(LambdaOptions options) : options_(std::move(options)), client_(client_options()) {}

  aws::ClientOptions client_options() const {
    aws::ClientOptions out;
    out.service = "lambda";
    out.region = options_.region;
    out.endpoint = options_.endpoint;
    out.judge = judge;
    out.explain = explain;
    return out;
  }

  /// For one synchronous call: a fresh connection, on which libcurl cannot resend.
  aws::ClientOptions patient_options(double timeout_s) const {
    aws::ClientOptions out = client_options();
    out.judge = judge_rejected;
    out.attempts = 1;
    const double answer_s = timeout_s + kReadSlack_s;
    out.patience = std::make_shared<Patience>(
        PatiencePolicy{.outage_s = answer_s, .first_contact_s = answer_s});
    return out;
  }

  const std::string& endpoint() const { return client_.endpoint(); }
  aws::Client& client() { return client_; }
  Pauses pauses() const { return Pauses(options_.first_pause_s); }

  static std::string what(std::string_view operation, std::string_view name) {
    return name.empty() ? std::string(operation)
                        : fmt::format("{} of the function '{}'", operation, printable(name));
  }

  [[noreturn]] void fail_answer(std::string_view operation, std::string_view name,
                                const aws::Response& answer, std::string_view more = {}) const {
    const Code code = code_of_problem(problem_of(answer), answer.status);
    std::string advice(more);
    if (code == Code::not_found && !name.empty())
      advice = "; deploy it with `lambdaml deploy`, or look at --function and the region";
    if (code == Code::permission_denied)
      advice = fmt::format("; the credentials must be valid and allow {}", action_of(operation));
    fail(code, "{}: {}: {}{}", endpoint(), what(operation, name), explain(answer), advice);
  }

  /// Sends, retrying throttled requests and (if `conflicts_pass`) conflicts with updates in
  /// progress.
  template <class Call>
  aws::Response send(std::string_view operation, std::string_view name, Deadline deadline,
                     bool conflicts_pass, Call&& call) {
    const Stopwatch watch;
    for (Pauses pauses = this->pauses();;) {
      aws::Response answer = call(what(operation, name));
      const bool throttled = is_throttled(answer);
      if (!throttled && !(conflicts_pass && is_conflict(answer))) return answer;
      if (pauses.sleep(problem_of(answer).retry_after_s, deadline)) continue;
      const std::string tried = fmt::format(" (tried for {})", human_seconds(watch.seconds()));
      if (throttled)
        fail_answer(operation, name, answer, tried + "; raise the concurrency or ask for less");
      fail(Code::unavailable, "{}: {}: {}{}", endpoint(), what(operation, name), explain(answer),
           tried);
    }
  }

  aws::Response ask(std::string_view operation, std::string_view name, const aws::Request& request,
                    bool conflicts_pass = true) {
    const Deadline deadline = Deadline::in(kOperation_s);
    return send(operation, name, deadline, conflicts_pass,
                [&](const std::string& what) { return client_.call(request, what, deadline); });
  }

  /// The answer's body; throws unless it is a success.
  aws::Response ask_ok(std::string_view operation, std::string_view name,
                       const aws::Request& request) {
    aws::Response answer = ask(operation, name, request);
    if (!answer.ok()) fail_answer(operation, name, answer);
    return answer;
  }

  /// Runs a parser; its errors are prefixed with the operation.
  template <class Parser>
  auto read(std::string_view operation, std::string_view name, Parser&& parser) const {
    try {
      return parser();
    } catch (const Error&) {
      rethrow_with(fmt::format("{}: {}", endpoint(), what(operation, name)));
    }
  }

  FunctionDescription configured(std::string_view operation, const std::string& name,
                                 const aws::Request& request) {
    const aws::Response answer = ask_ok(operation, name, request);
    return read(operation, name, [&] { return parse_configuration(answer.body.text()); });
  }

 private:
  LambdaOptions options_;
  aws::Client client_;
};

LambdaClient::LambdaClient(LambdaOptions options)
    : impl_(std::make_unique<Impl>(std::move(options))) {}
LambdaClient::~LambdaClient() = default;

const std::string& LambdaClient::endpoint() const { return impl_->endpoint(); }
bool LambdaClient::is_custom() const { return impl_->client().is_custom(); }

bool LambdaClient::answers(Deadline deadline, std::string& why) {
  try {
    impl_->client().call(request_of("GET", std::string(kAccountSettings)), "GetAccountSettings",
                         deadline);
    return true;
  } catch (const Error& error) {
    // A refusal is an answer too.
    if (error.code() != Code::unavailable && error.code() != Code::deadline_exceeded) throw;
    why = error.what();
    return false;
  }
}

InvokeResult LambdaClient::invoke(const std::string& name, const InvokeRequest& request,
                                  Deadline deadline) {
  using Mode = InvokeRequest::Mode;
  const bool event = request.mode == Mode::event;
  check_payload(name, request.payload.size(), event ? kMaxEventBytes : kMaxSynchronousBytes);
  const aws::Request raw = invocation(name, request.mode, request.payload, request.log_tail);
  const aws::Response answer =
      impl_->send("Invoke", name, deadline, true, [&](const std::string& what) {
        if (request.mode != Mode::wait) return impl_->client().call(raw, what, deadline);
        aws::Client patient(impl_->patient_options(request.timeout_s));
        return patient.call(raw, what);
      });
  if (!answer.ok()) impl_->fail_answer("Invoke", name, answer);
  InvokeResult result;
  result.status = answer.status;
  result.payload = answer.body.text();
  result.request_id = answer.header("x-amzn-requestid");
  if (const auto tail = decode_base64(trim(answer.header("x-amz-log-result"))))
    result.log_tail = tail->text();
  if (const std::string_view kind = answer.header("x-amz-function-error"); !kind.empty()) {
    const LambdaProblem problem = parse_function_error(result.payload, kind);
    result.failed = true;
    result.error_type = problem.type;
    result.error_message = problem.message;
  }
  return result;
}

std::vector<std::string> LambdaClient::invoke_all_events(const std::string& name,
                                                         std::span<const std::string> payloads,
                                                         Deadline deadline) {
  for (const std::string& payload : payloads) check_payload(name, payload.size(), kMaxEventBytes);
  std::vector<std::string> ids(payloads.size());
  std::vector<std::size_t> left(payloads.size());
  std::iota(left.begin(), left.end(), std::size_t{0});
  for (Pauses pauses = impl_->pauses(); !left.empty();) {
    std::vector<aws::Request> requests;
    for (const std::size_t i : left)
      requests.push_back(invocation(name, InvokeRequest::Mode::event, payloads[i], false));
    const std::vector<aws::Response> answers =
        impl_->client().call_all(requests, Impl::what("Invoke", name), deadline);
    std::vector<std::size_t> again;
    const aws::Response* last = nullptr;
    double at_least_s = 0;
    for (std::size_t i = 0; i < answers.size(); ++i) {
      if (answers[i].ok()) {
        ids[left[i]] = answers[i].header("x-amzn-requestid");
      } else if (is_throttled(answers[i]) || is_conflict(answers[i])) {
        again.push_back(left[i]);
        last = &answers[i];
        at_least_s = std::max(at_least_s, problem_of(answers[i]).retry_after_s);
      } else {
        impl_->fail_answer("Invoke", name, answers[i]);
      }
    }
    if (!again.empty() && !pauses.sleep(at_least_s, deadline))
      fail(Code::resource_exhausted, "{}: {}: {} of {} events were not taken in time: {}",
           endpoint(), Impl::what("Invoke", name), again.size(), payloads.size(), explain(*last));
    left = std::move(again);
  }
  return ids;
}

std::optional<FunctionDescription> LambdaClient::find_function(const std::string& name) {
  const aws::Response answer = impl_->ask("GetFunction", name, request_of("GET", path_of(name)));
  if (answer.status == 404 && problem_of(answer).type == "ResourceNotFoundException") return {};
  if (!answer.ok()) impl_->fail_answer("GetFunction", name, answer);
  return impl_->read("GetFunction", name, [&] { return parse_function(answer.body.text()); });
}

FunctionDescription LambdaClient::get_function(const std::string& name) {
  const aws::Response answer = impl_->ask_ok("GetFunction", name, request_of("GET", path_of(name)));
  return impl_->read("GetFunction", name, [&] { return parse_function(answer.body.text()); });
}

FunctionDescription LambdaClient::get_configuration(const std::string& name) {
  return impl_->configured("GetFunctionConfiguration", name,
                           request_of("GET", path_of(name, "/configuration")));
}

FunctionDescription LambdaClient::create_function(const std::string& name,
                                                  const FunctionSettings& settings,
                                                  const FunctionCode& code,
                                                  const std::map<std::string, std::string>& tags) {
  const std::string body = create_body(name, settings, code, tags);
  const aws::Response answer =
      impl_->ask("CreateFunction", name, request_of("POST", "/2015-03-31/functions", body), false);
  // An earlier try may have created it.
  if (is_conflict(answer) && answer.tries > 1) return get_function(name);
  if (!answer.ok()) impl_->fail_answer("CreateFunction", name, answer);
  return impl_->read("CreateFunction", name,
                     [&] { return parse_configuration(answer.body.text()); });
}

FunctionDescription LambdaClient::update_code(const std::string& name, const FunctionCode& code) {
  const std::string body = code_body(code);
  return impl_->configured("UpdateFunctionCode", name,
                           request_of("PUT", path_of(name, "/code"), body));
}

FunctionDescription LambdaClient::update_settings(const std::string& name,
                                                  const FunctionSettings& settings) {
  const std::string body = settings_body(settings);
  return impl_->configured("UpdateFunctionConfiguration", name,
                           request_of("PUT", path_of(name, "/configuration"), body));
}

void LambdaClient::delete_function(const std::string& name) {
  impl_->ask_ok("DeleteFunction", name, request_of("DELETE", path_of(name)));
}

std::vector<FunctionDescription> LambdaClient::list_functions() {
  std::vector<FunctionDescription> out;
  for (std::string marker;;) {
    aws::Request request = request_of("GET", std::string(kFunctions));
    request.query = {{"MaxItems", "50"}};
    if (!marker.empty()) request.query.emplace_back("Marker", marker);
    const aws::Response answer = impl_->ask_ok("ListFunctions", "", request);
    marker = impl_->read("ListFunctions", "", [&] { return parse_page(answer.body.text(), out); });
    if (marker.empty()) return out;
  }
}

std::optional<int> LambdaClient::get_concurrency(const std::string& name) {
  const aws::Response answer =
      impl_->ask_ok("GetFunctionConcurrency", name,
                    request_of("GET", path_of(name, "/concurrency", "/2019-09-30/functions/")));
  return impl_->read("GetFunctionConcurrency", name,
                     [&] { return parse_concurrency(answer.body.text()); });
}

void LambdaClient::put_concurrency(const std::string& name, int reserved) {
  const std::string body = concurrency_body(reserved);
  impl_->ask_ok("PutFunctionConcurrency", name,
                request_of("PUT", path_of(name, "/concurrency", "/2017-10-31/functions/"), body));
}

void LambdaClient::delete_concurrency(const std::string& name) {
  impl_->ask_ok("DeleteFunctionConcurrency", name,
                request_of("DELETE", path_of(name, "/concurrency", "/2017-10-31/functions/")));
}

EventInvokeConfig LambdaClient::get_event_config(const std::string& name) {
  const aws::Response answer = impl_->ask(
      "GetFunctionEventInvokeConfig", name,
      request_of("GET", path_of(name, "/event-invoke-config", "/2019-09-25/functions/")));
  if (answer.status == 404) return {};
  if (!answer.ok()) impl_->fail_answer("GetFunctionEventInvokeConfig", name, answer);
  return impl_->read("GetFunctionEventInvokeConfig", name,
                     [&] { return parse_event_config(answer.body.text()); });
}

void LambdaClient::put_event_config(const std::string& name, const EventInvokeConfig& config) {
  const std::string body = event_config_body(config);
  impl_->ask_ok(
      "PutFunctionEventInvokeConfig", name,
      request_of("PUT", path_of(name, "/event-invoke-config", "/2019-09-25/functions/"), body));
}

AccountSettings LambdaClient::account_settings() {
  const aws::Response answer =
      impl_->ask_ok("GetAccountSettings", "", request_of("GET", std::string(kAccountSettings)));
  return impl_->read("GetAccountSettings", "", [&] { return parse_account(answer.body.text()); });
}

void LambdaClient::allow(const std::string& name, const std::string& statement,
                         const std::string& service, const std::string& source_arn) {
  const std::string body = permission_body(statement, service, source_arn);
  const aws::Response answer =
      impl_->ask("AddPermission", name, request_of("POST", path_of(name, "/policy"), body), false);
  if (!answer.ok() && !is_conflict(answer)) impl_->fail_answer("AddPermission", name, answer);
}

void LambdaClient::tag(const std::string& arn, const std::map<std::string, std::string>& tags) {
  const std::string body = tags_body(tags);
  impl_->ask_ok("TagResource", arn,
                request_of("POST", path_of(arn, "", "/2017-03-31/tags/"), body));
}

FunctionDescription LambdaClient::wait_until_active(const std::string& name, Deadline deadline) {
  for (double pause_s = 0.1;; pause_s = std::min(1.5 * pause_s, 2.0)) {
    FunctionDescription function = get_configuration(name);
    const std::string because = function.reason.empty() ? "" : "; the reason: " + function.reason;
    if (function.state == "Failed" || function.update == "Failed")
      fail(Code::unavailable, "{}: the function '{}' cannot be used: {}{}", endpoint(), name,
           function.state == "Failed" ? "it has failed" : "its last update has failed", because);
    const bool ready = function.state != "Pending" && function.update != "InProgress";
    if (ready) return function;
    if (deadline.seconds_left() <= pause_s)
      fail(Code::deadline_exceeded,
           "{}: the function '{}' was not ready in time: its state is {}, its update {}{}",
           endpoint(), name, function.state, function.update.empty() ? "none" : function.update,
           because);
    pause_for(pause_s);
  }
}

}  // namespace lambdaml::aws
