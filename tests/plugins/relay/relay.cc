#include "lambdaml/faas/registry.h"

/// A platform that passes events on to the one that the option `relay_to` names, with limits of its
/// own: half a processor for each 512 MB, and functions that run for an hour at most.
namespace lambdaml::faas::relay {
namespace {

class RelayInvoker final : public Invoker {
 public:
  explicit RelayInvoker(const std::string& to)
      : to_(faas::registry().get(to).make(Options(std::vector<Option>()))) {}
  std::unique_ptr<Invocations> invoke_all(const Function& function,
                                          std::vector<std::string> payloads,
                                          FailureObserver observer) override {
    return to_->invoke_all(function, std::move(payloads), std::move(observer));
  }

 private:
  std::unique_ptr<Invoker> to_;
};

}  // namespace

void register_plugin(Registry& registry) {
  registry.add({.name = "relay",
                .help = "passes events on to another platform",
                .options = {{.name = "relay_to",
                             .default_value = std::string("threads"),
                             .help = "the platform to which events are passed on",
                             .execution_only = true}},
                .separate_processes = false,
                .longest_s = 3600,
                .processors = [](double memory_mb) { return memory_mb / 1024; },
                .make =
                    [](const Options& options) {
                      return std::make_unique<RelayInvoker>(options.text("relay_to"));
                    }});
}

}  // namespace lambdaml::faas::relay
