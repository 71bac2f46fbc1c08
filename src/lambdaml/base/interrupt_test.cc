#include "lambdaml/base/interrupt.h"

#include <array>
#include <atomic>
#include <condition_variable>
#include <csignal>
#include <mutex>
#include <thread>

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/parallel.h"
#include "lambdaml/base/testing/testing.h"
#include "lambdaml/base/wait.h"

namespace lambdaml {
namespace {

class Interrupts : public testing::Test {
 protected:
  Interrupts() { catch_interrupts(); }
  ~Interrupts() override { catch_interrupts(); }

  /// Calls `wait` and interrupts the process meanwhile; how long that took, or -1 when `wait` did
  /// not end as `cancelled`.
  template <class Wait>
  static double interrupted_after(const Wait& wait) {
    std::thread user([] {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      ::kill(::getpid(), SIGINT);
    });
    const Stopwatch clock;
    double took = -1;
    try {
      wait();
    } catch (const Error& error) {
      if (error.code() == Code::cancelled) took = clock.seconds();
    }
    user.join();
    return took;
  }
};

TEST_F(Interrupts, EndEveryWaitAtOnce) {
  EXPECT_FALSE(interrupted());
  EXPECT_TRUE(interrupt_deadline().is_never());
  EXPECT_NO_THROW(throw_if_interrupted());
  const double slept = interrupted_after([] { pause_for(30); });
  EXPECT_GE(slept, 0.04);
  EXPECT_LT(slept, 1);
  EXPECT_TRUE(interrupted());
  EXPECT_THROW(throw_if_interrupted(), Error);
  EXPECT_THROW(pause_for(30), Error) << "a wait that begins after it";

  catch_interrupts();
  EXPECT_FALSE(interrupted()) << "it is forgotten";
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  const double polled =
      interrupted_after([&] { wait_until_ready(ends[0], POLLIN, Deadline::never()); });
  EXPECT_GE(polled, 0.04);
  EXPECT_LT(polled, 1);
  ::close(ends[0]);
  ::close(ends[1]);

  catch_interrupts();
  std::mutex mutex;
  std::condition_variable changed;
  std::unique_lock lock(mutex);
  const double waited = interrupted_after(
      [&] { wait_until(changed, lock, Deadline::never(), [] { return false; }); });
  EXPECT_GE(waited, 0.04);
  EXPECT_LT(waited, 1);
}

TEST_F(Interrupts, LeaveTwoSecondsToTidyUp) {
  ::raise(SIGTERM);
  const Stopwatch clock;
  {
    const Tidying tidying;
    EXPECT_NO_THROW(throw_if_interrupted());
    EXPECT_NO_THROW(pause_for(0.1));
    // Helpers tidy up too.
    std::atomic<int> ended{0};
    parallel_for(4, 4, [&](std::size_t) {
      pause_for(0.01);
      ++ended;
    });
    EXPECT_EQ(ended, 4);
    EXPECT_THROW(pause_for(30), Error);
  }
  EXPECT_GE(clock.seconds(), 1.9);
  EXPECT_LT(clock.seconds(), 5);
  const Tidying another;
  EXPECT_THROW(pause_for(1), Error) << "in all, not each";
}

TEST_F(Interrupts, ThatComeWithinATidyingBeginItsTime) {
  const Tidying tidying;
  const double took = interrupted_after([] { pause_for(30); });
  EXPECT_GE(took, 1.9);
  EXPECT_LT(took, 5);
}

TEST(Interrupt, OfAnIgnoredKindStaysIgnored) {
  const pid_t child = ::fork();
  if (child == 0) {
    std::signal(SIGHUP, SIG_IGN);  // as nohup(1)
    catch_interrupts();
    ::raise(SIGHUP);
    const bool ignored = !interrupted();
    ::raise(SIGTERM);
    ::usleep(200'000);
    ::raise(SIGHUP);  // no second interrupt either
    ::_exit(ignored && interrupted() ? 42 : 43);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 42) << status;
}

/// What becomes of a process that is interrupted `times` times with `pause_ms` between.
int status_after(int times, int pause_ms) {
  const pid_t child = ::fork();
  if (child == 0) {
    catch_interrupts();
    for (int i = 0; i < times; ++i) {
      if (i > 0) ::usleep(static_cast<useconds_t>(pause_ms) * 1000);
      ::kill(::getpid(), i % 2 == 0 ? SIGINT : SIGTERM);
    }
    ::usleep(1000);  // the thread sanitizer runs handlers when a thread waits
    ::_exit(interrupted() ? 42 : 43);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return status;
}

TEST(Interrupt, TheSecondEndsTheProcess) {
  const int once = status_after(1, 0);
  EXPECT_TRUE(WIFEXITED(once) && WEXITSTATUS(once) == 42);
  // timeout(1) sends one to the process and one to its group.
  const int at_once = status_after(2, 0);
  EXPECT_TRUE(WIFEXITED(at_once) && WEXITSTATUS(at_once) == 42);
  const int twice = status_after(2, 1'000);
  EXPECT_TRUE(WIFSIGNALED(twice) && WTERMSIG(twice) == SIGTERM);
}

TEST(Waits, EndAtTheirDeadline) {
  const Stopwatch clock;
  pause_for(0.05);
  EXPECT_GE(clock.seconds(), 0.05);
  sleep_until(Deadline::in(-1));
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  EXPECT_FALSE(wait_until_ready(ends[0], POLLIN, Deadline::in(0.05)));
  ASSERT_EQ(::write(ends[1], "x", 1), 1);
  EXPECT_TRUE(wait_until_ready(ends[0], POLLIN, Deadline::in(0)));
  EXPECT_TRUE(wait_until_ready(ends[0], POLLIN, Deadline::never()));
  std::mutex mutex;
  std::condition_variable changed;
  std::unique_lock lock(mutex);
  EXPECT_FALSE(wait_until(changed, lock, Deadline::in(0.05), [] { return false; }));
  EXPECT_TRUE(wait_until(changed, lock, Deadline::in(0), [] { return true; }));
  ::close(ends[0]);
  ::close(ends[1]);
}

/// Whether `wait` ends as cancelled within a second.
template <class Wait>
bool ends_as_cancelled(const Wait& wait) {
  const Stopwatch clock;
  try {
    wait();
  } catch (const Error& error) {
    return error.code() == Code::cancelled && clock.seconds() < 1;
  }
  return false;
}

TEST(Cancellations, EndTheWaitsOfTheirOwnWorkOnly) {
  Cancellation cancelled, other;
  std::thread neighbour([&] {
    const Cancellation::Scope scope(&other);
    EXPECT_NO_THROW(pause_for(0.3));
  });
  std::thread user([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    cancelled.cancel();
  });
  {
    const Cancellation::Scope scope(&cancelled);
    EXPECT_TRUE(ends_as_cancelled([] { pause_for(30); }));
    EXPECT_TRUE(ends_as_cancelled([] { wait_until_ready(-1, POLLIN, Deadline::in(30)); }));
    std::mutex mutex;
    std::condition_variable never;
    EXPECT_TRUE(ends_as_cancelled([&] {
      std::unique_lock lock(mutex);
      wait_until(never, lock, Deadline::in(30), [] { return false; });
    }));
    EXPECT_TRUE(interrupted());
    const Tidying tidying;
    EXPECT_NO_THROW(pause_for(0.01)) << "cleanup may take a while";
  }
  EXPECT_FALSE(interrupted());
  EXPECT_NO_THROW(pause_for(0.01));
  user.join();
  neighbour.join();
}

TEST(Cancellations, AreInheritedByHelperThreads) {
  Cancellation cancelled;
  cancelled.cancel();
  const Cancellation::Scope scope(&cancelled);
  std::atomic<int> ended{0};
  parallel_for(8, 4, [&](std::size_t) {
    if (ends_as_cancelled([] { pause_for(30); })) ++ended;
  });
  EXPECT_EQ(ended, 8);
}

}  // namespace
}  // namespace lambdaml
