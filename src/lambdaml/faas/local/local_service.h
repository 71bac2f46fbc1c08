#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include "lambdaml/faas/sandbox/function_pool.h"

namespace lambdaml::faas::local {

class LocalInvocations;

/// The Lambda service of the platform `local`, in this process and without HTTP before it: its
/// functions are executables instead of zips, run in the same environments and kept warm in the
/// same way. One thread drives all of it.
class LocalService {
 public:
  /// The one of this process, made when nobody has it yet; ends, with all its processes, when the
  /// last one lets go of it. Throws resource_exhausted.
  static std::shared_ptr<LocalService> shared();
  ~LocalService();
  LocalService(const LocalService&) = delete;

  boost::asio::io_context& loop() { return loop_; }

  // For the loop's thread.
  sandbox::FunctionPool& function(const Function& function);
  /// Those are told when the loop's thread fails.
  void add(LocalInvocations* invocations) { invocations_.insert(invocations); }
  void remove(LocalInvocations* invocations) { invocations_.erase(invocations); }

 private:
  LocalService();
  void run_loop();

  boost::asio::io_context loop_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  sandbox::Host host_;
  std::map<std::string, std::shared_ptr<sandbox::FunctionPool>> functions_;  ///< by what they are
  std::set<LocalInvocations*> invocations_;
  std::thread thread_;
};

}  // namespace lambdaml::faas::local
