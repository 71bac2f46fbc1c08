#include "lambdaml/faas/task_invocations.h"

#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/aws/testing/scoped_environment.h"
#include "lambdaml/base/error.h"
#include "lambdaml/faas/testing/test_support.h"

namespace lambdaml::faas {
namespace {

using State = EventStatus::State;
using Ranks = std::vector<std::size_t>;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using testing::TempFolder;

/// A batch system whose submissions do what a test says; its tasks end when they are submitted.
class ScriptedSystem : public BatchSystem {
 public:
  using Submission = std::function<void(storage::Storage&, const Ranks&)>;
  struct Record {
    std::size_t starts = 0;
    int cancels = 0;
  };

  ScriptedSystem(storage::Storage& store, std::vector<Submission> script, Record& record)
      : store_(store), script_(std::move(script)), record_(record) {}
  void start(const Ranks& ranks) override {
    script_.at(std::min(record_.starts++, script_.size() - 1))(store_, ranks);
  }
  std::map<std::size_t, std::string> ended(const Ranks&) override { return {}; }
  std::vector<std::string> last_lines(std::size_t) override { return {}; }
  void cancel() noexcept override { ++record_.cancels; }

 private:
  storage::Storage& store_;
  const std::vector<Submission> script_;
  Record& record_;
};

ScriptedSystem::Submission leaves(const std::string& end) {
  return [end](storage::Storage& store, const Ranks& ranks) {
    for (const std::size_t rank : ranks)
      store.save(fmt::format("{}/end", rank), as_bytes(end + "\nfine"));
  };
}
ScriptedSystem::Submission breaks() {
  return [](storage::Storage& store, const Ranks&) {
    store.save("0/end",
               as_bytes(std::string(
                   "failed 1\n{\"errorType\":\"unavailable\",\"errorMessage\":\"lost\"}")));
  };
}
ScriptedSystem::Submission refuses(Code code) {
  return [code](storage::Storage&, const Ranks&) { fail(code, "no controller"); };
}

class TaskInvocations : public ::testing::Test {
 protected:
  EventStatus run(std::vector<ScriptedSystem::Submission> script,
                  Function function = testing::test_function()) {
    record_ = {};
    std::shared_ptr<storage::Storage> store = storage::open(folder_ / "events");
    auto system = std::make_unique<ScriptedSystem>(*store, std::move(script), record_);
    const auto invocations = invoke_tasks(function, store, std::move(system), {"event"}, {});
    if (!invocations->wait(60)) fail(Code::internal, "the event did not end in 60 s");
    return invocations->status()[0];
  }

