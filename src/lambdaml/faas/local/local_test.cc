// What only processes can do and suffer.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "lambdaml/base/files.h"
#include "lambdaml/base/testing/testing.h"
#include "lambdaml/base/text.h"
#include "lambdaml/faas/testing/test_support.h"

namespace lambdaml::faas::testing {
namespace {

using State = EventStatus::State;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

std::vector<EventStatus> run(const Function& function, std::vector<std::string> payloads,
                             FailureObserver observer = {}) {
  return run_all("local", function, std::move(payloads), std::move(observer));
}

std::unique_ptr<Invocations> begin(const Function& function, std::vector<std::string> payloads) {
  return default_invoker("local")->invoke_all(function, std::move(payloads), {});
}

Function once(Function function) {
  function.retries = 0;
  return function;
}

std::size_t open_descriptors() {
  std::size_t n = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd"))
    ++n;
  return n;
}

TEST(Local, EachEventHasAProcessOfItsOwn) {
  const auto status = run(test_function(), {"pid", "pid"});
  EXPECT_NE(status[0].response, status[1].response);
  EXPECT_NE(status[0].response, std::to_string(getpid()));
}

TEST(Local, AHundredWorkersMeet) {
  const TempFolder folder;
  const std::string payload = "rendezvous " + folder.path().string() + " 100";
  const auto status = run(test_function(), std::vector<std::string>(100, payload));
  for (const EventStatus& one : status) EXPECT_EQ(one.response, "met") << one.error_message;
}

TEST(Local, VariablesAreAsOnLambda) {
  setenv("LAMBDAML_FAAS_TEST_A", "inherited", 1);
  setenv("FAAS_TEST_B", "not inherited", 1);
  Function function = test_function();
  function.memory_mb = 512;
  function.environment = {{"FAAS_TEST_C", "given"}, {"TZ", ":Europe/Rome"}};
  const auto status = run(
      function, {"variable _HANDLER", "variable AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
                 "variable AWS_LAMBDA_LOG_STREAM_NAME", "variable LAMBDA_TASK_ROOT",
                 "variable LAMBDAML_FAAS_TEST_A", "variable FAAS_TEST_B", "variable FAAS_TEST_C",
                 "variable TZ", "variable _X_AMZN_TRACE_ID", "variable PATH"});
  std::vector<std::string> values;
  for (const EventStatus& one : status) values.push_back(one.response);
  EXPECT_THAT(values,
              ElementsAre("worker", "512", "environment-3",
                          std::filesystem::path(LAMBDAML_FAAS_TEST_FUNCTION).parent_path().string(),
                          "inherited", "(unset)", "given", ":Europe/Rome", StartsWith("Root=1-"),
                          std::getenv("PATH")));
}

TEST(Local, AWorkerHasNoDescriptorOfTheParent) {
  const TempFolder folder;
  // Neither closes itself on exec.
  const FileDescriptor file(open((folder / "marker").c_str(), O_CREAT | O_RDWR, 0600));
  const FileDescriptor connection(socket(AF_INET, SOCK_STREAM, 0));
  const std::string socket_name =
      std::filesystem::read_symlink(fmt::format("/proc/self/fd/{}", connection.get()));
  const auto status = run(test_function(), {"descriptors", "descriptors"});
  for (const EventStatus& one : status) {
    const auto open = split(one.response, '\n');
    EXPECT_THAT(open, Contains("/dev/null"));
    EXPECT_THAT(open, Contains(StartsWith("pipe:")).Times(2)) << one.response;
    EXPECT_THAT(open, Not(Contains(folder / "marker")));
    EXPECT_THAT(open, Not(Contains(socket_name)));
    // Its connection, but no listener and no connection of the other.
    EXPECT_THAT(open, Contains(StartsWith("socket:")).Times(1)) << one.response;
  }
}

TEST(Local, AnExitDuringAnEventIsReported) {
  const auto status = run(test_function(), {"exit 0"});
  EXPECT_EQ(status[0].error_type, "Runtime.ExitError");
  EXPECT_EQ(status[0].error_message, "worker 0: exited with code 0 while it ran its event");
}

TEST(Local, EveryExitIsTriedThreeTimes) {
  std::vector<std::string> seen;
  const auto status =
      run(test_function(), {"exit 7"}, [&](std::size_t, const EventStatus& failed, bool again) {
        seen.push_back(fmt::format("{} {}", failed.error_message, again));
      });
  const std::string message = "worker 0: exited with code 7 while it ran its event";
  EXPECT_THAT(seen, ElementsAre(message + " true", message + " true", message + " false"));
  EXPECT_EQ(status[0].attempts, 3);
}

TEST(Local, ASignalIsReportedByItsName) {
  const auto status = run(once(test_function()), {"abort"});
  EXPECT_EQ(status[0].error_type, "Runtime.Killed");
  EXPECT_EQ(status[0].error_message,
            "worker 0: killed by signal 6 (SIGABRT) while it ran its event");
}

TEST(Local, AKilledWorkerIsReplaced) {
  const TempFolder folder;
  std::vector<std::string> seen;
  const auto status = run(test_function(), {"kill_first " + (folder / "state"), "echo fine"},
                          [&](std::size_t event, const EventStatus& failed, bool again) {
                            seen.push_back(fmt::format("{} {} {} {}", event, failed.error_type,
                                                       failed.error_message, again));
                          });
  EXPECT_EQ(status[0].response, "second");
  EXPECT_EQ(status[0].attempts, 2);
  EXPECT_EQ(status[1].attempts, 1);
  EXPECT_THAT(seen, ElementsAre("0 Runtime.Killed worker 0: killed by signal 9 (SIGKILL) while it "
                                "ran its event true"));
}

TEST(Local, AnExitBeforeTheFirstEventIsReported) {
  const auto status = run(test_function("exit_at_start"), {"x"});
  EXPECT_EQ(status[0].error_type, "Runtime.ExitError");
  EXPECT_EQ(status[0].error_message,
            "exit_at_start 0: exited with code 3 before it asked for its event; it said last: no "
            "configuration");
  EXPECT_THAT(status[0].last_log_lines, ElementsAre("no configuration"));
  EXPECT_EQ(status[0].attempts, 3);
}

TEST(Local, AFailedStartThatIsReportedHasItsOwnError) {
  const auto status = run(test_function("fail_at_start"), {"x"});
  EXPECT_EQ(status[0].error_type, "not_found");
  EXPECT_EQ(status[0].error_message, "fail_at_start 0: no such data set");
  EXPECT_EQ(status[0].attempts, 1);
}

TEST(Local, ARuntimeThatNeverAsksTimesOut) {
  Function function = once(test_function("never_asks"));
  function.timeout_s = 0.2;
  const auto status = run(function, {"x"});
  EXPECT_EQ(status[0].error_type, "Sandbox.Timedout");
  EXPECT_EQ(status[0].error_message,
            "never_asks 0: timed out after 0.2 s, before it asked for its event");
}

TEST(Local, AHangingHandlerAndItsChildrenAreKilledAtTheTimeOut) {
  const TempFolder folder;
  Function function = once(test_function());
  function.timeout_s = 0.5;
  const auto status = run(function, {"hang_with_child " + (folder / "pids")});
  EXPECT_EQ(status[0].error_type, "Sandbox.Timedout");
  const auto pids = split(content_of(folder / "pids"), ' ');
  ASSERT_THAT(pids, SizeIs(2));
  for (const std::string& pid : pids)
    EXPECT_TRUE(eventually([&] { return !is_running(std::stoi(pid)); })) << pid;
}

TEST(Local, AStoppedWorkerTimesOut) {
  Function function = once(test_function());
  function.timeout_s = 0.3;
  EXPECT_EQ(run(function, {"stop"})[0].error_type, "Sandbox.Timedout");
}

#ifndef LAMBDAML_SANITIZED  // sanitizers need more memory than any limit
TEST(Local, MallocFailsAtTheMemoryLimit) {
  Function function = once(test_function());
  function.memory_mb = 128;
  EXPECT_EQ(run(function, {"allocate 64"})[0].response, "64");
  EXPECT_EQ(run(function, {"allocate 200"})[0].error_type, "resource_exhausted");
}
#endif

TEST(Local, MemoryBeyondTheLimitKills) {
  Function function = once(test_function());
  function.memory_mb = 128;
  const auto status = run(function, {"allocate_unlimited 200"});
  EXPECT_EQ(status[0].error_type, "Runtime.OutOfMemory");
  EXPECT_THAT(status[0].error_message,
              AllOf(HasSubstr("worker 0: used "), HasSubstr("may use 128 MB")));
}

TEST(Local, LogsGoToAFileAndTheLastLinesToTheStatus) {
  const TempFolder folder;
  Function function = once(test_function());
  function.log_folder = folder.path() / "log";
  const auto fine = run(function, {"log 5000"});
  std::string all;
  for (int i = 0; i < 5000; ++i) all += fmt::format("line {} of the log\n", i);
  all += "and this on stdout";
  EXPECT_TRUE(content_of(function.log_folder / "worker-0.log") == all);
  EXPECT_TRUE(fine[0].last_log_lines.empty());
  const auto failed = run(function, {"log 5000 4"});
  EXPECT_TRUE(content_of(function.log_folder / "worker-0.log") == all + all);
  std::vector<std::string> last;
  for (int i = 4991; i < 5000; ++i) last.push_back(fmt::format("line {} of the log", i));
  last.push_back("and this on stdout");
  EXPECT_EQ(failed[0].last_log_lines, last);
  EXPECT_THAT(failed[0].error_message, EndsWith("; it said last: and this on stdout"));
}

TEST(Local, LogsOfAllTriesAreAppended) {
  const TempFolder folder;
  Function function = test_function("exit_at_start");
  function.log_folder = folder.path();
  run(function, {"x"});
  EXPECT_EQ(content_of(folder / "worker-0.log"),
            "no configuration\nno configuration\nno configuration\n");
}

TEST(Local, AMissingExecutableIsNotFound) {
  Function function = test_function();
  function.executable = "/nowhere/worker";
  try {
    begin(function, {"x"});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::not_found);
    EXPECT_THAT(error.what(), HasSubstr("/nowhere/worker"));
  }
}

TEST(Local, AFileThatCannotBeExecutedIsRefusedAndNothingIsLeft) {
  const TempFolder folder;
  Function function = test_function();
  function.executable = folder / "worker";
  std::ofstream(function.executable) << "no program\n";
  const std::size_t before = open_descriptors();
  try {
    begin(function, {"x"});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::permission_denied);
  }
  std::filesystem::permissions(function.executable, std::filesystem::perms::owner_all);
  EXPECT_THROW(begin(function, {"x"}), Error);  // ENOEXEC
  EXPECT_EQ(open_descriptors(), before);
}

