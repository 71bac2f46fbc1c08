#include "lambdaml/base/parallel.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include <sched.h>

#include "lambdaml/base/fibers/scheduler.h"
#include "lambdaml/base/interrupt.h"

namespace lambdaml {
namespace {

/// Threads that outlive a call: starting one costs as much as a batch of a linear model.
class Pool {
 public:
  ~Pool() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  void run(std::size_t n, std::size_t helpers, const std::function<void(std::size_t)>& body) {
    const std::lock_guard one_at_a_time(run_mutex_);
    {
      const std::lock_guard lock(mutex_);
      while (threads_.size() < helpers) threads_.emplace_back([this] { serve(); });
      body_ = &body;
      tidying_ = Tidying::is_active();
      cancellation_ = Cancellation::current();
      n_ = n;
      next_ = 0;
      error_ = nullptr;
      wanted_ = helpers;
      ++generation_;
    }
    wake_.notify_all();
    drain();
    std::unique_lock lock(mutex_);
    wanted_ = 0;  // helpers that have not woken yet take no part
    done_.wait(lock, [this] { return active_ == 0; });
    body_ = nullptr;
    if (error_) std::rethrow_exception(error_);
  }

 private:
  void serve() {
    std::size_t seen = 0;
    std::unique_lock lock(mutex_);
    while (true) {
      wake_.wait(lock, [&] { return stopping_ || (generation_ != seen && wanted_ > 0); });
      if (stopping_) return;
      seen = generation_;
      --wanted_;
      ++active_;
      const bool tidies = tidying_;
      Cancellation* const cancellation = cancellation_;
      lock.unlock();
      {
        const Tidying tidying(tidies);
        const Cancellation::Scope scope(cancellation);
        drain();
      }
      lock.lock();
      if (--active_ == 0) done_.notify_one();
    }
  }

  void drain() {
    for (std::size_t i = next_++; i < n_; i = next_++) {
      try {
        (*body_)(i);
      } catch (...) {
        const std::lock_guard lock(mutex_);
        if (!error_) error_ = std::current_exception();
      }
    }
  }

  std::mutex run_mutex_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable done_;
  std::vector<std::thread> threads_;
  const std::function<void(std::size_t)>* body_ = nullptr;
  std::size_t n_ = 0;
  std::atomic<std::size_t> next_{0};
  std::size_t wanted_ = 0;
  std::size_t active_ = 0;
  std::size_t generation_ = 0;
  bool stopping_ = false;
  bool tidying_ = false;                  ///< the caller is within a Tidying
  Cancellation* cancellation_ = nullptr;  ///< that the caller works for
  std::exception_ptr error_;
};

}  // namespace

void parallel_for(std::size_t n, std::size_t threads,
                  const std::function<void(std::size_t)>& body) {
  // A simulation has no hidden threads, and only its own may call its stores.
  if (current_scheduler() != nullptr) threads = 1;
  const std::size_t helpers = std::min(n, std::max<std::size_t>(threads, 1)) - (n == 0 ? 0 : 1);
  if (helpers == 0) {
    for (std::size_t i = 0; i < n; ++i) body(i);
    return;
  }
  static Pool pool;
  pool.run(n, helpers, body);
}

std::size_t processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return std::max(1, CPU_COUNT(&set));
}

}  // namespace lambdaml
