#include "lambdaml/base/programs/command.h"

#include <csignal>

#include <gtest/gtest.h>

#include "lambdaml/base/deadline.h"

namespace lambdaml {
namespace {

using End = CommandResult::End;

TEST(Command, GivesItsOutputAndHowItEnded) {
  const CommandResult done = run_command("echo one; echo two >&2; cat", 20, 100, "a test");
  EXPECT_TRUE(done.succeeded());
  EXPECT_EQ(done.output, "one\n") << "standard input is empty";
  EXPECT_EQ(done.reason, "two");
  const CommandResult failed = run_command("echo said; exit 3", 20, 100, "a test");
  EXPECT_FALSE(failed.succeeded());
  EXPECT_EQ(failed.end, End::exited);
  EXPECT_EQ(failed.number, 3);
  EXPECT_EQ(failed.output, "said\n");
  const CommandResult killed = run_command("kill -9 $$", 20, 100, "a test");
  EXPECT_EQ(killed.end, End::killed);
  EXPECT_EQ(killed.number, SIGKILL);
}

TEST(Command, MayPrintMoreErrorsThanAPipeHoldsAndLeaveItOpen) {
  const CommandResult failed =
      run_command("yes x | head -c 300000 >&2; echo why >&2; exit 1", 20, 100, "a test");
  EXPECT_EQ(failed.number, 1);
  EXPECT_EQ(failed.reason, "why");
  EXPECT_EQ(run_command("sleep 5 >/dev/null & echo fine", 20, 100, "a test").output, "fine\n");
  EXPECT_EQ(run_command("echo waiting for a code >&2; sleep 60", 0.5, 100, "a test").reason,
            "waiting for a code");
}

TEST(Command, IsKilledWhenItTakesOrSaysTooMuch) {
  const Stopwatch clock;
  EXPECT_EQ(run_command("yes", 60, 1000, "a test").end, End::cut_off);
  EXPECT_EQ(run_command("sleep 60", 0.05, 100, "a test").end, End::timed_out);
  EXPECT_EQ(run_command("exec >&-; sleep 60", 0.05, 100, "a test").end, End::timed_out);
  EXPECT_LT(clock.seconds(), 30);
}

}  // namespace
}  // namespace lambdaml
