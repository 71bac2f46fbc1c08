// Sequences of requests to the emulator's two APIs, without sockets: the Lambda service API, with
// functions whose start fails at once, and the Runtime API of an environment.
#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "input.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/formats/base64.h"
#include "lambdaml/base/json.h"
#include "lambdaml/faas/emulator/service_api.h"
#include "lambdaml/faas/sandbox/runtime_api.h"

namespace {

using namespace lambdaml;
using namespace lambdaml::faas::sandbox;
using namespace lambdaml::faas::emulator;
using fuzz::Input;
using fuzz::require;

constexpr std::size_t kMostCalls = 100;
constexpr int kConcurrency = 3;

/// Of a zip with the file `bootstrap`, a script of an interpreter that there is not: no input can
/// have anything run here.
constexpr const char* kZip =
    "UEsDBBQAAAAAAAAAIQAlPwYtCwAAAAsAAAAJAAAAYm9vdHN0cmFwIyEvbm93aGVyZQpQSwECFAMUAAAAAAAAACEAJT8GLQ"
    "sAAAALAAAACQAAAAAAAAAAAAAA7YEAAAAAYm9vdHN0cmFwUEsFBgAAAAABAAEANwAAADIAAAAAAA==";

/// A request, and what became of it.
class Asked final : public Exchange {
 public:
  explicit Asked(HttpRequest what) { request = std::move(what); }
  void reply(HttpReply reply) override {
    require(!got);
    require(reply.status >= 200 && reply.status < 600);
    got = std::move(reply);
  }
  std::shared_ptr<ReplyStream> stream(HttpReply head) override {
    reply(std::move(head));
    return nullptr;
  }
  bool is_open() const override { return open; }

  std::optional<HttpReply> got;
  bool open = true;
};

std::string header(const HttpReply& reply, std::string_view name) {
  for (const auto& [known, value] : reply.headers)
    if (known == name) return value;
  return {};
}

std::vector<std::pair<std::string, std::string>> headers(Input& input) {
  constexpr const char* kNames[] = {"X-Amz-Invocation-Type",
                                    "X-Amz-Log-Type",
                                    "Lambda-Runtime-Function-Error-Type",
                                    "Lambda-Runtime-Function-Error-Body",
                                    "authorization",
                                    "x-amz-date",
                                    "host"};
  constexpr const char* kValues[] = {"Event",
                                     "RequestResponse",
                                     "DryRun",
                                     "Tail",
                                     "e30=",
                                     "",
                                     ("AWS4-HMAC-SHA256 Credential=K/20250101/us-east-1/lambda/"
                                      "aws4_request, SignedHeaders=host;x-amz-date, Signature=0")};
  std::vector<std::pair<std::string, std::string>> out;
  for (std::size_t n = input.below(4); n > 0; --n) {
    std::string name = input.one_of(kNames);
    std::string value = input.flag() ? input.text() : input.one_of(kValues);
    out.emplace_back(std::move(name), std::move(value));
  }
  return out;
}

/// The Lambda service of an account, signed for or not.
class Service {
 public:
  Service()
      : service_(loop_, settings()), open_(service_, {}), locked_(service_, {{"K", "S", ""}}) {}
  ~Service() {
    service_.stop();
    go_on();
    // Whoever waits is answered in the end.
    for (const auto& asked : waiting_) require(asked->got.has_value());
  }

  void call(Input& input) {
    HttpRequest request;
    constexpr const char* kMethods[] = {"GET", "POST", "PUT", "DELETE", "PATCH"};
    request.method = input.one_of(kMethods);
    request.target = target(input);
    request.headers = headers(input);
    request.body = body(input);
    const bool locked = input.below(8) == 7;
    ServiceApi& api = locked ? locked_ : open_;
    HttpRequest head = request;
    head.body.clear();
    const auto admission = api.admit(head);
    if (locked) require(admission.refusal.has_value());
    if (input.below(16) == 15) static_cast<void>(api.refuse_large(head));
    const auto asked = std::make_shared<Asked>(std::move(request));
    api.serve(asked);
    if (locked) require(asked->got && asked->got->status >= 400);
    if (!asked->got) {
      waiting_.push_back(asked);
    } else if (!asked->got->body.empty() &&
               asked->request.target.find("/invocations") == std::string::npos) {
      require(!parse_json(asked->got->body).is_discarded());
    }
    if (input.flag()) go_on();
    check_account();
  }

 private:
  static faas::EmulatorSettings settings() {
    faas::EmulatorSettings out;
    out.concurrency = kConcurrency;
    out.retry_delay_s = 1e-6;
    out.idle_s = 0.001;
    out.fetch_code = [](const std::string&, const std::string& key) -> std::string {
      if (key == "none") fail(Code::not_found, "there is no such zip");
      if (key != "zip") return key;
      return std::string(decode_base64(kZip)->text());
    };
    return out;
  }

  static std::string target(Input& input) {
    constexpr const char* kNames[] = {
        "f",     "g",   "f:$LATEST", "arn:aws:lambda:us-east-1:000000000000:function:f",
        "f%3A1", "%2e", "no name"};
    constexpr const char* kRest[] = {"",
                                     "/code",
                                     "/configuration",
                                     "/invocations",
                                     "/concurrency",
                                     "/event-invoke-config",
                                     "/invocations?Qualifier=$LATEST",
                                     "/"};
    constexpr const char* kOthers[] = {"/2015-03-31/functions",
                                       "/2015-03-31/functions?MaxItems=1",
                                       "/2015-03-31/functions?Marker=f&MaxItems=x",
                                       "/2016-08-19/account-settings",
                                       "/2017-03-31/tags/f",
                                       "/2017-03-31/tags/f?tagKeys=t"};
    const std::size_t how = input.below(8);
    if (how == 0) return input.text();
    if (how <= 3) return input.one_of(kOthers);
    std::string out = "/2015-03-31/functions/";
    out += input.one_of(kNames);
    return out += input.one_of(kRest);
  }

