#include "lambdaml/faas/runtime.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string_view>
#include <thread>
#include <vector>

#include <curl/curl.h>
#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/text.h"
#include "lambdaml/faas/failure.h"

namespace lambdaml::faas {
namespace {

constexpr int kFailedNextCalls = 3;
constexpr long kConnectSeconds = 10;
/// Far above any event: what a confused host can make this process hold.
constexpr std::size_t kMaxReplyBytes = 64u << 20;

/// What the host answered.
struct Reply {
  long status = 0;
  std::string body;
  std::string request_id;
  std::string deadline_ms;
  std::string function_arn;
  std::string trace_id;
};

std::size_t take_body(char* data, std::size_t, std::size_t size, void* reply) {
  std::string& body = static_cast<Reply*>(reply)->body;
  if (size > kMaxReplyBytes - body.size()) return 0;
  body.append(data, size);
  return size;
}

std::size_t take_header(char* data, std::size_t, std::size_t size, void* opaque) {
  Reply& reply = *static_cast<Reply*>(opaque);
  const std::string_view line(data, size);
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return size;
  const std::string_view name = line.substr(0, colon);
  const std::string_view value = trim(line.substr(colon + 1));
  const auto is = [&](std::string_view wanted) {
    return std::ranges::equal(name, wanted, [](char a, char b) { return (a | 32) == (b | 32); });
  };
  if (is("lambda-runtime-aws-request-id")) reply.request_id = value;
  if (is("lambda-runtime-deadline-ms")) reply.deadline_ms = value;
  if (is("lambda-runtime-invoked-function-arn")) reply.function_arn = value;
  if (is("lambda-runtime-trace-id")) reply.trace_id = value;
  return size;
}

/// One connection to the host, kept open over the requests.
class Client {
 public:
  explicit Client(const std::string& endpoint)
      : base_("http://" + endpoint + "/2018-06-01/runtime/") {
    // Plain HTTP: the set-up of TLS would cost a start milliseconds.
    static const CURLcode initialized = curl_global_init(CURL_GLOBAL_NOTHING);
    if (initialized == CURLE_OK) curl_.reset(curl_easy_init());
    if (!curl_) fail(Code::internal, "cannot set up libcurl for the Runtime API");
    curl_easy_setopt(curl_.get(), CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl_.get(), CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl_.get(), CURLOPT_PROTOCOLS_STR, "http");
    curl_easy_setopt(curl_.get(), CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
    curl_easy_setopt(curl_.get(), CURLOPT_ERRORBUFFER, message_);
    curl_easy_setopt(curl_.get(), CURLOPT_BUFFERSIZE, 512L << 10);
    curl_easy_setopt(curl_.get(), CURLOPT_UPLOAD_BUFFERSIZE, 512L << 10);
    curl_easy_setopt(curl_.get(), CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(curl_.get(), CURLOPT_HEADERFUNCTION, take_header);
  }

  /// Absent when the host did not answer, on the kept connection nor on a fresh one; failure() and
  /// refused() then say why.
  std::optional<Reply> get(const std::string& path) {
    curl_easy_setopt(curl_.get(), CURLOPT_HTTPGET, 1L);
    return request(path, {});
  }
  std::optional<Reply> post(const std::string& path, std::string_view body,
                            std::string_view error_type = {}) {
    curl_easy_setopt(curl_.get(), CURLOPT_POST, 1L);
    curl_easy_setopt(curl_.get(), CURLOPT_POSTFIELDS, body.data() == nullptr ? "" : body.data());
    curl_easy_setopt(curl_.get(), CURLOPT_POSTFIELDSIZE_LARGE,
                     static_cast<curl_off_t>(body.size()));
    return request(path, error_type);
  }

  std::string failure() const { return message_[0] ? message_ : curl_easy_strerror(result_); }
  /// Nobody listens there any more.
  bool refused() const { return result_ == CURLE_COULDNT_CONNECT; }

 private:
  struct Free {
    void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
    void operator()(curl_slist* list) const { curl_slist_free_all(list); }
  };
  using Headers = std::unique_ptr<curl_slist, Free>;

  static void add(Headers& headers, const std::string& line) {
    curl_slist* longer = curl_slist_append(headers.get(), line.c_str());
    if (longer == nullptr) throw std::bad_alloc();
    (void)headers.release();
    headers.reset(longer);
  }

  std::optional<Reply> request(const std::string& path, std::string_view error_type) {
    Headers headers;
    // Without this libcurl waits for "100 Continue" before it sends a large body.
    add(headers, "Expect:");
    add(headers, "Content-Type: application/json");
    if (!error_type.empty())
      add(headers, "Lambda-Runtime-Function-Error-Type: " + std::string(error_type));
    curl_easy_setopt(curl_.get(), CURLOPT_HTTPHEADER, headers.get());
    curl_easy_setopt(curl_.get(), CURLOPT_URL, (base_ + path).c_str());
    std::optional<Reply> reply = perform(false);
    if (!reply) reply = perform(true);
    curl_easy_setopt(curl_.get(), CURLOPT_HTTPHEADER, nullptr);
    return reply;
  }

  std::optional<Reply> perform(bool on_fresh_connection) {
    Reply reply;
    message_[0] = '\0';
    curl_easy_setopt(curl_.get(), CURLOPT_FRESH_CONNECT, on_fresh_connection ? 1L : 0L);
    curl_easy_setopt(curl_.get(), CURLOPT_WRITEDATA, &reply);
    curl_easy_setopt(curl_.get(), CURLOPT_HEADERDATA, &reply);
    result_ = curl_easy_perform(curl_.get());
    if (result_ != CURLE_OK) return std::nullopt;
    curl_easy_getinfo(curl_.get(), CURLINFO_RESPONSE_CODE, &reply.status);
    return reply;
  }

  std::string base_;
  std::unique_ptr<CURL, Free> curl_;
  CURLcode result_ = CURLE_OK;
  char message_[CURL_ERROR_SIZE] = "";
};

Failure too_large(std::size_t bytes) {
  return {std::string(kResponseTooLarge),
          fmt::format("the response has {} bytes; {} is the limit, so save large results to "
                      "storage and return their key",
                      human_count(bytes), human_count(kMaxResponseBytes)),
          {}};
}

std::string body_of(const Failure& failure) {
  const nlohmann::json body = {{"errorMessage", failure.message},
                               {"errorType", failure.type},
                               {"stackTrace", failure.causes}};
  // A message may quote bytes that are no UTF-8.
  return body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

/// The event of an answer to `next`, or absence when the answer is none.
std::optional<Invocation> invocation_of(Reply&& reply) {
  if (reply.status != 200 || reply.request_id.empty()) return std::nullopt;
  Invocation invocation;
  invocation.request_id = std::move(reply.request_id);
  invocation.payload = std::move(reply.body);
  invocation.function_arn = std::move(reply.function_arn);
  invocation.trace_id = std::move(reply.trace_id);
  if (const auto milliseconds = to_integer(reply.deadline_ms))
    invocation.deadline = Deadline::at_epoch_ms(*milliseconds);
  return invocation;
}

/// Runs the handler and posts what came of it. False when the host wants this process to end or is
/// gone.
bool handle(Client& client, const Invocation& invocation, const Handler& handler) {
  std::string response;
  std::optional<Failure> failure;
  try {
    response = handler(invocation);
    if (response.size() > kMaxResponseBytes) failure = too_large(response.size());
  } catch (...) {
    failure = current_failure();
  }
  const std::string path = "invocation/" + invocation.request_id;
  std::optional<Reply> reply;
  if (!failure) {
    reply = client.post(path + "/response", response);
    if (reply && reply->status == 413) failure = too_large(response.size());
  }
  if (failure) reply = client.post(path + "/error", body_of(*failure), failure->type);
  if (!reply) {
    log::warning("cannot report the end of event {}: {}", invocation.request_id, client.failure());
    return !client.refused();
  }
  if (reply->status == 500) return false;
  if (reply->status != 202)
    log::warning("the host answered {} to the end of event {}: {}", reply->status,
                 invocation.request_id, printable(reply->body));
  return true;
}

}  // namespace

void serve(const std::string& endpoint, const Handler& handler) {
  Client client(endpoint);
  bool served = false;
  for (int failed = 0;;) {
    std::optional<Reply> reply = client.get("invocation/next");
    if (!reply && served && client.refused()) return;
    if (reply && reply->status == 500) return;
    std::string why = client.failure();
    if (reply) {
      why = fmt::format("it answered {}: {}", reply->status, printable(reply->body));
      if (const auto invocation = invocation_of(std::move(*reply))) {
        failed = 0;
        served = true;
        if (invocation->trace_id.empty())
          unsetenv("_X_AMZN_TRACE_ID");
        else
          setenv("_X_AMZN_TRACE_ID", invocation->trace_id.c_str(), 1);
        if (!handle(client, *invocation, handler)) return;
        continue;
      }
    }
    if (++failed == kFailedNextCalls)
      fail(Code::unavailable, "cannot get an event from the Runtime API at {}: {} ({} times)",
           endpoint, why, failed);
    std::this_thread::sleep_for(std::chrono::milliseconds(20 * failed));
  }
}

void report_init_error(const std::string& endpoint, const std::exception& error) noexcept {
  try {
    const Failure failure = failure_of(error);
    if (!Client(endpoint).post("init/error", body_of(failure), failure.type))
      log::warning("cannot report to {} that the start failed: {}", endpoint, error.what());
  } catch (...) {
    // The caller is about to end with this error anyway.
  }
}

}  // namespace lambdaml::faas
