// The executable that the tests start as a function; _HANDLER picks what it does.
#include <cstdio>
#include <cstdlib>
#include <string>

#include <curl/curl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lambdaml/base/log.h"
#include "lambdaml/base/text.h"
#include "lambdaml/faas/registry.h"
#include "lambdaml/faas/testing/test_function.h"

namespace lambdaml::faas::testing {
namespace {

std::size_t append(char* data, std::size_t, std::size_t size, void* text) {
  static_cast<std::string*>(text)->append(data, size);
  return size;
}

/// Calls the Runtime API without serve(), to say what serve() never says.
class RawClient {
 public:
  explicit RawClient(std::string endpoint) : endpoint_(std::move(endpoint)) {}
  ~RawClient() { curl_easy_cleanup(curl_); }

  /// The status, or 0 when there was no answer.
  long send(const char* method, const std::string& path, const std::string& body = "") {
    headers_.clear();
    body_.clear();
    curl_easy_reset(curl_);
    curl_easy_setopt(curl_, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl_, CURLOPT_URL,
                     ("http://" + endpoint_ + "/2018-06-01/runtime/" + path).c_str());
    curl_easy_setopt(curl_, CURLOPT_WRITEFUNCTION, append);
    curl_easy_setopt(curl_, CURLOPT_WRITEDATA, &body_);
    curl_easy_setopt(curl_, CURLOPT_HEADERFUNCTION, append);
    curl_easy_setopt(curl_, CURLOPT_HEADERDATA, &headers_);
    if (!body.empty()) {
      curl_easy_setopt(curl_, CURLOPT_POSTFIELDSIZE, static_cast<long>(body.size()));
      curl_easy_setopt(curl_, CURLOPT_POSTFIELDS, body.c_str());
    }
    curl_easy_setopt(curl_, CURLOPT_CUSTOMREQUEST, method);
    if (curl_easy_perform(curl_) != CURLE_OK) return 0;
    long status = 0;
    curl_easy_getinfo(curl_, CURLINFO_RESPONSE_CODE, &status);
    return status;
  }

  std::string request_id() const {
    const std::string name = "Lambda-Runtime-Aws-Request-Id: ";
    const std::size_t at = headers_.find(name);
    return at == std::string::npos ? "" : headers_.substr(at + name.size(), 36);
  }
  const std::string& body() const { return body_; }

 private:
  std::string endpoint_;
  CURL* curl_ = curl_easy_init();
  std::string headers_;
  std::string body_;
};

/// Sends bytes that are no request and returns the first line of the answer, if any.
std::string send_garbage(const std::string& endpoint, const std::string& bytes) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(std::stoi(split(endpoint, ':').at(1))));
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  if (connect(socket, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0)
    return "refused";
  if (send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL) < 0) return "reset";
  shutdown(socket, SHUT_WR);
  char answer[13] = "";
  const ssize_t n = recv(socket, answer, 12, MSG_WAITALL);
  close(socket);
  return {answer, n > 0 ? static_cast<std::size_t>(n) : 0};
}

int run_raw_client(const std::string& endpoint) {
  RawClient client(endpoint);
  std::string codes;
  const auto note = [&](long status) { codes += std::to_string(status) + ' '; };
  note(client.send("GET", "nothing"));
  note(client.send("POST", "invocation/next", "x"));
  note(client.send("POST", "invocation/x/response", "too early"));
  note(client.send("GET", "invocation/next"));
  const std::string event = "invocation/" + client.request_id();
  const std::string payload = client.body();
  note(client.send("GET", "invocation/next"));
  note(client.send("POST", "invocation/wrong/response", "x"));
  note(client.send("POST", "invocation/wrong/error", "x"));
  note(client.send("POST", "init/error", "x"));
  if (payload == "large") {
    const std::string large(6'291'557, 'x');
    note(client.send("POST", event + "/response", large));
    std::fprintf(stderr, "%s\n", codes.c_str());
    return 0;
  }
  if (payload == "garbage error") client.send("POST", event + "/error", "{\"errorType\": [\x01");
  if (payload == "silent") return 0;
  if (payload == "garbage") {
    codes = send_garbage(endpoint, "\x16\x03\x01\x02 no http at all\r\n\r\n") + '|' +
            send_garbage(endpoint, "GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n") + '|' +
            send_garbage(endpoint, "GET / HTTP/1.1\r\nX: " + std::string(100'000, 'x')) + '|' +
            send_garbage(endpoint,
                         "POST /2018-06-01/runtime/init/error HTTP/1.1\r\n"
                         "Host: 127.0.0.1\r\nContent-Length: 99999999999\r\n\r\n") +
            '|' +
            send_garbage(endpoint,
                         "POST /half HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                         "Content-Length: 10\r\n\r\nabc");
  }
  client.send("POST", event + "/response", codes);
  return 0;
}

}  // namespace
}  // namespace lambdaml::faas::testing

int main() {
  using namespace lambdaml;
  if (std::getenv("AWS_LAMBDA_RUNTIME_API") == nullptr) {
    const faas::Plugin* platform = faas::platform_of_this_process();
    // The tests read where it listens.
    log::configure(log::Level::info, log::Format::text);
    return platform == nullptr ? 2 : platform->serve(faas::testing::handle);
  }
  const std::string endpoint = std::getenv("AWS_LAMBDA_RUNTIME_API");
  const std::string handler = std::getenv("_HANDLER");
  if (handler == "raw") return faas::testing::run_raw_client(endpoint);
  if (handler == "exit_at_start") {
    std::fprintf(stderr, "no configuration\n");
    return 3;
  }
  if (handler == "fail_at_start") {
    faas::report_init_error(endpoint, Error(Code::not_found, "no such data set"));
    return 1;
  }
  if (handler == "never_asks")
    while (true) pause();
  faas::serve(endpoint, faas::testing::handle);
  return 0;
}
