// Workers as tasks that a batch system starts: here the test does.
#include <filesystem>
#include <memory>

#include <gmock/gmock.h>
#include <signal.h>

#include "e2e/command.h"
#include "integration/process.h"
#include "lambdaml/base/deadline.h"

namespace lambdaml::e2e {
namespace {

namespace fs = std::filesystem;

class ArrayJobs : public CliTest {
 protected:
  std::string events() const { return (folder() / "events").string(); }
  std::unique_ptr<servers::Process> task(int rank) const {
    return std::make_unique<servers::Process>(
        std::vector<std::string>{servers::find_program("env"), "LAMBDAML_EVENTS=" + events(),
                                 "LAMBDAML_METRICS_NAMESPACE=tests",
                                 fmt::format("AWS_BATCH_JOB_ARRAY_INDEX={}", rank),
                                 LAMBDAML_BIN_DIR "/lambdaml-worker"},
        folder(), fmt::format("task-{}.log", rank));
  }
  std::vector<std::string> job(const std::string& output) const {
    return {"train",        "--json", "--data",   real_data("higgs.train.libsvm"),
            "--workers",    "3",      "--epochs", "200",
            "--batch-size", "100",    "--output", output};
  }
};

TEST_F(ArrayJobs, ATaskThatIsKilledAndRunAgainChangesNoByteOfTheModel) {
  REQUIRE_REAL_DATA();
  ASSERT_EQ(lambdaml(job("here")).exit_code, 0);

  // Two tasks wait for their events; the third comes after the job.
  std::vector<std::unique_ptr<servers::Process>> tasks;
  for (int rank = 0; rank < 2; ++rank) tasks.push_back(task(rank));
  std::vector<std::string> arguments = job("there");
  arguments.insert(arguments.end(),
                   {"--platform", "array", "--events", events(), "--run-epochs", "25", "--channel",
                    "file://" + (folder() / "channel").string()});
  Command command(folder(), arguments);
  tasks.push_back(task(2));
  ASSERT_TRUE(wait_for_epochs(command, folder() / "there" / "metrics.jsonl", 2))
      << command.wait().err;
  tasks[1]->kill();
  tasks[1] = task(1);
  const Result result = command.wait();
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(read(folder() / "there" / "model.safetensors"),
            read(folder() / "here" / "model.safetensors"));
  EXPECT_THAT(read(folder() / "task-0.log"),
              testing::AllOf(testing::HasSubstr("\"Namespace\":\"tests\""),
                             testing::HasSubstr("\"valid_loss\":")));
  EXPECT_THAT(read(folder() / "task-2.log"),
              testing::Not(testing::HasSubstr("\"Namespace\":\"tests\"")));
  for (const auto& one : tasks) EXPECT_EQ(one->wait(Deadline::in(60)), 0);
}

}  // namespace
}  // namespace lambdaml::e2e
