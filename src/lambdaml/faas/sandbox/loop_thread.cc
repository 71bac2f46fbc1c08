#include "lambdaml/faas/sandbox/loop_thread.h"

#include <exception>

#include <signal.h>

#include "lambdaml/base/log.h"

namespace lambdaml::faas::sandbox {
namespace {

void run(boost::asio::io_context& loop, const std::string& name) {
  while (true) {
    try {
      loop.run();
      return;
    } catch (const std::exception& error) {
      log::error("{} continues after: {}", name, error.what());
    }
  }
}

}  // namespace

LoopThread::LoopThread(boost::asio::io_context& loop, std::string name) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([&loop, name = std::move(name)] { run(loop, name); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

LoopThread::~LoopThread() { thread_.join(); }

}  // namespace lambdaml::faas::sandbox
