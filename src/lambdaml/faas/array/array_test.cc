#include <atomic>
#include <mutex>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/aws/testing/scoped_environment.h"
#include "lambdaml/aws/testing/thrown_by.h"
#include "lambdaml/faas/array/ranks.h"
#include "lambdaml/faas/host.h"
#include "lambdaml/faas/task_events.h"
#include "lambdaml/faas/task_invocations.h"
#include "lambdaml/faas/testing/test_support.h"

namespace lambdaml::faas::array {
namespace {

using lambdaml::aws::ScopedEnvironment;
using lambdaml::aws::thrown_by;
using State = EventStatus::State;
using ::testing::HasSubstr;
using testing::TempFolder;

/// An Indexed Job: runs each task until it ends well.
class IndexedJob {
 public:
  IndexedJob(const std::string& events, int tasks) : events_(events), ids_(tasks) {
    for (int rank = 0; rank < tasks; ++rank) threads_.emplace_back([this, rank] { run(rank); });
  }
  ~IndexedJob() {
    over_ = true;
    {
      const std::lock_guard lock(mutex_);
      for (const pid_t id : ids_)
        if (id > 0) ::kill(id, SIGKILL);
    }
    for (std::thread& thread : threads_) thread.join();
  }

 private:
  void run(int rank) {
    for (int code = 1; code != 0 && !over_;) {
      const pid_t id = start(rank);
      int status = 0;
      waitpid(id, &status, 0);
      const std::lock_guard lock(mutex_);
      ids_[static_cast<std::size_t>(rank)] = 0;
      code = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
    }
  }
  pid_t start(int rank) {
    const std::lock_guard lock(mutex_);
    const std::string place = "LAMBDAML_EVENTS=" + events_;
    const std::string index = fmt::format("JOB_COMPLETION_INDEX={}", rank);
    const char* variables[] = {place.c_str(), index.c_str(), nullptr};
    const char* arguments[] = {LAMBDAML_FAAS_TEST_FUNCTION, nullptr};
    const pid_t id = fork();
    if (id == 0) {
      execve(arguments[0], const_cast<char**>(arguments), const_cast<char**>(variables));
      _exit(127);
    }
    if (!over_) return ids_[static_cast<std::size_t>(rank)] = id;
    ::kill(id, SIGKILL);
    return id;
  }

  const std::string events_;
  std::atomic<bool> over_{false};
  std::mutex mutex_;  ///< guards ids_
  std::vector<pid_t> ids_;
  std::vector<std::thread> threads_;
};

class ArrayPlatform : public ::testing::Test {
 protected:
  std::vector<EventStatus> run(std::vector<std::string> payloads) {
    const IndexedJob job(place(), static_cast<int>(payloads.size()));
    const Plugin& plugin = registry().get("array");
    Options options(plugin.options);
    options.parse("events", place(), "test");
    const auto invocations =
        plugin.make(options)->invoke_all(testing::test_function(), std::move(payloads), {});
    if (!invocations->wait(60)) fail(Code::internal, "the events did not end in 60 s");
    return invocations->status();
  }
  std::string place() const { return folder_ / "events"; }

