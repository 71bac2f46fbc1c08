#include "lambdaml/faas/registry.h"

/// A platform that passes events on to the one that the option `relay_to` names, with limits of its
/// own: half a processor for each 512 MB, functions that run for an hour at most, and, with
/// `relay_function_mb`, functions that were deployed with their memory.
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
  registry.add({.name = "relay_queue",
                .help = "queues events; none of its functions can wait for another",
                .separate_processes = false,
                .starts_all_at_once = false,
                .make = [](const Options&) { return std::make_unique<RelayInvoker>("threads"); }});
  registry.add({.name = "relay",
                .help = "passes events on to another platform",
                .options = {{.name = "relay_to",
                             .default_value = std::string("threads"),
                             .help = "the platform to which events are passed on",
                             .execution_only = true},
                            {.name = "relay_function_mb",
                             .default_value = std::int64_t{0},
                             .help = "memory of the deployed function; 0: the job configures it",
                             .minimum = 0,
                             .execution_only = true}},
                .separate_processes = false,
                .longest_s = 3600,
                .billed_as = "lambda",
                .processors = [](double memory_mb) { return memory_mb / 1024; },
                .deployed_function = [](const Options& options) -> DeployedFunction {
                  const auto deployed = static_cast<int>(options.integer("relay_function_mb"));
                  return {deployed == 0 ? std::nullopt : std::optional(deployed)};
                },
                .make =
                    [](const Options& options) {
                      return std::make_unique<RelayInvoker>(options.text("relay_to"));
                    }});
}

}  // namespace lambdaml::faas::relay
