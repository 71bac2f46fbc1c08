#include "lambdaml/trigger/channel_status.h"

#include <map>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "lambdaml/base/json.h"
#include "lambdaml/control/worker_status.h"

namespace lambdaml::trigger {
namespace {

faas::EventStatus status_of(std::size_t worker, const control::WorkerEnd& end) {
  using State = faas::EventStatus::State;
  faas::EventStatus status;
  if (!end.has_failed) {
    status.state = State::succeeded;
    status.response = end.text;
    return status;
  }
  const nlohmann::json failure = parse_json(end.text);
  status.state = State::failed;
  status.error_type = text_at(failure, "type");
  status.error_message = fmt::format("worker {}: {}", worker, text_at(failure, "message"));
  return status;
}

}  // namespace

faas::Function::StatusQuery status_by_channel(std::shared_ptr<storage::Storage> channel,
                                              std::function<std::uint64_t()> news_of_job) {
  return [channel = std::move(channel), news_of_job = std::move(news_of_job),
          heard =
              std::map<std::size_t, std::uint64_t>()](std::span<const std::size_t> events) mutable {
    const std::vector<std::uint32_t> asked(events.begin(), events.end());
    const auto ends = control::ends_of_workers(*channel, asked);
    const std::uint64_t news = news_of_job();
    std::vector<std::optional<faas::EventStatus>> all(events.size());
    for (std::size_t i = 0; i < events.size(); ++i) {
      if (ends[i]) {
        all[i] = status_of(events[i], *ends[i]);
      } else if (std::exchange(heard[events[i]], news) != news) {
        all[i].emplace().state = faas::EventStatus::State::running;
      }
    }
    return all;
  };
}

}  // namespace lambdaml::trigger