TEST(Local, CancelLeavesNoProcessAndNoDescriptor) {
  const TempFolder folder;
  const std::size_t before = open_descriptors();
  auto invocations = begin(
      test_function(), {"hang " + (folder / "0"), "hang " + (folder / "1"), "stop", "echo done"});
  ASSERT_TRUE(eventually([&] {
    return !content_of(folder / "0").empty() && !content_of(folder / "1").empty() &&
           invocations->status()[3].state == State::succeeded;
  }));
  const auto running = invocations->status();
  EXPECT_EQ(std::to_string(running[0].process_id), content_of(folder / "0"));
  invocations->cancel();
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(kill(running[i].process_id, 0), -1) << "reaped, not only dead";
    EXPECT_EQ(invocations->status()[i].error_type, "cancelled");
  }
  EXPECT_EQ(invocations->status()[3].response, "done");
  invocations.reset();
  EXPECT_EQ(open_descriptors(), before);
}

TEST(Local, AFinishedCallLeavesNoProcessAndNoDescriptor) {
  const std::size_t before = open_descriptors();
  run(test_function(), {"echo a", "echo b", "throw invalid_argument x"});
  EXPECT_EQ(open_descriptors(), before);
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1) << "a child is left";
}

TEST(Local, EnvironmentsStayWarmWithTheInvoker) {
  const TempFolder folder;
  const auto invoker = default_invoker("local");
  const auto run_here = [&](const std::string& log, std::vector<std::string> payloads) {
    Function function = test_function();
    function.log_folder = folder / log;
    const auto invocations = invoker->invoke_all(function, std::move(payloads), {});
    EXPECT_TRUE(invocations->wait(60));
    return invocations->status();
  };
  const auto first = run_here("first", {"pid", "log 1"});
  const auto second = run_here("second", {"log 2", "pid"});
  EXPECT_EQ(second[0].state, State::succeeded) << second[0].error_message;
  // Both processes have served the first call; which of them serves which event is no matter.
  const auto third = run_here("third", {"pid", "pid"});
  EXPECT_THAT((std::vector{third[0].response, third[1].response}),
              AllOf(Contains(first[0].response), Contains(second[1].response)));
  EXPECT_EQ(content_of(folder / "first/worker-1.log"), "line 0 of the log\nand this on stdout");
  EXPECT_EQ(content_of(folder / "second/worker-0.log"),
            "line 0 of the log\nline 1 of the log\nand this on stdout");
  // One that failed is not used again.
  const auto failed = run_here("failed", {"throw not_found x"});
  EXPECT_EQ(failed[0].state, State::failed);
  EXPECT_EQ(run_here("last", {"echo well"})[0].response, "well");
}

