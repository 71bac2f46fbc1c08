// AWS's own clients against `lambdaml emulate`.
#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>
#include <thread>

#include <gmock/gmock.h>
#include <signal.h>

#include "e2e/command.h"
#include "integration/process.h"
#include "integration/servers.h"
#include "lambdaml/aws/testing/scoped_environment.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/testing/testing.h"
#include "lambdaml/base/text.h"

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

  /// The variables of lines `export NAME=VALUE`.
  static std::map<std::string, std::string> exported_in(const std::string& text) {
    std::map<std::string, std::string> out;
    for (const std::string& line : split(text, '\n'))
      if (const std::size_t equals = line.find('='); line.starts_with("export "))
        out[line.substr(7, equals - 7)] = line.substr(equals + 1);
    return out;
  }

  /// Starts a service in an environment without keys but for what `variables` say; its URL, and the
  /// key that it makes for itself.
  std::map<std::string, std::string> start(const std::map<std::string, std::string>& variables) {
    const aws::ScopedEnvironment environment(variables);
    end_service();
    const std::string log = "service-" + std::to_string(++started_) + ".log";
    service_.emplace(
        std::vector<std::string>{LAMBDAML_BIN_DIR "/lambdaml", "emulate", "--port", "0",
                                 "--retry-delay-s", "0.05", "--log-folder", "logs"},
        folder(), log);
    const std::string ready = "listening on ";
    const Deadline deadline = Deadline::in(60);
    std::string text;
    while (std::ranges::count(text, '\n') < 3) {
      if (!service_->runs() || deadline.passed())
        fail(Code::internal, "{}", service_->last_lines());
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      text = read(folder() / log);
    }
    std::map<std::string, std::string> out = exported_in(text);
    out["AWS_ENDPOINT_URL_LAMBDA"] = text.substr(ready.size(), text.find('\n') - ready.size());
    return out;
  }

  /// Runs a Python script against a service of its own, with the service's URL and `argument`; what
  /// it says.
  std::string script(const std::string& name, const std::string& argument) {
    const std::map<std::string, std::string> service = start({});
    const aws::ScopedEnvironment environment(service);
    servers::run({servers::find_program("python3").string(),
                  LAMBDAML_SOURCE_DIR "/tests/integration/" + name,
                  service.at("AWS_ENDPOINT_URL_LAMBDA"), argument},
                 folder(), "clients.log", Deadline::in(240));
    return read(folder() / "clients.log");
  }

  /// As a user ends it: it leaves no folder.
  void end_service() {
    if (!service_) return;
    ::kill(service_->pid(), SIGTERM);
    EXPECT_EQ(service_->wait(Deadline::in(30)), 0);
    service_.reset();
  }
  void TearDown() override {
    end_service();
    CliTest::TearDown();
  }

 private:
  std::optional<servers::Process> service_;
  int started_ = 0;
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

/// What functions sign with: the service's own key, unless they find one that S3 may need.
TEST_F(Emulate, FunctionsFindTheKeysThatTheyNeed) {
  std::filesystem::copy_file(LAMBDAML_BIN_DIR "/../tests/faas_test_function",
                             folder() / "bootstrap");
  servers::run(
      {servers::find_program("python3").string(), "-m", "zipfile", "-c", "f.zip", "bootstrap"},
      folder(), "zip.log", Deadline::in(60));
  const auto in_a_function = [&](const std::map<std::string, std::string>& client) {
    std::vector<std::string> environment{"AWS_REGION=us-east-1", "AWS_EC2_METADATA_DISABLED=true"};
    for (const auto& [name, value] : client) environment.push_back(name + "=" + value);
    const Result deployed = lambdaml({"deploy", "--zip", "f.zip", "--function", "f", "--role",
                                      "arn:aws:iam::000000000000:role/r"},
                                     environment);
    EXPECT_EQ(deployed.exit_code, 0) << deployed.err;
    const Result said =
        lambdaml({"invoke", "f", "--payload", R"("variable AWS_ACCESS_KEY_ID")"}, environment);
    EXPECT_EQ(said.exit_code, 0) << said.err;
    return said.out;
  };
  const auto made = start({});
  EXPECT_EQ(in_a_function(made), made.at("AWS_ACCESS_KEY_ID") + "\n");
  // The profile's, which they find by themselves, and which call the service too.
  const std::string file = write("credentials",
                                 "[default]\naws_access_key_id = profile\n"
                                 "aws_secret_access_key = its secret\n");
  const std::map<std::string, std::string> profile = {{"AWS_SHARED_CREDENTIALS_FILE", file}};
  std::map<std::string, std::string> client = start(profile);
  client.erase("AWS_ACCESS_KEY_ID");
  client.erase("AWS_SECRET_ACCESS_KEY");
  client.insert(profile.begin(), profile.end());
  const aws::ScopedEnvironment none;
  EXPECT_EQ(in_a_function(client), "(unset)\n");
  // A program's, which are not known to the service.
  const std::string config = write("config", "[default]\ncredential_process = echo\n");
  EXPECT_EQ(in_a_function(start({{"AWS_CONFIG_FILE", config}})), "(unset)\n");
}

}  // namespace
}  // namespace lambdaml::e2e
