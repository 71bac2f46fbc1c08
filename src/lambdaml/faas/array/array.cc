#include <memory>

#include "lambdaml/base/error.h"
#include "lambdaml/faas/array/ranks.h"
#include "lambdaml/faas/registry.h"
#include "lambdaml/faas/task_events.h"
#include "lambdaml/faas/task_invocations.h"
#include "lambdaml/storage/registry.h"

/// Workers as the tasks of an array job that somebody else submits: a Kubernetes Indexed Job
/// (`lambdaml package --k8s` writes one), a Cloud Run job, an AWS Batch array job. Caller and tasks
/// meet at a place that both were told. Nothing can end the tasks from here: cancel() only stops
/// watching, and the workers find the stop request in the job's storage.
namespace lambdaml::faas::array {
namespace {

void require_place(const Options& options) {
  if (options.text("events").empty())
    fail(Code::invalid_argument,
         "the platform array leaves events where the tasks of an array job find them: give that "
         "place with --events, as in the tasks' LAMBDAML_EVENTS");
  storage::reach_of(storage::resolve(options.text("events")));
}

class ArrayInvoker : public Invoker {
 public:
  explicit ArrayInvoker(std::string place) : place_(std::move(place)) {}
  std::unique_ptr<Invocations> invoke_all(const Function& function,
                                          std::vector<std::string> payloads,
                                          FailureObserver observer) override {
    return invoke_tasks(function, storage::open(place_), nullptr, payloads, std::move(observer));
  }

 private:
  const std::string place_;
};

/// A task whose time is over goes on by itself.
std::optional<OwnFunction> own_function_of_task() {
  if (!is_task()) return {};
  return OwnFunction{.platform = {}, .name = "task", .invoke = continue_task};
}

}  // namespace

void register_plugin(Registry& registry) {
  registry.add(
      {.name = "array",
       .help =
           "tasks of an array job that is submitted elsewhere: Kubernetes, Cloud Run, AWS Batch",
       .options = {{.name = "events",
                    .default_value = std::string(),
                    .help = "place where the tasks of the platform array find their events",
                    .execution_only = true}},
       .separate_processes = true,
       .remote = true,
       .runs_here =
           [](const Options& options) {
             const std::string& place = options.text("events");
             return !place.empty() && storage::local_file(storage::resolve(place));
           },
       .own_function = own_function_of_task,
       .check = require_place,
       .has_started_this = is_task,
       .serve = [](const Handler& handler) { return serve_task(handler, kRankVariables); },
       .make =
           [](const Options& options) {
             require_place(options);
             return std::make_unique<ArrayInvoker>(options.text("events"));
           }});
}

}  // namespace lambdaml::faas::array