  const TempFolder folder_;
  ScriptedSystem::Record record_;
};

TEST_F(TaskInvocations, ASystemThatIsAwayStartsAFailedTaskAgainLater) {
  const EventStatus status =
      run({breaks(), refuses(Code::unavailable), refuses(Code::deadline_exceeded), leaves("ok 2")});
  EXPECT_EQ(status.state, State::succeeded) << status.error_message;
  EXPECT_EQ(status.response, "fine");
  // What was not submitted is no attempt.
  EXPECT_EQ(status.attempts, 2);
  EXPECT_EQ(record_.starts, 4u);
}

TEST_F(TaskInvocations, ATaskThatIsRefusedForGoodEndsItsEvent) {
  const EventStatus status = run({breaks(), refuses(Code::invalid_argument)});
  EXPECT_EQ(status.state, State::failed);
  EXPECT_EQ(status.error_type, "invalid_argument");
  EXPECT_THAT(status.error_message,
              HasSubstr("lost; its task cannot be started again: no controller"));
}

TEST_F(TaskInvocations, AFirstSubmissionThatFailsIsCancelled) {
  // It may have been taken although its answer was lost.
  for (const Code code : {Code::unavailable, Code::invalid_argument}) {
    const EventStatus status = run({refuses(code)});
    EXPECT_EQ(status.state, State::failed);
    EXPECT_EQ(status.error_type, to_string(code));
    EXPECT_EQ(record_.cancels, 1);
  }
  EXPECT_THROW(run({refuses(Code::cancelled)}), Error);
  EXPECT_EQ(record_.cancels, 1);
}

TEST_F(TaskInvocations, AnEndCountsOnceTheStorageHasBeenAsked) {
  int asked = 0;
  Function function = testing::test_function();
  function.query_status = [&](std::span<const std::size_t> events) {
    if (++asked < 3) fail(Code::unavailable, "a hiccup");
    return std::vector<std::optional<EventStatus>>(events.size());
  };
  EXPECT_EQ(run({leaves("ok 1")}, function).state, State::succeeded);
  EXPECT_EQ(asked, 3);

  function.query_status =
      [](std::span<const std::size_t>) -> std::vector<std::optional<EventStatus>> {
    fail(Code::permission_denied, "not yours");
  };
  const EventStatus status = run({leaves("ok 1")}, function);
  EXPECT_EQ(status.state, State::failed);
  EXPECT_EQ(status.error_type, "permission_denied");
  EXPECT_EQ(status.error_message, "worker 0: asking for its status: not yours");
}

/// Slurm's commands as scripts, for what no Slurm does on demand.
class SlurmCommands : public ::testing::Test {
 protected:
  SlurmCommands() {
    write("squeue", "exit 0");
    write("scancel", "echo scancel \"$@\" >> " + folder_ / "said");
  }
  void write(const std::string& name, const std::string& body) const {
    const std::string path = folder_ / name;
    std::ofstream(path) << "#!/bin/sh\n" << body << "\n";
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
  }
  std::vector<EventStatus> run(const std::string& logs = "logs") const {
    Function function = testing::test_function();
    function.log_folder = folder_ / logs;
    const Plugin& plugin = registry().get("slurm");
    const auto invocations =
        plugin.make(Options(plugin.options))->invoke_all(function, {"echo a"}, {});
    if (!invocations->wait(60)) fail(Code::internal, "the event did not end in 60 s");
    return invocations->status();
  }
  std::vector<std::string> said() const {
    return split(testing::content_of(folder_ / "said"), '\n');
  }

  const TempFolder folder_;
  lambdaml::aws::ScopedEnvironment environment_{
      {{"PATH", folder_.path().string() + ":" + std::getenv("PATH")}}};
};

TEST_F(SlurmCommands, AJobWhoseNumberIsNotToldIsCancelledByItsName) {
  write("sbatch", "echo \"$@\" | grep -o 'job-name=.*' >> " + folder_ / "said" +
                      "\necho 'sbatch: error: Batch job submission failed: Socket timed out on "
                      "send/recv operation' >&2\nexit 1");
  const EventStatus status = run()[0];
  EXPECT_EQ(status.state, State::failed);
  EXPECT_EQ(status.error_type, "unavailable");
  const std::vector<std::string> lines = said();
  ASSERT_GE(lines.size(), 2u);
  ASSERT_THAT(lines[0], StartsWith("job-name=lambdaml-"));
  EXPECT_EQ(lines[1], "scancel --name=" + lines[0].substr(9, lines[0].find(' ') - 9));
}

TEST_F(SlurmCommands, FolderNamesAreNoPatterns) {
  write("sbatch", "for a in \"$@\"; do echo \"$a\" >> " + folder_ / "said" +
                      "; done\necho refused >&2\nexit 1");
  run("100% of %a");
  EXPECT_THAT(said(), ::testing::Contains("--output=" + folder_.path().string() +
                                          "/100%% of %%a/worker-%a.log"));
  const EventStatus status = run("back\\slash")[0];
  EXPECT_EQ(status.error_type, "invalid_argument");
  EXPECT_THAT(status.error_message, HasSubstr("no backslash"));
}

}  // namespace
}  // namespace lambdaml::faas
