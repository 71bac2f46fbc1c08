#include <boost/system/system_error.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/faas/emulator/local_emulator.h"
#include "lambdaml/faas/local/local_invocations.h"
#include "lambdaml/faas/registry.h"

namespace lambdaml::faas::local {
namespace {

/// Environments stay warm as long as the invoker, or one of its calls, is there.
class LocalInvoker : public Invoker {
 public:
  std::unique_ptr<Invocations> invoke_all(const Function& function,
                                          std::vector<std::string> payloads,
                                          FailureObserver observer) override {
    try {
      return std::make_unique<LocalInvocations>(function, std::move(payloads), std::move(observer));
    } catch (const boost::system::system_error& error) {
      fail(Code::resource_exhausted, "cannot start functions on this machine: {}", error.what());
    }
  }

 private:
  const std::shared_ptr<LocalService> service_ = LocalService::shared();
};

}  // namespace

void register_plugin(Registry& registry) {
  registry.add(
      {.name = "local",
       .help = "processes on this machine, over the Lambda Runtime API",
       .separate_processes = true,
       .memory = MemoryRange{.least = 128, .usual = kUsualMemory_mb, .most = 10'240},
       .billed_as = "lambda",
       .make = [](const Options&) { return std::make_unique<LocalInvoker>(); },
       .emulate =
           [](const EmulatorSettings& settings) { return emulator::start_emulator(settings); }});
}

}  // namespace lambdaml::faas::local
