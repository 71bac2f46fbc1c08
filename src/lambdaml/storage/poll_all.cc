#include <algorithm>
#include <optional>

#include <sys/prctl.h>

#include "lambdaml/base/clock.h"
#include "lambdaml/base/wait.h"
#include "lambdaml/storage/wait.h"

namespace lambdaml::storage {
namespace {

/// Allows this thread to sleep for microseconds: by default the kernel wakes it up to 50 µs late.
class ExactSleep {
 public:
  ExactSleep() : before_(::prctl(PR_GET_TIMERSLACK)) { ::prctl(PR_SET_TIMERSLACK, 1000UL); }
  ExactSleep(const ExactSleep&) = delete;
  ExactSleep& operator=(const ExactSleep&) = delete;
  ~ExactSleep() {
    if (before_ > 0) ::prctl(PR_SET_TIMERSLACK, static_cast<unsigned long>(before_));
  }

 private:
  int before_;
};

class WatchOfAll final : public ListedKeyWatch {
 public:
  WatchOfAll(Storage& store, std::vector<std::string> keys)
      : ListedKeyWatch(std::move(keys)), store_(store) {}

 private:
  void wait(Deadline deadline, std::size_t below) override {
    if (reaches_further(below)) poll(missing(below));
    // In a simulation nobody sleeps.
    std::optional<ExactSleep> exact;
    if (replaced_clock() == nullptr) exact.emplace();
    while (!any_found() && !deadline.passed()) {
      sleep_until(next_poll_.earlier(deadline));
      if (next_poll_.passed()) poll(missing(below));
    }
  }

  void look_up(std::span<const std::size_t> which) override {
    load_from(store_, which);
    next_poll_ = Deadline::in(pause_of_polling_all(waited_.seconds()));
  }

  Storage& store_;
  Stopwatch waited_;
  Deadline next_poll_ = Deadline::in(0);
};

}  // namespace

// A poll costs some 20 µs, and values often arrive within a few hundred. A hundred workers polling
// a thousand times a second would slow each other down, so long waits poll less often.
double pause_of_polling_all(double waited_s) {
  const double longest_s = waited_s < 0.02 ? 1e-3 : 0.2;
  return std::clamp(0.1 * waited_s, 60e-6, longest_s);
}

std::unique_ptr<KeyWatch> watch_all_by_polling(Storage& store, std::vector<std::string> keys) {
  return std::make_unique<WatchOfAll>(store, std::move(keys));
}

}  // namespace lambdaml::storage
