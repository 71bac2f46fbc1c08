#include "lambdaml/storage/s3/bucket.h"

#include <algorithm>

#include "lambdaml/aws/bucket_request.h"
#include "lambdaml/aws/environment.h"
#include "lambdaml/aws/sigv4.h"
#include "lambdaml/aws/wire.h"
#include "lambdaml/base/service/answers.h"
#include "lambdaml/base/text.h"
#include "lambdaml/storage/s3/answers.h"

namespace lambdaml::storage::s3 {
namespace {

/// Of requests per second and prefix ("Optimizing Amazon S3 performance", User Guide).
constexpr double kReads_per_s = 5500;
constexpr double kWrites_per_s = 3500;
/// No server is slower.
constexpr double kLeast_per_s = 100;

/// The metadata with the rate on which workers agree: "GENERATION RATE CLIENTS CLIENT COUNTED", of
/// which older versions write the first two only (aws/pace.h).
constexpr const char* kPaceHeader = "x-amz-meta-lambdaml-pace";
constexpr std::int64_t kNewsLast_s = 60;
constexpr std::int64_t kMostGenerations = 1'000'000;
constexpr std::int64_t kMostClients = 100'000;

bool is_one_of(std::string_view text, std::initializer_list<std::string_view> these) {
  return std::ranges::find(these, text) != these.end();
}

/// Whether the server does not know what it was asked for, so that asking again does not help.
bool is_unknown_request(int status, std::string_view code) {
  return status == 405 || status == 501 ||
         is_one_of(code, {"NotImplemented", "MethodNotAllowed", "UnsupportedOperation"});
}

bool is_expiry(std::string_view code) {
  return is_one_of(code, {"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"});
}

/// Whether it is a strong ETag as S3 makes them: of MD5, and perhaps a number of parts.
bool is_md5_etag(std::string_view etag) {
  constexpr std::size_t kDigits = 32;
  if (etag.size() < kDigits + 2 || etag.front() != '"' || etag.back() != '"') return false;
  etag = etag.substr(1, etag.size() - 2);
  constexpr std::string_view kHex = "0123456789abcdef";
  const std::string_view parts = etag.substr(kDigits);
  return etag.substr(0, kDigits).find_first_not_of(kHex) == std::string_view::npos &&
         (parts.empty() || (parts.front() == '-' && to_integer(parts.substr(1))));
}

/// Whether the answer comes from S3 or a service that speaks its protocol (x-amzn-requestid:
/// moto's, x-goog and x-guploader: Google's).
bool is_marked(const aws::Response& response) {
  for (const char* mark : {"x-amz", "x-goog-", "x-guploader-"})
    if (response.has_header_like(mark)) return true;
  // Some servers send none of these: then what a captive portal does not answer is a mark.
  if (response.method == "DELETE" && response.status == 204) return true;
  if (!response.ok()) return is_error_code(parse_fault(response.body.text()).code);
  const bool is_page = response.header("content-type").find("html") != std::string_view::npos;
  return (!is_page && is_md5_etag(response.header("etag"))) || is_result(response.body.text());
}

/// Whether S3's errors are worth a retry ("List of error codes", API Reference).
aws::Verdict judge(const aws::Response& response) {
  if (!is_marked(response))
    return response.status == 501 || Bucket::is_bare_absence(response) ? aws::Verdict::answer
                                                                       : aws::Verdict::again;
  switch (response.status) {
    case 429:
      return aws::Verdict::slow_down;
    case 503:
      return parse_fault(response.body.text()).code == "SlowDown" ? aws::Verdict::slow_down
                                                                  : aws::Verdict::again;
    case 409:  // ConditionalRequestConflict, OperationAborted: a concurrent request
    case 500:
    case 502:
    case 504:
      return aws::Verdict::again;
    case 400:
    case 403: {
      const std::string code = parse_fault(response.body.text()).code;
      if (is_expiry(code)) return aws::Verdict::credentials;
      if (code == "RequestTimeTooSkewed") return aws::Verdict::clock;
      // The request was damaged or cut off on its way.
      if (is_one_of(code,
                    {"RequestTimeout", "IncompleteBody", "BadDigest", "XAmzContentSHA256Mismatch"}))
        return aws::Verdict::again;
      return aws::Verdict::answer;
    }
    default:
      return aws::Verdict::answer;
  }
}

std::string explain(const aws::Response& response) {
  if (!is_marked(response))
    return fmt::format("HTTP {} without S3's x-amz-request-id: something else answers there",
                       response.status);
  const Fault fault = parse_fault(response.body.text());
  if (!is_error_code(fault.code)) return fmt::format("HTTP {}", response.status);
  return fmt::format("{} (HTTP {})", fault.code, response.status);
}

}  // namespace

aws::ClientOptions Bucket::client_options(std::shared_ptr<Patience> patience) const {
  aws::ClientOptions options = {.service = "s3",
                                .region = address_.region,
                                .endpoint = address_.endpoint,
                                .judge = judge,
                                .explain = explain,
                                .on_sent = [this](const aws::Request& request) { count(request); },
                                .patience = std::move(patience)};
  options.anonymous = address_.anonymous;
  options.pace = pace_;
  if (is_express()) {
    options.service = "s3express";
    options.endpoint = express_endpoint(address_);
  }
  return options;
}

namespace {

/// For a client with the credentials of a session.
aws::ClientOptions in_session(aws::ClientOptions options, std::shared_ptr<Session> session) {
  if (!session) return options;
  options.credentials = std::move(session);
  options.token_header = "x-amz-s3session-token";
  options.judge = [](const aws::Response& response) {
    if (response.status == 400 || response.status == 403)
      if (parse_fault(response.body.text()).code == "InvalidToken")
        return aws::Verdict::credentials;
    return judge(response);
  };
  return options;
}

}  // namespace

Bucket::Bucket(Address address, std::shared_ptr<Patience> patience)
    : address_(std::move(address)),
      pace_(std::make_shared<aws::Pace>(limits())),
      session_(is_express() ? std::make_shared<Session>(address_.bucket, client_options(patience))
                            : nullptr),
      client_(in_session(client_options(patience), session_)) {
  const bool at_aws =
      is_express() ? client_.host().ends_with(".amazonaws.com") : !client_.is_custom();
  in_path_ = address_.addressing == Address::Addressing::automatic
                 ? aws::names_bucket_in_path(address_.bucket, at_aws)
                 : address_.addressing == Address::Addressing::path;
  if (session_) session_->send_to(request("GET"));
}

std::vector<aws::Response> Bucket::call_all(std::span<const aws::Request> requests,
                                            std::string_view what) {
  constexpr int kMostRedirections = 3;
  std::vector<aws::Response> answers = client_.call_all(requests, describe(what));
  for (std::size_t i = 0; i < answers.size(); ++i)
    for (int n = 0; n < kMostRedirections && answers[i].status == 307; ++n) {
      aws::Request again = requests[i];
      again.host = redirected_host(answers[i]);
      if (again.host.empty()) break;
      answers[i] = client_.call(again, describe(what));
    }
  for (const aws::Response& answer : answers) hear_pace(answer);
  return answers;
}

bool Bucket::is_at_aws() const {
  return !aws::find_place("s3", address_.region, address_.endpoint).endpoint.custom;
}

aws::Pace::Limits Bucket::limits() const {
  const auto prefixes = static_cast<double>(address_.prefixes);
  aws::Pace::Limits known{.least_per_s = kLeast_per_s};
  if (address_.rate > 0) {
    known.all_per_s = prefixes * address_.rate;
  } else if (!is_express() && is_at_aws()) {
    known.reads_per_s = prefixes * kReads_per_s;
    known.writes_per_s = prefixes * kWrites_per_s;
  }
  return known;
}

double Bucket::writes_per_s() const {
  const aws::Pace::Limits known = limits();
  return std::min(known.writes_per_s, known.all_per_s);
}

void Bucket::add_pace(aws::Request& put) const {
  if (const std::optional<aws::Pace::News> news = pace_->news())
    put.headers.emplace_back(kPaceHeader,
                             fmt::format("{} {:.3f} {} {} {:.3f}", news->generation, news->per_s,
                                         news->clients, news->client >> 1U, news->counted_per_s));
}

void Bucket::hear_pace(const aws::Response& answer) const {
  const std::vector<std::string> words = split(answer.header(kPaceHeader), ' ');
  if (words.size() != 2 && words.size() != 5) return;
  // A value that was saved long ago says nothing about now. Both dates are of the server's clock.
  const std::optional<std::int64_t> now = aws::parse_date(answer.header("date"));
  const std::optional<std::int64_t> saved = aws::parse_date(answer.header("last-modified"));
  if (now && saved && *now - *saved > kNewsLast_s) return;
  const std::optional<std::int64_t> generation = to_integer(words[0]);
  const std::optional<double> per_s = to_real(words[1]);
  if (!generation || *generation >= kMostGenerations || !per_s) return;
  aws::Pace::News news{*generation, *per_s};
  if (words.size() == 5) {
    const std::optional<std::int64_t> clients = to_integer(words[2]), client = to_integer(words[3]);
    const std::optional<double> counted_per_s = to_real(words[4]);
    if (!clients || !client || !counted_per_s || *clients < 0 || *clients > kMostClients) return;
    news.clients = *clients;
    news.client = (static_cast<std::uint64_t>(*client) << 1U) | 1U;
    news.counted_per_s = *counted_per_s;
  }
  pace_->hear(news);
}

/// Only the host may change: signed requests carry values, so none is sent to a place that the
/// service's owner does not have.
std::string Bucket::redirected_host(const aws::Response& answer) const {
  std::string_view location = answer.header("location");
  const std::size_t scheme = location.find("://");
  if (scheme == std::string_view::npos) return {};
  location = location.substr(0, location.find('/', scheme + 3));
  try {
    const aws::Endpoint to = aws::Endpoint::parse(location);
    const aws::Endpoint here = aws::Endpoint::parse(client_.endpoint());
    if (to.tls != here.tls || to.port != here.port) return {};
    const bool same_domain =
        to.host == here.host || to.host.ends_with("." + here.host) ||
        (here.host.ends_with(".amazonaws.com") && to.host.ends_with(".amazonaws.com"));
    return same_domain ? to.host : std::string();
  } catch (const Error&) {
    return {};
  }
}

aws::Request Bucket::request(std::string method, std::string_view key) const {
  return aws::bucket_request(client_, std::move(method), address_.bucket, key, in_path_);
}

std::string Bucket::describe(std::string_view what) const {
  return fmt::format("s3://{}: {}", address_.bucket, what);
}

void Bucket::count(const aws::Request& request) const {
  if (!meter_) return;
  const auto asks = [&](std::string_view name) {
    return std::ranges::any_of(request.query, [&](const auto& pair) { return pair.first == name; });
  };
  if (request.method == "DELETE" || asks("delete"))
    meter_->count_remove(1);
  else if (request.method == "PUT")
    meter_->count_put(1, request.body.size());
  else if (request.method == "POST")
    meter_->count_put(1, 0);
  else if (asks("list-type"))
    meter_->count_list(1);
  else
    meter_->count_get(1, 0);
}

void Bucket::fail_answer(const aws::Response& response, std::string_view what) const {
  const Fault fault = parse_fault(response.body.text());
  std::string region(response.header("x-amz-bucket-region"));
  if (region.empty()) region = fault.region;
  fail_fault(response.status, fault.code, fault.message, region, what);
}

bool Bucket::is_bare_absence(const aws::Response& response) {
  return response.method == "HEAD" && response.status == 404 && !is_marked(response);
}

bool Bucket::is_unsupported(const aws::Response& response) const {
  return !response.ok() &&
         is_unknown_request(response.status, parse_fault(response.body.text()).code);
}

void Bucket::fail_fault(int status, std::string_view code, std::string_view message,
                        std::string_view region, std::string_view what) const {
  // Further text of the endpoint is shown only to users who could query it themselves.
  const bool is_told = address_.endpoint.empty() || repeats_answers();
  std::string said = is_error_code(code) ? std::string(code) : fmt::format("HTTP {}", status);
  if (!message.empty() && is_told) said += fmt::format(": {}", printable(message, 300));
  if (!is_error_code(region)) region = {};
  const Meaning meaning = meaning_of(status, code, region);
  fail(meaning.code, "{}: {}: {}{}{}", client_.endpoint(), describe(what), said,
       meaning.advice.empty() ? "" : "; ", meaning.advice);
}

Bucket::Meaning Bucket::meaning_of(int status, std::string_view code,
                                   std::string_view region) const {
  const auto any = [&](std::initializer_list<std::string_view> codes) {
    return is_one_of(code, codes);
  };
  if (code == "NoSuchBucket")
    return {Code::not_found,
            fmt::format("there is no bucket '{}' at this endpoint: make it, or set where it is "
                        "(AWS_REGION, AWS_ENDPOINT_URL)",
                        address_.bucket)};
  const bool elsewhere = !region.empty() && region != client_.region();
  if (status == 301 || status == 307 || any({"PermanentRedirect", "TemporaryRedirect"}) ||
      (elsewhere && any({"AuthorizationHeaderMalformed", "IllegalLocationConstraintException"})))
    return {Code::invalid_argument,
            elsewhere ? fmt::format("the bucket is in {0}: set AWS_REGION={0} or ?region={0}",
                                    printable(region))
                      : "the bucket is in another region: set AWS_REGION"};
  if (is_expiry(code))
    return {Code::permission_denied, "the credentials have expired and there are no fresh ones"};
  if (code == "RequestTimeTooSkewed") return {Code::permission_denied, "set this machine's clock"};
  if (any({"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken"}))
    return {Code::permission_denied,
            "the endpoint does not know these keys: see AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, "
            "AWS_SESSION_TOKEN, AWS_PROFILE"};
  if (status == 401 || status == 403 || any({"AccessDenied", "AllAccessDisabled"}))
    return {Code::permission_denied,
            "the role's or the bucket's policy forbids it (without s3:ListBucket S3 says so of "
            "absent keys too)"};
  if (status == 413 || status == 507 || any({"EntityTooLarge", "QuotaExceeded"}))
    return {Code::resource_exhausted, {}};
  if (status == 409 || status == 429 || aws::is_server_fault(status) ||
      any({"SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "NoSuchUpload"}))
    return {Code::unavailable, {}};
  if (is_unknown_request(status, code))
    return {Code::invalid_argument,
            "this server does not support the request: docs/reference/channels.md lists what S3 "
            "servers need"};
  if (any({"KeyTooLongError", "InvalidBucketName", "InvalidURI"}))
    return {Code::invalid_argument, {}};
  return {Code::internal, code.empty() ? "is this an S3 endpoint?" : ""};
}

}  // namespace lambdaml::storage::s3
