// AWS's own clients against `lambdaml emulate`.
#include <thread>

#include <gmock/gmock.h>

#include "e2e/command.h"
#include "integration/process.h"
#include "integration/servers.h"
#include "lambdaml/base/testing.h"

namespace lambdaml::e2e {
namespace {

using testing::HasSubstr;

class Emulate : public CliTest {
 protected:
  void SetUp() override {
    CliTest::SetUp();
    for (const char* program : {"aws", "python3", "node"})
      REQUIRE_OR_SKIP(!servers::find_program(program).empty(),
                      std::string(program) + " is missing");
  }

  /// Runs a Python script against a service of its own, with the service's URL and `argument`; what
  /// it says.
  std::string script(const std::string& name, const std::string& argument) const {
    servers::Process service({LAMBDAML_BIN_DIR "/lambdaml", "emulate", "--port", "0",
                              "--retry-delay-s", "0.05", "--log-folder", "logs"},
                             folder(), "service.log");
    const std::string start = "listening on ";
    const Deadline deadline = Deadline::in(20);
    std::string line;
    while (line.find('\n') == std::string::npos) {
      if (!service.runs() || deadline.passed()) return service.last_lines();
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      line = read(folder() / "service.log");
    }
    const std::string url = line.substr(start.size(), line.find('\n') - start.size());
    servers::run({servers::find_program("python3").string(),
                  LAMBDAML_SOURCE_DIR "/tests/integration/" + name, url, argument},
                 folder(), "clients.log", Deadline::in(240));
    return read(folder() / "clients.log");
  }
};

TEST_F(Emulate, ServesAwsCliAndBoto3) {
  EXPECT_THAT(script("emulate_clients.py", LAMBDAML_BIN_DIR "/../tests/faas_test_function"),
              HasSubstr("all answered as AWS does"));
}

TEST_F(Emulate, ServesAwsRuntimeClient) {
  const std::string package = LAMBDAML_SOURCE_DIR "/build/npm/node_modules/aws-lambda-ric";
  REQUIRE_OR_SKIP(std::filesystem::exists(package),
                  package + " is missing; packages/install.sh test installs it");
  EXPECT_THAT(script("runtime_client.py", package),
              HasSubstr("the runtime client is served as on AWS"));
}

}  // namespace
}  // namespace lambdaml::e2e
