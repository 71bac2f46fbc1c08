// Workers behind HTTP addresses, and others' senders of events.
#include <filesystem>

#include <gmock/gmock.h>
#include <signal.h>

#include "e2e/command.h"
#include "integration/process.h"
#include "lambdaml/base/deadline.h"
#include "lambdaml/faas/testing/http_functions.h"

namespace lambdaml::e2e {
namespace {

namespace fs = std::filesystem;
using faas::testing::HttpFunction;
using testing::HasSubstr;

class HttpJobs : public CliTest {
 protected:
  std::vector<std::string> job(const std::string& output) const {
    return {"train",        "--json", "--data",   real_data("higgs.train.libsvm"),
            "--workers",    "3",      "--epochs", "200",
            "--batch-size", "100",    "--output", output};
  }
};

TEST_F(HttpJobs, AWorkerThatIsKilledAndReplacedChangesNoByteOfTheModel) {
  REQUIRE_REAL_DATA();
  ASSERT_EQ(lambdaml(job("here")).exit_code, 0);

  const fs::path worker = fs::path(LAMBDAML_BIN_DIR) / "lambdaml-worker";
  std::vector<HttpFunction> functions;
  // What replaces the second one takes its port, which no client of this machine gets meanwhile.
  for (int i = 0; i < 3; ++i)
    functions.emplace_back(worker, std::vector<std::string>{},
                           static_cast<std::uint16_t>(i == 1 ? servers::free_port() : 0));
  std::vector<std::string> arguments = job("there");
  arguments.insert(arguments.end(),
                   {"--platform", "http", "--url", faas::testing::urls_of(functions), "--channel",
                    "file://" + (folder() / "channel").string()});
  Command command(folder(), arguments);
  ASSERT_TRUE(wait_for_epochs(command, folder() / "there" / "metrics.jsonl", 2))
      << command.wait().err;
  functions[1].send(SIGKILL);
  functions[1].wait();
  const HttpFunction replacement(worker, {}, functions[1].port());
  const Result result = command.wait();
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("worker 1: the connection was lost before it had ended"));
  EXPECT_EQ(read(folder() / "there" / "model.safetensors"),
            read(folder() / "here" / "model.safetensors"));
}

TEST_F(HttpJobs, AWorkerWhoseTimeIsOverIsCalledAgain) {
  REQUIRE_REAL_DATA();
  ASSERT_EQ(lambdaml(job("here")).exit_code, 0);
  std::vector<HttpFunction> functions;
  for (int i = 0; i < 3; ++i)
    functions.emplace_back(fs::path(LAMBDAML_BIN_DIR) / "lambdaml-worker");
  std::vector<std::string> arguments = job("there");
  arguments.insert(arguments.end(), {"--platform", "http", "--url",
                                     faas::testing::urls_of(functions), "--run-epochs", "25",
                                     "--channel", "file://" + (folder() / "channel").string()});
  const Result result = lambdaml(arguments);
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(read(folder() / "there" / "model.safetensors"),
            read(folder() / "here" / "model.safetensors"));
}

TEST_F(HttpJobs, WithoutAFunctionThereIsOneLine) {
  std::vector<std::string> arguments{
      "train",     "--data",    write("a.libsvm", "1 1:1\n0 1:2\n"),
      "--workers", "1",         "--platform",
      "http",      "--channel", "file://" + (folder() / "channel").string()};
  const Result none = lambdaml(arguments);
  EXPECT_EQ(none.exit_code, 2);
  EXPECT_THAT(none.err, HasSubstr("give it with --url"));
  arguments.insert(arguments.end(),
                   {"--url", fmt::format("http://127.0.0.1:{}", servers::free_port())});
  const Result closed = lambdaml(arguments, {"LAMBDAML_OUTAGE_S=1"});
  EXPECT_NE(closed.exit_code, 0);
  EXPECT_THAT(closed.err, HasSubstr("no instance took it for"));
}

TEST_F(HttpJobs, WorkersTakeTheEventsOfOthersSenders) {
  const fs::path node = servers::find_program("node");
  const fs::path packages = fs::path(LAMBDAML_SOURCE_DIR) / "build" / "npm" / "node_modules";
  REQUIRE_OR_SKIP(
      !node.empty() && fs::exists(packages / "cloudevents") &&
          fs::exists(packages / "@google-cloud" / "functions-framework"),
      "node or the senders' packages are missing; packages/install.sh test brings them");
  const HttpFunction function(LAMBDAML_TEST_FUNCTION);
  servers::run({node, LAMBDAML_SOURCE_DIR "/tests/integration/cloudevent_senders.js",
                function.url(), packages},
               folder(), "answers", Deadline::in(120));
  EXPECT_EQ(read(folder() / "answers"), "binary\nstructured\nevent-1\nframework\n");
}

}  // namespace
}  // namespace lambdaml::e2e
