#include "lambdaml/faas/watched_invocations.h"

#include "lambdaml/base/error.h"
#include "lambdaml/base/log.h"
#include "lambdaml/faas/failure.h"

namespace lambdaml::faas {

std::optional<std::vector<std::optional<EventStatus>>> told_by_storage(
    const Function& function, std::span<const std::size_t> events) {
  std::vector<std::optional<EventStatus>> found(events.size());
  if (!function.query_status || events.empty()) return found;
  try {
    return function.query_status(events);
  } catch (...) {
    const Failure failure = current_failure();
    const Code code = code_from_string(failure.type);
    if (code == Code::cancelled) throw;
    if (code == Code::unavailable || code == Code::deadline_exceeded) {
      log::info("asking for the status of {} events: {}", events.size(), failure.message);
      return {};
    }
    for (std::size_t i = 0; i < events.size(); ++i) {
      EventStatus& failed = found[i].emplace();
      failed.state = EventStatus::State::failed;
      failed.error_type = failure.type;
      failed.error_message = fmt::format("{} {}: asking for its status: {}", function.handler,
                                         events[i], failure.message);
    }
    return found;
  }
}

}  // namespace lambdaml::faas
