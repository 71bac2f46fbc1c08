#include "integration/servers.h"

#include <csignal>
#include <string>

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "integration/process.h"
#include "integration/stores.h"
#include "lambdaml/base/error.h"

namespace lambdaml::servers {
namespace {

using testing::HasSubstr;

class ServersTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override { REQUIRE_SERVER(GetParam()); }
};

INSTANTIATE_TEST_SUITE_P(, ServersTest, testing::ValuesIn(schemes()),
                         [](const auto& info) { return info.param; });

bool accepts(int port) {
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
  address.sin_port = ::htons(static_cast<std::uint16_t>(port));
  const bool connected =
      ::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  ::close(socket);
  return connected;
}

TEST_P(ServersTest, GoesAndComesBackAtTheSamePort) {
  const Server& server = get(GetParam());
  EXPECT_EQ(&get(GetParam()), &server) << "one of each";
  const int port = server.port;
  EXPECT_TRUE(accepts(port));
  server.stop();
  EXPECT_FALSE(accepts(port));
  server.stop();
  server.start();
  EXPECT_EQ(server.port, port);
  EXPECT_TRUE(accepts(port));
}

TEST(Process, TellsTheLastWordsOfAServerThatEnds) {
  const std::string folder = testing::TempDir();
  Process broken({"/bin/sh", "-c", "echo no luck today >&2; exit 3"}, folder, "process_test.log");
  try {
    await_answer(broken, free_port(), "", "hello", Deadline::in(30));
    FAIL() << "it answered";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::unavailable);
    EXPECT_THAT(error.what(), HasSubstr("no luck today"));
  }
  EXPECT_EQ(broken.wait(Deadline::in(0)), 3);
}

TEST(Process, DoesNotWaitForEverForAServerThatIsSilent) {
  Process silent({"/bin/sh", "-c", "exec sleep 1000"}, testing::TempDir(), "process_test.log");
  EXPECT_THROW(await_answer(silent, free_port(), "", "hello", Deadline::in(0.05)), Error);
  EXPECT_THROW(silent.wait(Deadline::in(0.05)), Error);
  EXPECT_TRUE(silent.runs());
  silent.kill();
  EXPECT_FALSE(silent.runs());
}

TEST(Process, EndsWithThisOne) {
  // A child that starts a server and is killed; the server tells by its end of a pipe.
  int pipe[2];
  ASSERT_EQ(::pipe(pipe), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(pipe[0]);
    Process orphan({"/bin/sh", "-c", "exec sleep 1000"}, testing::TempDir(), "process_test.log");
    ::kill(::getpid(), SIGKILL);
  }
  ::close(pipe[1]);
  char byte = 0;
  EXPECT_EQ(::read(pipe[0], &byte, 1), 0) << "all that held the other end are gone";
  ::close(pipe[0]);
  ::waitpid(child, nullptr, 0);
}

}  // namespace
}  // namespace lambdaml::servers
