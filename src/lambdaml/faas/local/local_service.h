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

/// One processor of AWS Lambda, which this platform imitates.
inline constexpr int kUsualMemory_mb = 1769;

class LocalInvocations;

/// The Lambda service of the platform `local`, in this process and without HTTP: its functions are
/// executables instead of zips, run in the same environments and kept warm in the same way. One
/// thread drives it.
class LocalService {
 public:
  /// The instance of this process, created on first use; ends, with all its processes, when the
  /// last reference is released. Throws resource_exhausted.
  static std::shared_ptr<LocalService> shared();
  ~LocalService();
  LocalService(const LocalService&) = delete;

  boost::asio::io_context& loop() { return loop_; }

  // Only for the loop's thread.
  sandbox::FunctionPool& function(const Function& function);
  /// These are notified if the loop's thread fails.
  void add(LocalInvocations* invocations) { invocations_.insert(invocations); }
  void remove(LocalInvocations* invocations) { invocations_.erase(invocations); }

 private:
  LocalService();
  void run_loop();

  boost::asio::io_context loop_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  sandbox::Host host_;
  std::map<std::string, std::shared_ptr<sandbox::FunctionPool>> functions_;  ///< by identity
  std::set<LocalInvocations*> invocations_;
  std::thread thread_;
};

}  // namespace lambdaml::faas::local