  const TempFolder folder_;
};

TEST_F(ArrayPlatform, TasksFindTheirEventsAndLeaveTheirEnds) {
  const auto status = run({"echo a", "echo \xff\x01", "echo "});
  EXPECT_EQ(status[0].response, "a") << status[0].error_message;
  EXPECT_EQ(status[1].response, "\xff\x01");
  EXPECT_EQ(status[2].response, "");
  for (const EventStatus& one : status) EXPECT_EQ(one.state, State::succeeded);
  EXPECT_TRUE(storage::open(place())->list("").empty());
}

TEST_F(ArrayPlatform, TasksRunAtTheSameTime) {
  const TempFolder met;
  for (const EventStatus& one :
       run(std::vector<std::string>(8, "rendezvous " + met.path().string() + " 8")))
    EXPECT_EQ(one.response, "met") << one.error_message;
}

TEST_F(ArrayPlatform, ADamagedEndFailsItsEvent) {
  const Plugin& plugin = registry().get("array");
  Options options(plugin.options);
  options.parse("events", place(), "test");
  for (const char* text : {"x", "ok", "", "failed 1\n{"}) {
    const auto invocations =
        plugin.make(options)->invoke_all(testing::test_function(), {"echo a"}, {});
    storage::open(place())->save("0/end", as_bytes(text));
    ASSERT_TRUE(invocations->wait(60)) << text;
    EXPECT_EQ(invocations->status()[0].state, State::failed) << text;
    EXPECT_EQ(invocations->status()[0].error_type, "data_corrupt") << text;
  }
}

TEST_F(ArrayPlatform, TasksThatFailOrDieAreRunAgain) {
  const auto status =
      run({"throw_first " + (folder_ / "threw"), "kill_first " + (folder_ / "killed")});
  EXPECT_EQ(status[0].response, "second") << status[0].error_message;
  // The second attempt may have ended before anybody saw how the first did.
  EXPECT_LE(status[0].attempts, 2);
  EXPECT_EQ(status[1].response, "second") << status[1].error_message;
}

TEST_F(ArrayPlatform, AnErrorThatWouldComeAgainEndsTheEvent) {
  const auto status = run({"throw invalid_argument no"});
  EXPECT_EQ(status[0].state, State::failed);
  EXPECT_EQ(status[0].error_type, "invalid_argument");
  EXPECT_EQ(status[0].error_message, "worker 0: no");
  EXPECT_EQ(status[0].attempts, 1);
}

TEST_F(ArrayPlatform, ATaskWhoseTimeIsOverGoesOnByItself) {
  ScopedEnvironment environment({{"LAMBDAML_EVENTS", place()}, {"SLURM_PROCID", "0"}});
  storage::open(place())->save("0/event", as_bytes(std::string("first")));
  std::vector<std::string> seen;
  EXPECT_EQ(serve_task(
                [&](const Invocation& invocation) {
                  seen.push_back(invocation.payload);
                  if (seen.size() < 3) own_function()->invoke(invocation.payload + "+");
                  return std::string("done");
                },
                kRankVariables),
            0);
  EXPECT_THAT(seen, ::testing::ElementsAre("first", "first+", "first++"));
}

TEST(TaskRanks, AreThoseOfEachBatchSystem) {
  for (const char* name : kRankVariables) {
    ScopedEnvironment environment;
    environment.set(name, "12");
    EXPECT_EQ(rank_of_task(kRankVariables), 12u) << name;
    environment.set(name, "-1");
    EXPECT_THAT(thrown_by([] { rank_of_task(kRankVariables); }).what(),
                HasSubstr(std::string(name) + "=-1"));
  }
  EXPECT_THAT(thrown_by([] { rank_of_task(kRankVariables); }).what(),
              HasSubstr("run it as a task of an array job"));
}

TEST(TaskRanks, ATaskWithoutAnEventSaysWhatToDo) {
  const TempFolder folder;
  ScopedEnvironment environment({{"LAMBDAML_EVENTS", folder.path().string()},
                                 {"JOB_COMPLETION_INDEX", "3"},
                                 {"LAMBDAML_EVENTS_WAIT_S", "0"}});
  const Error error =
      thrown_by([] { serve_task([](const Invocation&) { return ""; }, kRankVariables); });
  EXPECT_EQ(error.code(), Code::not_found);
  EXPECT_THAT(error.what(), ::testing::AllOf(HasSubstr("no event for task 3"),
                                             HasSubstr("--platform array, --events")));
  environment.set("LAMBDAML_EVENTS_WAIT_S", "soon");
  EXPECT_THAT(thrown_by([] { serve_task({}, kRankVariables); }).what(),
              HasSubstr("LAMBDAML_EVENTS_WAIT_S=soon"));
}

TEST(TaskRanks, ThePlatformWantsAPlace) {
  const Plugin& plugin = registry().get("array");
  EXPECT_THAT(thrown_by([&] { plugin.check(Options(plugin.options)); }).what(),
              HasSubstr("give that place with --events"));
}

}  // namespace
}  // namespace lambdaml::faas::array
