// serve() against a host that is scripted to misbehave.
#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "lambdaml/base/files.h"
#include "lambdaml/base/text.h"
#include "lambdaml/faas/testing/test_support.h"

namespace lambdaml::faas::testing {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// Takes one request after another, on any connection, and does with each what its script says: a
/// reply to write, or "" to close the connection without one. After the last step nobody listens.
class ScriptedHost {
 public:
  explicit ScriptedHost(std::vector<std::string> script) : script_(std::move(script)) {
    listener_ = FileDescriptor(socket(AF_INET, SOCK_STREAM, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    if (bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 ||
        listen(listener_.get(), 8) != 0 ||
        getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0)
      fail_errno(errno, "cannot listen");
    endpoint_ = fmt::format("127.0.0.1:{}", ntohs(address.sin_port));
    thread_ = std::thread([this] { run(); });
  }
  ~ScriptedHost() { thread_.join(); }

  const std::string& endpoint() const { return endpoint_; }
  /// To be read after the script has ended: "METHOD path body", and whether the connection was
  /// fresh.
  std::vector<std::string> requests() {
    thread_.join();
    thread_ = std::thread([] {});
    return requests_;
  }
  const std::string& heads() const { return heads_; }

 private:
  void run() {
    FileDescriptor connection;
    for (std::size_t step = 0; step < script_.size();) {
      const bool fresh = !connection;
      if (fresh) connection = FileDescriptor(accept(listener_.get(), nullptr, nullptr));
      const std::string request = read_request(connection.get());
      if (request.empty()) {
        connection.reset();
        continue;
      }
      requests_.push_back(request + (fresh ? " (fresh)" : ""));
      const std::string& reply = script_[step++];
      if (reply.empty())
        connection.reset();
      else
        send(connection.get(), reply.data(), reply.size(), MSG_NOSIGNAL);
    }
    listener_.reset();
  }

  std::string read_request(int socket) {
    std::string head;
    while (!head.ends_with("\r\n\r\n")) {
      char c;
      if (recv(socket, &c, 1, 0) != 1) return "";
      head += c;
    }
    heads_ += head;
    std::string body;
    const std::size_t at = head.find("Content-Length: ");
    if (at != std::string::npos) body.resize(std::stoul(head.substr(at + 16)));
    if (!body.empty() && recv(socket, body.data(), body.size(), MSG_WAITALL) <= 0) return "";
    std::string line = head.substr(0, head.find(" HTTP/1.1"));
    const std::string prefix = "/2018-06-01/runtime/";
    if (const std::size_t start = line.find(prefix); start != std::string::npos)
      line.erase(start, prefix.size());
    return body.empty() ? line : line + " " + body;
  }

  const std::vector<std::string> script_;
  FileDescriptor listener_;
  std::string endpoint_;
  std::vector<std::string> requests_;
  std::string heads_;
  std::thread thread_;
};

std::string reply(int status, const std::string& body = "", const std::string& headers = "") {
  return fmt::format("HTTP/1.1 {} Said\r\nContent-Length: {}\r\n{}\r\n{}", status, body.size(),
                     headers, body);
}
std::string event(const std::string& payload, const std::string& id = "id-1") {
  return reply(200, payload, "lambda-runtime-aws-request-id: " + id + "\r\n");
}
const std::string kAccepted = reply(202, "{\"status\":\"OK\"}");

std::string echo(const Invocation& invocation) { return invocation.payload; }

TEST(Serve, AnswersEventsOnOneConnectionUntilTheHostGoes) {
  ScriptedHost host({event("one"), kAccepted, event("two", "id-2"), kAccepted});
  serve(host.endpoint(), echo);
  EXPECT_THAT(host.requests(),
              ElementsAre("GET invocation/next (fresh)", "POST invocation/id-1/response one",
                          "GET invocation/next", "POST invocation/id-2/response two"));
}

TEST(Serve, HandsOverTheHeaders) {
  const auto now =
      std::chrono::duration_cast<std::chrono::milliseconds>(wall_now().time_since_epoch()).count();
  ScriptedHost host({reply(200, "{}",
                           fmt::format("Lambda-Runtime-Aws-Request-Id: id-1\r\n"
                                       "Lambda-Runtime-Deadline-Ms: {}\r\n"
                                       "Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:f\r\n"
                                       "Lambda-Runtime-Trace-Id: Root=1-2;Sampled=1\r\n",
                                       now + 20'000)),
                     kAccepted, event("no trace"), kAccepted});
  serve(host.endpoint(), [](const Invocation& invocation) -> std::string {
    if (invocation.payload == "no trace") {
      EXPECT_EQ(std::getenv("_X_AMZN_TRACE_ID"), nullptr);
      EXPECT_TRUE(invocation.deadline.is_never());
      return "";
    }
    EXPECT_EQ(invocation.request_id, "id-1");
    EXPECT_EQ(invocation.function_arn, "arn:aws:lambda:f");
    EXPECT_EQ(invocation.trace_id, "Root=1-2;Sampled=1");
    EXPECT_STREQ(std::getenv("_X_AMZN_TRACE_ID"), "Root=1-2;Sampled=1");
    EXPECT_GT(invocation.deadline.seconds_left(), 10);
    EXPECT_LE(invocation.deadline.seconds_left(), 20);
    return "";
  });
}

TEST(Serve, PostsErrorsWithTheirCauses) {
  ScriptedHost host({event("x"), kAccepted});
  serve(host.endpoint(), [](const Invocation&) -> std::string {
    try {
      fail(Code::data_corrupt, "bad byte \xff");
    } catch (...) {
      rethrow_with("cannot read part 3");
    }
  });
  const auto requests = host.requests();
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_EQ(requests[1],
            "POST invocation/id-1/error {\"errorMessage\":\"cannot read part 3: bad byte \\\\xff\","
            "\"errorType\":\"data_corrupt\",\"stackTrace\":[\"bad byte \\\\xff\"]}");
  EXPECT_THAT(host.heads(), HasSubstr("Lambda-Runtime-Function-Error-Type: data_corrupt\r\n"));
}

TEST(Serve, TakesExceptionsOfAnyType) {
  ScriptedHost host({event("x"), kAccepted, event("y"), kAccepted});
  serve(host.endpoint(), [](const Invocation& invocation) -> std::string {
    if (invocation.payload == "x") throw 1;
    throw std::bad_alloc();
  });
  const auto requests = host.requests();
  EXPECT_THAT(requests[1], HasSubstr("\"errorType\":\"internal\""));
  EXPECT_THAT(requests[3], HasSubstr("\"errorType\":\"resource_exhausted\""));
}

TEST(Serve, AResponseThatIsRefusedAsTooLargeBecomesAnError) {
  ScriptedHost host({event("x"), reply(413), kAccepted});
  serve(host.endpoint(), echo);
  EXPECT_THAT(host.requests()[2],
              AllOf(HasSubstr("POST invocation/id-1/error"),
                    HasSubstr("\"errorType\":\"Function.ResponseSizeTooLarge\"")));
}

TEST(Serve, AResponseAboveTheLimitIsNotEvenSent) {
  ScriptedHost host({event("x"), kAccepted});
  serve(host.endpoint(), [](const Invocation&) { return std::string(6'291'557, 'x'); });
  EXPECT_THAT(host.requests()[1],
              AllOf(HasSubstr("POST invocation/id-1/error"), HasSubstr("6,291,557 bytes")));
}

TEST(Serve, ADeadConnectionIsReplacedOnce) {
  // The connection dies while the response is posted, and while `next` waits: both are sent again.
  ScriptedHost host({event("x"), "", kAccepted, "", event("y", "id-2"), kAccepted});
  serve(host.endpoint(), echo);
  EXPECT_THAT(host.requests(),
              ElementsAre("GET invocation/next (fresh)", "POST invocation/id-1/response x",
                          "POST invocation/id-1/response x (fresh)", "GET invocation/next",
                          "GET invocation/next (fresh)", "POST invocation/id-2/response y"));
}

TEST(Serve, EndsWhenTheHostSays500) {
  ScriptedHost at_next({reply(500)});
  serve(at_next.endpoint(), echo);
  ScriptedHost at_response({event("x"), reply(500)});
  serve(at_response.endpoint(), echo);
  EXPECT_EQ(at_response.requests().size(), 2u);
}

TEST(Serve, GoesOnAfterARefusedAnswer) {
  ScriptedHost host({event("x"), reply(400), event("y", "id-2"), reply(403)});
  serve(host.endpoint(), echo);
  EXPECT_EQ(host.requests().size(), 4u);
}

TEST(Serve, ThreeFailedNextCallsInARowAreEnough) {
  // 403, an event without an id, and 404; an event in between starts the count anew.
  ScriptedHost host({reply(403), reply(403), event("x"), kAccepted, reply(403), reply(200, "no id"),
                     reply(404, "gone")});
  try {
    serve(host.endpoint(), echo);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::unavailable);
    EXPECT_THAT(error.what(), AllOf(HasSubstr(host.endpoint()), HasSubstr("404: gone")));
  }
}

TEST(Serve, AHostThatWasNeverThereIsUnavailable) {
  std::string endpoint;
  {
    ScriptedHost host({});
    endpoint = host.endpoint();
  }
  EXPECT_THROW(serve(endpoint, echo), Error);
  report_init_error(endpoint, std::runtime_error("x"));  // throws nothing
}

TEST(Serve, UsesNoProxy) {
  setenv("http_proxy", "http://127.0.0.1:1", 1);
  setenv("no_proxy", "", 1);
  ScriptedHost host({event("x"), kAccepted});
  serve(host.endpoint(), echo);
  unsetenv("http_proxy");
  unsetenv("no_proxy");
  EXPECT_EQ(host.requests().size(), 2u);
}

TEST(Serve, AnEndpointMayHaveAPath) {
  ScriptedHost host({event("x"), kAccepted});
  serve(host.endpoint() + "/instance-7", echo);
  EXPECT_THAT(host.heads(), HasSubstr("GET /instance-7/2018-06-01/runtime/invocation/next "));
}

TEST(Serve, ReportsAFailedStart) {
  ScriptedHost host({kAccepted});
  report_init_error(host.endpoint(), Error(Code::not_found, "no data"));
  EXPECT_THAT(
      host.requests(),
      ElementsAre("POST init/error {\"errorMessage\":\"no data\",\"errorType\":\"not_found\","
                  "\"stackTrace\":[]} (fresh)"));
}

}  // namespace
}  // namespace lambdaml::faas::testing
