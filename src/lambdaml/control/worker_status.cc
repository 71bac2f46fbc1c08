#include "lambdaml/control/worker_status.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "lambdaml/base/json.h"
#include "lambdaml/control/channel.h"

namespace lambdaml::control {

std::vector<std::optional<WorkerEnd>> ends_of_workers(storage::Storage& channel,
                                                      std::span<const std::uint32_t> workers) {
  std::vector<std::string> keys;
  for (const std::uint32_t worker : workers) {
    keys.push_back(keys::result(worker));
    keys.push_back(keys::failure(worker));
  }
  const std::vector<std::optional<Buffer>> texts = channel.load_present(keys);
  std::vector<std::optional<WorkerEnd>> ends(workers.size());
  for (std::size_t i = 0; i < ends.size(); ++i) {
    // A report takes precedence over the failure of an earlier attempt.
    const std::optional<Buffer>& report = texts[2 * i];
    const std::optional<Buffer>& failure = texts[2 * i + 1];
    if (report)
      ends[i] = {false, std::string(report->text())};
    else if (failure)
      ends[i] = {true, std::string(failure->text())};
  }
  return ends;
}

JobProgress progress_of_job(storage::Storage& channel, std::uint32_t workers) {
  std::vector<std::string> keys{keys::kProgress};
  for (std::uint32_t worker = 0; worker < workers; ++worker) {
    keys.push_back(keys::started(worker));
    keys.push_back(keys::result(worker));
  }
  const std::vector<std::optional<Buffer>> values = channel.load_present(keys);
  const auto seen_ms = [](const std::optional<Buffer>& value) -> std::uint64_t {
    const nlohmann::json said = parse_json(value ? value->text() : "");
    return said.is_object() ? count_at(said, "at_ms") : 0;
  };
  JobProgress progress;
  progress.seen_ms = seen_ms(values[0]);
  if (values[0]) progress.of_worker_0 = std::string(values[0]->text());
  for (std::size_t i = 1; i < values.size(); i += 2) {
    progress.started += values[i] ? 1 : 0;
    progress.seen_ms = std::max(progress.seen_ms, seen_ms(values[i]));
    progress.finished += values[i + 1] ? 1 : 0;
  }
  return progress;
}

}  // namespace lambdaml::control
