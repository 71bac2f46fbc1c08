// The server of both APIs against clients that do what they should not.
#include "lambdaml/faas/sandbox/http_server.h"

#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/base/testing/testing.h"
#include "lambdaml/faas/testing/hostile.h"

namespace lambdaml::faas::sandbox {
namespace {

using testing::as_nobody;
using ::testing::HasSubstr;
using testing::RawConnection;

const std::string kGood = "GET /good HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";

std::string post(std::size_t bytes) {
  return "POST /good HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + std::to_string(bytes) +
         "\r\n\r\n";
}

/// Serves /good at once, /large with 64 MB, and /held when the test says so.
class HttpServerTest : public ::testing::Test {
 protected:
  void start(HttpServer::Limits limits = {.body_bytes = 1 << 20}) {
    server_.emplace(
        loop_, limits,
        HttpServer::Hooks{.serve = [this](std::shared_ptr<Exchange> exchange) { serve(exchange); },
                          .too_large =
                              [](const HttpRequest&) {
                                return HttpReply{413, "large"};
                              },
                          .admit = {}});
    thread_ = std::thread([this] { loop_.run(); });
  }
  void TearDown() override {
    if (!server_) return;
    in_loop([this] {
      held_.clear();
      streams_.clear();
      server_->close();
      work_.reset();
    });
    thread_.join();
  }
  void in_loop(const std::function<void()>& body) {
    std::promise<void> done;
    boost::asio::post(loop_, [&] {
      body();
      done.set_value();
    });
    done.get_future().wait();
  }
  void serve(const std::shared_ptr<Exchange>& exchange) {
    ++served_;
    if (exchange->request.target == "/held") return held_.push_back(exchange);
    if (exchange->request.target == "/stream")
      return streams_.push_back(exchange->stream({200, "", {{"Content-Type", "text/plain"}}}));
    if (exchange->request.target == "/empty") return exchange->reply({204});
    exchange->reply({200, exchange->request.target == "/large" ? std::string(64u << 20, 'x')
                                                               : exchange->request.body});
  }

  std::uint16_t port() const { return server_->port(); }
  std::string status_of(const std::string& bytes) const {
    return RawConnection(port(), bytes).status();
  }
  std::string status_with(const std::string& headers) const {
    return status_of("GET /good HTTP/1.1\r\n" + headers + "\r\n");
  }
  bool is_served() const { return status_of(kGood) == "200"; }

