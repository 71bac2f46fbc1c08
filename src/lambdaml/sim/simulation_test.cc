#include "lambdaml/sim/simulation.h"

#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/fibers/background.h"
#include "lambdaml/base/fibers/waiting_mutex.h"
#include "lambdaml/base/parallel.h"
#include "lambdaml/base/unique_id.h"
#include "lambdaml/base/wait.h"

namespace lambdaml::sim {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(Simulation, PausesTakeVirtualTimeOnly) {
  const auto real = std::chrono::steady_clock::now();
  Simulation simulation(1);
  std::vector<std::string> seen;
  simulation.start("slow", [&] {
    pause_for(7200);
    seen.push_back(fmt::format("slow {}", simulation.now_s()));
  });
  simulation.start(
      "late",
      [&] {
        const Stopwatch clock;
        sleep_until(Deadline::in(600));
        seen.push_back(fmt::format("late {} {}", simulation.now_s(), clock.seconds()));
      },
      3000);
  EXPECT_TRUE(simulation.run());
  EXPECT_THAT(seen, ElementsAre("late 3600 600", "slow 7200"));
  EXPECT_LT(std::chrono::steady_clock::now() - real, std::chrono::seconds(60));
}

TEST(Simulation, RunStopsAtItsTimeAndGoesOn) {
  Simulation simulation(1);
  bool done = false;
  simulation.start("one", [&] {
    pause_for(10);
    done = true;
  });
  EXPECT_FALSE(simulation.run(4));
  EXPECT_DOUBLE_EQ(simulation.now_s(), 4);
  EXPECT_FALSE(done);
  EXPECT_TRUE(simulation.run(6));
  EXPECT_TRUE(done);
}

/// The order in which twenty processes that are due at the same times take turns.
std::pair<std::string, std::uint64_t> schedule(std::uint64_t seed) {
  Simulation simulation(seed);
  std::string order;
  for (int i = 0; i < 20; ++i)
    simulation.start(std::to_string(i), [&order, &simulation, i] {
      for (int turn = 0; turn < 10; ++turn) {
        order += fmt::format("{}:{} ", i, unique_number() % 10);
        pause_for(simulation.rng().uniform());
      }
    });
  simulation.run();
  return {order, simulation.fingerprint()};
}

TEST(Simulation, TheSeedDecidesTheSchedule) {
  EXPECT_EQ(schedule(1), schedule(1));
  EXPECT_NE(schedule(1).first, schedule(2).first);
  EXPECT_NE(schedule(1).second, schedule(2).second);
}

TEST(Simulation, WaitsEndWhenToldOrAtTheirDeadline) {
  Simulation simulation(1);
  int told = 0;
  bool ready = false;
  simulation.start("waits", [&] {
    while (!ready) simulation.wait_for(&ready, TimePoint::max());
    EXPECT_DOUBLE_EQ(simulation.now_s(), 5);
    ++told;
    simulation.wait_for(&ready, Deadline::in(2).time());
    EXPECT_DOUBLE_EQ(simulation.now_s(), 7);
  });
  simulation.start("tells", [&] {
    pause_for(5);
    ready = true;
    simulation.notify_all(&ready);
  });
  EXPECT_TRUE(simulation.run());
  EXPECT_EQ(told, 1);
}

TEST(Simulation, ProcessesThatWaitForEachOtherAreNamed) {
  Simulation simulation(1);
  simulation.start("forsaken", [&] {
    while (true) simulation.wait_for(&simulation, TimePoint::max());
  });
  try {
    simulation.run();
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("forsaken"));
  }
}

TEST(Simulation, AKilledProcessEndsByItsDestructors) {
  Simulation simulation(1);
  std::vector<std::string> seen;
  struct Says {
    std::vector<std::string>& seen;
    ~Says() { seen.push_back("destroyed"); }
  };
  const ProcessHandle victim = simulation.start(
      "victim",
      [&] {
        const Says says{seen};
        try {
          pause_for(100);
        } catch (...) {
          seen.push_back("caught");  // as code does that reports any error
        }
        pause_for(100);
        seen.push_back("went on");
      },
      0, [&](Process& process) { seen.push_back(process.was_killed() ? "killed" : "ended"); });
  simulation.start("killer", [&] {
    pause_for(3);
    simulation.kill(victim);
  });
  EXPECT_TRUE(simulation.run());
  EXPECT_THAT(seen, ElementsAre("caught", "destroyed", "killed"));
  EXPECT_DOUBLE_EQ(simulation.now_s(), 3);
}

