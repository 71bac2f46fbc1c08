#include "lambdaml/base/fibers/background.h"

#include <exception>
#include <utility>

#include "lambdaml/base/fibers/scheduler.h"

namespace lambdaml {

struct Background::Fiber {
  Scheduler* scheduler;
  bool done = false;
  std::exception_ptr error = {};
};

Background::Background(std::function<void()> work) {
  Scheduler* const scheduler = current_scheduler();
  if (scheduler == nullptr) {
    thread_ = std::async(std::launch::async, std::move(work));
    return;
  }
  fiber_ = std::make_shared<Fiber>(Fiber{.scheduler = scheduler});
  scheduler->start([state = fiber_, work = std::move(work)]() mutable {
    try {
      work();
    } catch (...) {
      state->error = std::current_exception();
    }
    work = nullptr;
    state->done = true;
    state->scheduler->notify(state.get());
  });
}

Background& Background::operator=(Background&& other) noexcept {
  wait();
  thread_ = std::move(other.thread_);
  fiber_ = std::exchange(other.fiber_, nullptr);
  return *this;
}

Background::~Background() { wait(); }

void Background::wait() noexcept {
  if (thread_.valid()) thread_.wait();
  while (fiber_ && !fiber_->done) fiber_->scheduler->wait_for(fiber_.get(), true);
}

void Background::get() {
  if (thread_.valid()) return thread_.get();
  wait();
  if (const std::shared_ptr<Fiber> ended = std::exchange(fiber_, nullptr); ended && ended->error)
    std::rethrow_exception(ended->error);
}

}  // namespace lambdaml