  static std::string body(Input& input) {
    const auto n = [&] { return std::to_string(static_cast<std::int64_t>(input.number())); };
    constexpr const char* kCode[] = {
        R"("S3Bucket":"b","S3Key":"zip")", R"("S3Bucket":"b","S3Key":"none")",
        R"("S3Bucket":"b","S3Key":"no zip")", R"("S3Bucket":1,"S3Key":"zip")"};
    switch (input.below(8)) {
      case 0: {
        // A zip in the request would be run.
        std::string text = input.text();
        for (std::size_t at = 0; (at = text.find("ZipFile")) != std::string::npos;) text[at] = 'z';
        return text;
      }
      case 1:
      case 2: {
        const std::string name = input.flag() ? "f" : "g";
        return R"({"FunctionName":")" + name +
               R"(","Role":"arn:aws:iam::000000000000:role/r","Code":{)" + input.one_of(kCode) +
               R"(},"Tags":{"t":"1"}})";
      }
      case 3:
        return std::string("{") + input.one_of(kCode) + "}";
      case 4:
        return R"({"ReservedConcurrentExecutions":)" + n() + "}";
      case 5:
        return R"({"MaximumRetryAttempts":)" + std::to_string(input.below(4)) +
               R"(,"MaximumEventAgeInSeconds":)" + n() + "}";
      case 6: {
        const std::string timeout = n();
        return R"({"Timeout":)" + timeout + R"(,"MemorySize":)" + n() +
               R"(,"Environment":{"Variables":{"A":"b"}},"Tags":{"u":"2"}})";
      }
      default:
        return {};
    }
  }

  void go_on() {
    loop_.restart();
    loop_.poll();
  }

  void check_account() {
    const auto asked =
        std::make_shared<Asked>(HttpRequest{"GET", "/2016-08-19/account-settings", {}, {}});
    open_.serve(asked);
    require(asked->got && asked->got->status == 200);
    const auto limit = parse_json(asked->got->body)["AccountLimit"];
    const auto left = limit["UnreservedConcurrentExecutions"].get<std::int64_t>();
    require(left >= 0 && left <= kConcurrency);
  }

  boost::asio::io_context loop_{1};
  LambdaService service_;
  ServiceApi open_, locked_;
  std::vector<std::shared_ptr<Asked>> waiting_;
};

/// One environment's side of the Runtime API.
class Runtime {
 public:
  void call(Input& input) {
    switch (input.below(8)) {
      case 0:
        return offer();
      case 1:
        return close(input);
      case 2:
        if (input.below(8) == 7) end();
        return;
      default:
        return ask(input);
    }
  }

 private:
  void offer() {
    if (offered_ || ended_) return;  // one at a time, as its caller does
    offered_ = true;
    given_ = false;
    id_ = "id-" + std::to_string(++events_);
    api_.offer({id_, "payload", 1, "arn", "trace"});
    look();
  }

  void close(Input& input) {
    if (!asked_.empty()) asked_[input.below(asked_.size())]->open = false;
  }

  void end() {
    ended_ = true;
    api_.end();
    look();
  }

  void ask(Input& input) {
    HttpRequest request;
    constexpr const char* kMethods[] = {"GET", "POST", "PUT"};
    constexpr const char* kPaths[] = {"invocation/next", "invocation/next", "init/error"};
    const std::size_t how = input.below(8);
    request.method = how < 3 ? "GET" : "POST";
    if (input.below(16) == 15) request.method = input.one_of(kMethods);
    request.target = "/2018-06-01/runtime/";
    if (how < 4)
      request.target += input.one_of(kPaths);
    else if (how < 7)
      request.target += "invocation/" + (input.below(4) == 3 ? input.text() : id_) +
                        (input.flag() ? "/response" : "/error");
    else
      request.target = input.text();
    request.headers = headers(input);
    request.body = input.text();
    if (input.below(16) == 15) {
      static_cast<void>(api_.refuse_large(request));
      return;
    }
    asked_.push_back(std::make_shared<Asked>(std::move(request)));
    api_.serve(asked_.back());
    look();
  }

  /// An event goes once, to somebody who is there.
  void look() {
    for (const auto& asked : asked_) {
      if (!asked->got || header(*asked->got, "Lambda-Runtime-Aws-Request-Id").empty()) continue;
      require(asked->open && offered_ && !given_);
      require(asked->got->body == "payload");
      given_ = true;
      asked->got->headers.clear();
    }
    std::erase_if(asked_, [](const auto& asked) { return asked->got || !asked->open; });
    if (ended_) require(asked_.empty());
  }

  RuntimeApi api_{[this](const Result&) {
    require(!ended_);
    // Of an event that was given, or else of a start that failed, after which nothing comes.
    if (!given_) {
      ended_ = true;
      api_.end();
    }
    offered_ = given_ = false;
  }};
  std::vector<std::shared_ptr<Asked>> asked_;
  std::string id_ = "id-0";
  int events_ = 0;
  bool offered_ = false, given_ = false, ended_ = false;
};

}  // namespace

/// No sequence of requests ends the emulator, loses a waiting client or an event, or gives away
/// more concurrency than there is.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::be_quiet();
  Input input(data, size);
  if (input.flag()) {
    Runtime runtime;
    for (std::size_t calls = 0; !input.empty() && calls < kMostCalls; ++calls) runtime.call(input);
  } else {
    Service service;
    for (std::size_t calls = 0; !input.empty() && calls < kMostCalls; ++calls) service.call(input);
  }
  return 0;
}
