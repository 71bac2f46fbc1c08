// Who may talk to a server, and whom a client believes.
#include <csignal>
#include <cstdlib>

#include <ParameterServer.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <thrift/transport/TSocket.h>

#include "lambdaml/base/files.h"
#include "lambdaml/base/service/socket.h"
#include "lambdaml/base/testing/testing.h"
#include "lambdaml/ps/testing/raw_client.h"
#include "lambdaml/ps/testing/test_support.h"
#include "lambdaml/ps/transport.h"

namespace lambdaml::ps {
namespace {

using apache::thrift::transport::TSocket;
using testing::HasSubstr;

TEST(Secrets, CertificatesOfAnAddressAreThereAndUsed) {
  const Folder folder;
  const std::string file = (folder.path() / "ca.pem").string();
  const auto address = [](const std::string& query) {
    return lambdaml::ps::address_of(Uri::parse("ps://host?" + query));
  };
  EXPECT_THAT(error_of([&] { address("ca=" + file); }), HasSubstr("add tls=1"));
  EXPECT_THAT(error_of([&] { address("tls=1&ca=" + file); }), HasSubstr(file + ": No such file"));
  write_file(file, {});
  EXPECT_EQ(address("tls=1&ca=" + file).ca, file);
}

TEST(Secrets, ATokenThatNobodyCanSayIsRefused) {
  ServerSettings settings = on_a_free_port();
  settings.token = std::string(10'000, 'x');
  EXPECT_EQ(code_thrown_by([&] { const Server server(settings); }), Code::invalid_argument);
  settings.token = std::string(8'000, 'x');
  const Server server(settings);
  Address address = address_of(server);
  address.token = settings.token;
  Client(address).ping();
}

TEST(Secrets, ATokenIsAskedFor) {
  ServerSettings settings = on_a_free_port();
  settings.token = "open sesame";
  const Server server(settings);
  Address address = address_of(server);
  std::string why;
  EXPECT_EQ(code_thrown_by([&] { Client client(address); }, &why), Code::permission_denied);
  EXPECT_THAT(why, HasSubstr("token"));
  address.token = "open barley";
  EXPECT_EQ(code_thrown_by([&] { Client client(address); }, &why), Code::permission_denied);
  EXPECT_THAT(why, testing::Not(HasSubstr("sesame")));
  address.token = settings.token;
  Client client(address);
  client.register_model("m", 2, 1);
  // Clients of the original cannot say one.
  const auto socket = std::make_shared<TSocket>("127.0.0.1", server.port());
  socket->open();
  wire::ParameterServerClient original(
      make_protocol(std::make_shared<Buffered>(socket, kLongestAnswer)));
  EXPECT_THROW(original.exist_model("m"), wire::InvalidOperation);
}

/// A server with a certificate of its own, for the hosts localhost and 127.0.0.2.
class Tls : public testing::Test {
 protected:
  void SetUp() override {
    REQUIRE_OR_SKIP(std::system("openssl version >/dev/null 2>&1") == 0, "no openssl here");
    std::signal(SIGPIPE, SIG_IGN);  // as the executables do; the server's end does not
    settings.host = "0.0.0.0";
    settings.tls_cert = folder.path() / "cert.pem";
    settings.tls_key = folder.path() / "key.pem";
    ASSERT_EQ(
        std::system(fmt::format("openssl req -x509 -newkey ec -pkeyopt "
                                "ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=somebody "
                                "-addext subjectAltName=DNS:localhost,IP:127.0.0.2 -keyout {} "
                                "-out {} >/dev/null 2>&1",
                                settings.tls_key, settings.tls_cert)
                        .c_str()),
        0);
    server.emplace(settings);
    address = address_of(*server);
    address.host = "localhost";
    address.tls = true;
    address.ca = settings.tls_cert;
  }
  /// What a client with this address is told; empty when it is let in.
  static std::string refusal(const Address& address) {
    std::string why;
    EXPECT_EQ(code_thrown_by([&] { Client client(address); }, &why), Code::permission_denied);
    return why;
  }

  /// An encrypted connection of `patience_s`, below the protocol.
  std::unique_ptr<Socket> line(double patience_s) const {
    return std::make_unique<Socket>("localhost", address.port,
                                    std::make_shared<Patience>(PatiencePolicy{
                                        .outage_s = patience_s, .first_contact_s = patience_s}),
                                    TlsOptions{.ca = address.ca});
  }

  const Folder folder;
  ServerSettings settings = on_a_free_port();
  std::optional<Server> server;
  Address address;
};

TEST_F(Tls, CarriesVectorsToAHostThatTheCertificateNames) {
  for (const char* host : {"localhost", "127.0.0.2"}) {
    address.host = host;
    Client client(address);
    const std::vector<float> sent = numbers(0, 0, 1'000'000);
    const Part part{.id = fmt::format("{}/rounds", host), .workers = 1};
    EXPECT_EQ(exchange(client, part, sent).values, sent);
  }
}

TEST_F(Tls, BelievesNobodyElse) {
  Address other = address;
  other.host = "127.0.0.1";
  EXPECT_THAT(refusal(other), HasSubstr("IP address mismatch"));
  other = address;
  other.ca.clear();
  EXPECT_THAT(refusal(other), HasSubstr("LAMBDAML_PS_CA"));
  other.ca = settings.tls_key;
  std::string why;
  EXPECT_EQ(code_thrown_by([&] { Client client(other); }, &why), Code::invalid_argument);
  EXPECT_THAT(why, HasSubstr("key.pem"));
}

TEST_F(Tls, IsNotSpokenWithOneSideOnly) {
  Address plain = address;
  plain.tls = false;
  EXPECT_EQ(code_thrown_by([&] { Client client(plain); }), Code::unavailable);
  const Server without(on_a_free_port());
  Address tls = address;
  tls.port = without.port();
  EXPECT_EQ(code_thrown_by([&] { Client client(tls); }), Code::unavailable);
  settings.tls_key = folder.path() / "none.pem";
  EXPECT_EQ(code_thrown_by([&] { Server unreadable(settings); }), Code::invalid_argument);
}

TEST_F(Tls, HalfHandshakesMakeRoomForOthersAndAreEnded) {
  server.reset();
  settings.connections = 30;
  settings.token = "open sesame";
  settings.patience.greeting_s = 1;
  server.emplace(settings);
  address.port = server->port();
  address.token = settings.token;
  Client known(address);
  std::vector<RawClient> crowd;
  for (int i = 0; i < 100; ++i) {
    crowd.emplace_back(server->port());
    // The beginning of a ClientHello, nothing, or nonsense.
    crowd.back().say(i % 3 == 0 ? std::string("\x16\x03\x01\x02\x00\x01", 6)
                                : std::string(i % 3, 'x'));
  }
  const Stopwatch clock;
  Client(address).ping();
  EXPECT_LT(clock.seconds(), 5);
  for (const RawClient& one : crowd) EXPECT_TRUE(one.is_cut());
  known.ping();
}

TEST_F(Tls, NonsenseAfterTheHandshakeEndsTheConnection) {
  for (const std::string& nonsense : {std::string(100, '\xff'), std::string(40'000, 'x')}) {
    const auto socket = line(20);
    char byte = 0;
    try {  // the server may have ended it before all was written
      socket->send(nonsense);
      EXPECT_EQ(socket->receive(&byte, 1), 0U);
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), testing::Not(HasSubstr("no answer"))) << error.what();
    }
  }
  Client(address).ping();
}

TEST_F(Tls, ReadersThatAreSlowAreEnded) {
  server.reset();
  settings.patience.answer_s = 0.5;
  server.emplace(settings);
  address.port = server->port();
  Client client(address);
  client.put("large", Buffer(30'000'000));
  const auto socket = line(20);
  socket->send(Wire::call("get").field(Wire::kString, 1).text("large").stop().bytes());
  std::this_thread::sleep_for(std::chrono::seconds(3));
  std::size_t heard = 0;
  std::vector<char> some(1 << 16);
  try {
    while (const std::size_t n = socket->receive(some.data(), some.size())) heard += n;
  } catch (const Error&) {
  }
  EXPECT_LT(heard, 30'000'000U);
  EXPECT_EQ(client.get("large")->size(), 30'000'000U);
}

TEST_F(Tls, ASilentPeerIsGivenUpWhenThePatienceIsOver) {
  const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in where{};
  where.sin_family = AF_INET;
  where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof where;
  ASSERT_EQ(::bind(listener, reinterpret_cast<sockaddr*>(&where), size), 0);
  ASSERT_EQ(::listen(listener, 1), 0);
  ASSERT_EQ(::getsockname(listener, reinterpret_cast<sockaddr*>(&where), &size), 0);
  address.port = ntohs(where.sin_port);
  try {
    line(0.2);
    ADD_FAILURE() << "a peer that says nothing was believed";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::unavailable) << error.what();
    EXPECT_THAT(error.what(), HasSubstr("no answer"));
  }
  ::close(listener);
}

}  // namespace
}  // namespace lambdaml::ps
