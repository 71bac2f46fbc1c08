// AWS's own clients against `lambdaml emulate`.
#include <thread>

#include <gmock/gmock.h>

#include "e2e/command.h"
#include "integration/process.h"
#include "integration/servers.h"

namespace lambdaml::e2e {
namespace {

using testing::HasSubstr;

class Emulate : public CliTest {
 protected:
  void SetUp() override {
    CliTest::SetUp();
    for (const char* program : {"aws", "python3"})
      if (servers::find_program(program).empty()) {
        if (std::getenv("LAMBDAML_REQUIRE_SERVERS") != nullptr) FAIL() << program << " is missing";
        GTEST_SKIP() << program << " is missing";
      }
  }
};

TEST_F(Emulate, ServesAwsCliAndBoto3) {
  servers::Process service({LAMBDAML_BIN_DIR "/lambdaml", "emulate", "--port", "0",
                            "--retry-delay-s", "0.05", "--log-folder", "logs"},
                           folder(), "service.log");
  const std::string start = "listening on ";
  const Deadline deadline = Deadline::in(20);
  std::string line;
  while (line.find('\n') == std::string::npos) {
    ASSERT_TRUE(service.runs() && !deadline.passed()) << service.last_lines();
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    line = read(folder() / "service.log");
  }
  ASSERT_THAT(line, HasSubstr(start));
  const std::string url = line.substr(start.size(), line.find('\n') - start.size());
  servers::run({servers::find_program("python3").string(),
                LAMBDAML_SOURCE_DIR "/tests/integration/emulate_clients.py", url,
                LAMBDAML_BIN_DIR "/../tests/faas_test_function"},
               folder(), "clients.log", Deadline::in(240));
  EXPECT_THAT(read(folder() / "clients.log"), HasSubstr("all answered as AWS does"));
}

}  // namespace
}  // namespace lambdaml::e2e