TEST(Local, TheWorkersDieWithTheirParent) {
  const TempFolder folder;
  const pid_t parent = fork();
  if (parent == 0) {
    const auto invocations =
        begin(test_function(), {"hang " + (folder / "0"), "hang " + (folder / "1")});
    invocations->wait(1000);
    _exit(0);
  }
  std::string first, second;
  EXPECT_TRUE(eventually([&] {
    first = content_of(folder / "0");
    second = content_of(folder / "1");
    return !first.empty() && !second.empty();
  }));
  kill(parent, SIGKILL);
  waitpid(parent, nullptr, 0);
  for (const std::string& pid : {first, second})
    EXPECT_TRUE(eventually([&] { return !is_running(std::stoi(pid)); }));
}

TEST(Local, AProgramThatIgnoresItsChildrenSeesThemEnd) {
  signal(SIGCHLD, SIG_IGN);
  const auto status = run(once(test_function()), {"exit 7"});
  EXPECT_EQ(run(test_function(), {"echo x"})[0].response, "x");
  signal(SIGCHLD, SIG_DFL);
  EXPECT_EQ(status[0].error_message, "worker 0: ended in an unknown way while it ran its event");
}

TEST(Local, DescriptorLimitsAreRaisedOrNamed) {
  const pid_t child = fork();
  if (child == 0) {
    rlimit limit{.rlim_cur = 64, .rlim_max = 512};
    setrlimit(RLIMIT_NOFILE, &limit);
    int result = 0;
    for (const EventStatus& one : run(test_function(), std::vector<std::string>(40, "echo x")))
      if (one.response != "x") result |= 1;
    try {
      begin(test_function(), std::vector<std::string>(200, "echo x"));
      result |= 2;
    } catch (const Error& error) {
      if (error.code() != Code::resource_exhausted) result |= 4;
    }
    _exit(result);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
}

TEST(RuntimeApi, CallsThatDoNotFitAreRefused) {
  const auto status = run(once(test_function("raw")), {"x"});
  ASSERT_EQ(status[0].state, State::succeeded) << status[0].error_message;
  // No such path; POST next; a response before the event; next; next again; wrong ids, twice; an
  // error of the start after it.
  EXPECT_EQ(status[0].response, "404 405 403 200 403 400 400 403 ");
}

TEST(RuntimeApi, ALargeResponseGets413) {
  const TempFolder folder;
  Function function = once(test_function("raw"));
  function.log_folder = folder.path();
  const auto status = run(function, {"large"});
  EXPECT_EQ(status[0].error_type, "Function.ResponseSizeTooLarge");
}

TEST(RuntimeApi, AnErrorThatIsNoJsonIsStillAnError) {
  const auto status = run(once(test_function("raw")), {"garbage error"});
  EXPECT_EQ(status[0].error_type, "Runtime.Unknown");
  EXPECT_THAT(status[0].error_message, StartsWith("raw 0: {\"errorType\": ["));
}

TEST(RuntimeApi, AnEndWithoutAnAnswerIsReported) {
  const auto status = run(once(test_function("raw")), {"silent"});
  EXPECT_EQ(status[0].error_message, "raw 0: exited with code 0 while it ran its event");
}

TEST(RuntimeApi, GarbageOnThePortHarmsNobody) {
  const auto status = run(once(test_function("raw")), {"garbage"});
  ASSERT_EQ(status[0].state, State::succeeded) << status[0].error_message;
  EXPECT_EQ(status[0].response, "HTTP/1.1 400|HTTP/1.1 400|HTTP/1.1 400|HTTP/1.1 413|");
}

}  // namespace
}  // namespace lambdaml::faas::testing