  boost::asio::io_context loop_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{
      loop_.get_executor()};
  std::optional<HttpServer> server_;
  std::thread thread_;
  std::vector<std::shared_ptr<Exchange>> held_;        ///< the loop's
  std::vector<std::shared_ptr<ReplyStream>> streams_;  ///< the loop's
  std::atomic<int> served_{0};
};

TEST_F(HttpServerTest, OwnPagesAreServedWhereThatIsWanted) {
  start({.body_bytes = 1000, .clients = {.own_pages = true}});
  const std::string host = "Host: 127.0.0.1:9001\r\n";
  for (const std::string own : {"Origin: http://127.0.0.1:9001\r\n",
                                "Sec-Fetch-Site: same-origin\r\n", "Sec-Fetch-Site: none\r\n"})
    EXPECT_EQ(status_with(host + own), "200") << own;
  for (const std::string foreign :
       {"Origin: http://127.0.0.1:9002\r\n", "Origin: null\r\n", "Origin: 127.0.0.1:9001\r\n",
        "Origin: http://evil.example\r\n", "Sec-Fetch-Site: same-site\r\n",
        "Sec-Fetch-Site: cross-site\r\nOrigin: http://127.0.0.1:9001\r\n"})
    EXPECT_EQ(status_with(host + foreign), "403") << foreign;
  // A page that has another name for this machine.
  EXPECT_EQ(status_with("Host: evil.example\r\nOrigin: http://evil.example\r\n"), "403");
}

TEST_F(HttpServerTest, AReplyMayGrow) {
  start();
  RawConnection client(port(), "GET /stream HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
  const std::string head =
      "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/plain\r\n\r\n";
  EXPECT_EQ(client.receive(10, head.size()), head);
  const auto send = [&](std::size_t bytes) {
    in_loop([&] {
      streams_.front()->send(std::make_shared<const std::string>(std::string(bytes, 'x')));
    });
  };
  for (const std::size_t bytes : {3U, 100'000U}) {
    send(bytes);
    EXPECT_EQ(client.receive(10, bytes), std::string(bytes, 'x'));
  }
  EXPECT_TRUE(is_served()) << "others are served meanwhile";
  in_loop([&] {
    EXPECT_TRUE(streams_.front()->is_open());
    streams_.clear();
  });
  EXPECT_TRUE(client.closes(10));
}

TEST_F(HttpServerTest, AClientThatDoesNotReadAGrowingReplyIsDropped) {
  start();
  RawConnection client(port(), "GET /stream HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
  client.receive(10, 16);
  bool open = true;
  for (int i = 0; i < 100 && open; ++i)
    in_loop([&] {
      streams_.front()->send(std::make_shared<const std::string>(std::string(1 << 20, 'x')));
      open = streams_.front()->is_open();
    });
  EXPECT_FALSE(open);
  RawConnection gone(port(), "GET /stream HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
  gone.receive(10, 16);
  gone.close();
  const Deadline end = Deadline::in(10);
  for (open = true; open && !end.passed();) in_loop([&] { open = streams_.back()->is_open(); });
  EXPECT_FALSE(open) << "a client that has disconnected is noticed";
}

TEST_F(HttpServerTest, WebPagesAreRefused) {
  start();
  for (const std::string own :
       {"127.0.0.1", "127.0.0.1:9001", "localhost:1", "LocalHost", "[::1]:5"})
    EXPECT_EQ(status_with("Host: " + own + "\r\n"), "200") << own;
  const int before = served_;
  for (const std::string foreign : {"evil.example", "evil.example:9001", "127.0.0.1.evil.example",
                                    "localhost.evil.example", "xlocalhost", "127.0.0.2", "[::2]:80",
                                    "[::1", "0", "", "evil.example#127.0.0.1", "user@127.0.0.1"})
    EXPECT_EQ(status_with("Host: " + foreign + "\r\n"), "403") << foreign;
  for (const std::string origin : {"http://evil.example", "null", "http://127.0.0.1", ""})
    EXPECT_EQ(status_with("Host: 127.0.0.1\r\noRIGIN: " + origin + "\r\n"), "403") << origin;
  EXPECT_EQ(status_with("Host: 127.0.0.1\r\nSec-Fetch-Site: cross-site\r\n"), "403");
  EXPECT_EQ(status_with("Host: 127.0.0.1\r\nHost: evil.example\r\n"), "400");
  EXPECT_EQ(status_of("POST /good HTTP/1.1\r\nHost: 127.0.0.1:1\r\nOrigin: http://a\r\n"
                      "Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}"),
            "403");
  EXPECT_EQ(served_, before);
}

TEST_F(HttpServerTest, HostCannotBeLeftOut) {
  start();
  for (const std::string version : {"1.1", "1.0"})
    EXPECT_EQ(status_of("GET /good HTTP/" + version + "\r\nAccept: */*\r\n\r\n"), "400") << version;
  EXPECT_EQ(status_of("GET /good HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n"), "200");
  EXPECT_EQ(served_, 1);
}

TEST_F(HttpServerTest, WhereAnyHostIsRightOldClientsNeedNone) {
  start({.body_bytes = 1000, .clients = {.all_users = true}});
  EXPECT_EQ(status_of("GET /good HTTP/1.1\r\n\r\n"), "400");
  EXPECT_EQ(status_of("GET /good HTTP/1.0\r\n\r\n"), "200");
  EXPECT_EQ(status_of("GET /good HTTP/1.1\r\nHost: a.example\r\n\r\n"), "200");
}

TEST_F(HttpServerTest, ABodyThatWaitsForAContinueGetsOne) {
  start({.body_bytes = 1000});
  const auto head = [](const std::string& expectation, std::size_t bytes,
                       const std::string& version = "1.1") {
    return "POST /good HTTP/" + version + "\r\nHost: 127.0.0.1\r\nExpect: " + expectation +
           "\r\nContent-Length: " + std::to_string(bytes) + "\r\n\r\n";
  };
  const std::string interim = "HTTP/1.1 100 Continue\r\n\r\n";
  const std::string reply = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
  RawConnection client(port());
  for (int request = 0; request < 2; ++request) {
    client.send(head("100-Continue", 5));
    EXPECT_EQ(client.receive(10, interim.size()), interim);
    client.send("hello");
    EXPECT_EQ(client.receive(10, reply.size()), reply);
  }
  // Not before a body that is refused, is empty, or is that of an old client.
  EXPECT_EQ(status_of(head("100-continue", 1001)), "413");
  EXPECT_EQ(status_of(head("100-continue", 0)), "200");
  EXPECT_EQ(status_of(head("100-continue", 5, "1.0") + "hello"), "200");
  EXPECT_EQ(status_of(head("a-miracle", 5)), "417");
  // A client that does not wait.
  const std::string both = head("100-continue", 5) + "hello";
  const std::string answer = RawConnection(port(), both).receive(10, reply.size());
  EXPECT_THAT(answer, HasSubstr("200 OK"));
}

TEST_F(HttpServerTest, A204HasNoLength) {
  start();
  RawConnection client(port());
  for (int request = 0; request < 2; ++request) {
    client.send("GET /empty HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    const std::string reply = "HTTP/1.1 204 No Content\r\n\r\n";
    EXPECT_EQ(client.receive(10, reply.size()), reply);
  }
}

TEST_F(HttpServerTest, HeadsHaveALimit) {
  start();
  std::string many = "Host: 127.0.0.1\r\n";
  for (int i = 0; i < 127; ++i) many += "X: y\r\n";
  EXPECT_EQ(status_with(many), "200");
  EXPECT_EQ(status_with(many + "X: y\r\n"), "400");
  EXPECT_EQ(status_with("X: " + std::string(20'000, 'x') + "\r\n"), "400");
  EXPECT_EQ(status_of("GET /" + std::string(20'000, 'x') + " HTTP/1.1\r\n\r\n"), "400");
  // Without end.
  RawConnection endless(port());
  std::string said;
  for (int i = 0; i < 10'000 && said.empty(); ++i) {
    if (!endless.send("X: " + std::string(1000, 'x') + "\r\n")) break;
    said = endless.receive(0.0001);
  }
  EXPECT_TRUE(said.starts_with("HTTP/1.1 400")) << said;
  EXPECT_TRUE(is_served());
}

TEST_F(HttpServerTest, BodiesHaveALimit) {
  start({.body_bytes = 1000});
  EXPECT_EQ(status_of(post(1000) + std::string(1000, 'x')), "200");
  EXPECT_EQ(status_of(post(1001)), "413") << "without waiting for it";
  EXPECT_EQ(status_of(post(99'999'999'999)), "413");
  const std::string chunked =
      "POST /good HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
  EXPECT_EQ(status_of(chunked + "3e8\r\n" + std::string(1000, 'x') + "\r\n0\r\n\r\n"), "200");
  EXPECT_EQ(status_of(chunked + "3e9\r\n"), "413");
  EXPECT_EQ(status_of(chunked + "ffffffffffffffff\r\n"), "413");
  EXPECT_EQ(status_of(chunked + "zz\r\n"), "400");
  RawConnection endless(port(), chunked);
  std::string said;
  for (int i = 0; i < 10'000 && said.empty(); ++i) {
    if (!endless.send("64\r\n" + std::string(100, 'x') + "\r\n")) break;
    said = endless.receive(0.0001);
  }
  EXPECT_TRUE(said.starts_with("HTTP/1.1 413")) << said;
  // A chunk's header, and headers after the body, that never end.
  for (const std::string& start : {chunked + "1;", chunked + "0\r\nX: "}) {
    RawConnection client(port(), start);
    std::string answer;
    for (int i = 0; i < 10'000 && answer.empty(); ++i) {
      if (!client.send(std::string(1000, 'x'))) break;
      answer = client.receive(0.0001);
    }
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 400")) << answer;
  }
  EXPECT_EQ(served_, 2);
}

TEST_F(HttpServerTest, ARequestThatDripsIsClosed) {
  start({.body_bytes = 1000, .head_s = 0.3, .body_s = 0.3});
  for (const std::string& start : {std::string("GET /go"), post(1000)}) {
    RawConnection client(port(), start);
    const auto begin = time_now();
    while (!client.closed() && client.send("x")) client.receive(0.02);
    EXPECT_GT(time_now() - begin, std::chrono::milliseconds(250));
    EXPECT_LT(time_now() - begin, std::chrono::seconds(10));
  }
  // A connection that is kept may be silent: the time begins with the first byte.
  RawConnection kept(port(), kGood);
  EXPECT_EQ(kept.status(), "200");
  kept.receive(1);
  EXPECT_FALSE(kept.closed());
  kept.send(kGood);
  EXPECT_EQ(kept.status(), "200");
}

TEST_F(HttpServerTest, AReplyThatNobodyTakesIsDropped) {
  start({.body_bytes = 1000, .reply_s = 0.3});
  RawConnection client(port(), "GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n");
  std::this_thread::sleep_for(std::chrono::seconds(1));
  EXPECT_LT(client.receive(20).size(), 64u << 20);
  EXPECT_TRUE(client.closed());
}

TEST_F(HttpServerTest, HalfOpenRequestsGiveWay) {
  start({.body_bytes = 1000, .connections = 64, .waiting = 16});
  RawConnection held(port(), "GET /held HTTP/1.1\r\nHost: localhost\r\n\r\n");
  while (served_ == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  RawConnection uploading(port(), post(1000) + "begun");
  std::vector<std::unique_ptr<RawConnection>> crowd;
  for (const std::string& bytes :
       std::vector<std::string>{"", "GET", "GET /good HTTP/1.1\r\nHost:"}) {
    for (int i = 0; i < 100; ++i) {
      crowd.push_back(std::make_unique<RawConnection>(port(), bytes));
      ASSERT_TRUE(crowd.back()->is_connected());
    }
    EXPECT_TRUE(is_served());
  }
  EXPECT_TRUE(crowd.front()->closes(20)) << "the oldest went first";
  crowd.back()->receive(0.1);
  EXPECT_FALSE(crowd.back()->closed());
  // A body that has begun to arrive is read to its end, and a client that waits for its reply gets
  // it.
  EXPECT_TRUE(uploading.send(std::string(995, 'x')));
  EXPECT_EQ(uploading.status(), "200");
  in_loop([this] { held_.front()->reply({200, "at last"}); });
  EXPECT_EQ(held.status(), "200");
}

TEST_F(HttpServerTest, UnfinishedBodiesHoldSoMuchAndNoMore) {
  start({.body_bytes = 1 << 20, .unfinished_bytes = 1 << 20});
  RawConnection first(port(), post(1 << 20) + std::string(800'000, 'x'));
  RawConnection second(port(), post(1 << 20) + std::string(200'000, 'x'));
  first.receive(0.2);
  EXPECT_FALSE(first.closed());
  EXPECT_TRUE(second.send(std::string(200'000, 'x')));
  EXPECT_TRUE(first.closes(20)) << "it has been silent for longest";
  EXPECT_TRUE(second.send(std::string((1 << 20) - 400'000, 'x')));
  EXPECT_EQ(second.status(), "200");
}

TEST_F(HttpServerTest, AnotherUserIsNotServed) {
  REQUIRE_OR_SKIP(geteuid() == 0, "only root may become another user");
  start();
  const auto ask = [&](bool by_ipv6) {
    RawConnection client(port(), kGood, by_ipv6);
    const std::string said = client.receive(20);
    return said.empty() && client.closed() ? 0 : 1;
  };
  for (const bool by_ipv6 : {false, true}) {
    EXPECT_EQ(as_nobody([&] { return ask(by_ipv6); }), 0);
    EXPECT_EQ(served_, 0);
  }
  // Neither do many of them keep us out.
  EXPECT_EQ(as_nobody([&] {
              std::vector<std::unique_ptr<RawConnection>> crowd;
              for (int i = 0; i < 300; ++i)
                crowd.push_back(std::make_unique<RawConnection>(port(), "GET /go"));
              return 0;
            }),
            0);
  EXPECT_TRUE(is_served());
  RawConnection by_ipv6(port(), kGood, true);
  EXPECT_EQ(by_ipv6.status(), "200") << "an IPv6 socket of ours";
}

TEST_F(HttpServerTest, AClientThatHasGoneIsKnownAtOnce) {
  start();
  auto client =
      std::make_unique<RawConnection>(port(), "GET /held HTTP/1.1\r\nHost: localhost\r\n\r\n");
  while (served_ == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  // In one step of the loop, which has no chance to hear of it.
  in_loop([&] {
    EXPECT_TRUE(held_.front()->is_open());
    client.reset();
    EXPECT_FALSE(held_.front()->is_open());
  });
}

}  // namespace
}  // namespace lambdaml::faas::sandbox