TEST(Simulation, AFrozenProcessGoesOnLater) {
  Simulation simulation(1);
  double at_s = 0;
  const ProcessHandle victim = simulation.start("victim", [&] {
    pause_for(1);
    at_s = simulation.now_s();
  });
  simulation.start("freezer", [&] { simulation.freeze(victim, 50); });
  simulation.run();
  EXPECT_GE(at_s, 1);
  EXPECT_DOUBLE_EQ(simulation.now_s(), 50);
}

TEST(Simulation, EachFiberHasItsOwnExceptionsAndThreadState) {
  Simulation simulation(1);
  std::vector<std::string> seen;
  for (int i = 0; i < 3; ++i)
    simulation.start(std::to_string(i), [&, i] {
      const Tidying tidying(i == 1);
      try {
        throw std::runtime_error(std::to_string(i));
      } catch (const std::runtime_error&) {
        pause_for(3 - i);  // others throw and catch meanwhile
        try {
          throw;
        } catch (const std::runtime_error& error) {
          seen.push_back(fmt::format("{} {}", error.what(), Tidying::is_active()));
        }
      }
      EXPECT_EQ(std::uncaught_exceptions(), 0);
    });
  simulation.run();
  EXPECT_THAT(seen, ElementsAre("2 false", "1 true", "0 false"));
}

TEST(Simulation, BackgroundWorkAndLocksAreOfFibers) {
  Simulation simulation(1);
  WaitingMutex mutex;
  std::vector<std::string> seen;
  simulation.start("one", [&] {
    Background work([&] {
      const std::lock_guard lock(mutex);
      pause_for(5);
      seen.push_back("background");
      fail(Code::unavailable, "no");
    });
    pause_for(1);
    const std::lock_guard lock(mutex);
    seen.push_back("caller");
    EXPECT_THROW(work.get(), Error);
    EXPECT_FALSE(work.valid());
  });
  // Would never end if threads were involved.
  simulation.start("two", [&] {
    parallel_for(4, 4, [&](std::size_t) { pause_for(0.25); });
    EXPECT_DOUBLE_EQ(simulation.now_s(), 1);
  });
  EXPECT_TRUE(simulation.run());
  EXPECT_THAT(seen, ElementsAre("background", "caller"));
}

TEST(Simulation, AKillEndsBackgroundWorkBeforeItsCaller) {
  Simulation simulation(1);
  bool outlived = false;
  const ProcessHandle victim = simulation.start("victim", [&] {
    int local = 0;
    Background work([&] {
      pause_for(10);
      local = 1;
      outlived = true;
    });
    pause_for(10);
  });
  simulation.start("killer", [&] {
    pause_for(1);
    simulation.kill(victim);
  });
  EXPECT_TRUE(simulation.run());
  EXPECT_FALSE(outlived);
}

TEST(Simulation, TheEndOfASimulationEndsItsProcesses) {
  int destroyed = 0;
  struct Counts {
    int& n;
    ~Counts() { ++n; }
  };
  {
    Simulation simulation(1);
    for (int i = 0; i < 3; ++i)
      simulation.start("one", [&] {
        const Counts counts{destroyed};
        pause_for(1e6);
      });
    simulation.run(1);
  }
  EXPECT_EQ(destroyed, 3);
}

TEST(Simulation, ClocksMayJump) {
  Simulation simulation(1);
  simulation.start("one", [&] {
    const std::int64_t before = epoch_ms();
    simulation.jump_clock(simulation.process(), -3600);
    EXPECT_EQ(epoch_ms(), before - 3'600'000);
    const Stopwatch clock;
    EXPECT_EQ(clock.seconds(), 0);
  });
  simulation.run();
}

TEST(Simulation, TenThousandProcessesNeedNoThreads) {
  Simulation simulation(1);
  int ended = 0;
  for (int i = 0; i < 10'000; ++i)
    simulation.start("w", [&] {
      for (int turn = 0; turn < 3; ++turn) pause_for(1);
      ++ended;
    });
  EXPECT_TRUE(simulation.run());
  EXPECT_EQ(ended, 10'000);
}

}  // namespace
}  // namespace lambdaml::sim
