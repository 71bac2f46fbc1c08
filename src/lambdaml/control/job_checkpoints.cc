#include "lambdaml/control/job_checkpoints.h"

#include <algorithm>
#include <utility>

#include <nlohmann/json.hpp>

namespace lambdaml::control {

JobCheckpoints::JobCheckpoints(const std::shared_ptr<storage::Storage>& store,
                               const std::string& job_id, std::uint32_t workers)
    : store_(store) {
  workers_.reserve(workers);
  for (std::uint32_t worker = 0; worker < workers; ++worker)
    workers_.emplace_back(store, job_id, nlohmann::json(), worker, workers);
}

void JobCheckpoints::look_up() {
  if (!std::exchange(known_, true)) Checkpoints::look_up(workers_);
}

void JobCheckpoints::read_states() {
  look_up();
  Checkpoints::read_states(workers_);
}

std::optional<JobCheckpoints::Start> JobCheckpoints::newest_common(bool together) {
  look_up();
  if (std::optional<Start> start = common_of_found(together)) return start;
  read_states();
  return common_of_found(together);
}

std::optional<JobCheckpoints::Start> JobCheckpoints::common_of_found(bool together) {
  std::vector<Progress> common = workers_.front().available();
  for (Checkpoints& other : workers_) {
    const std::vector<Progress> own = other.available();
    if (own.empty()) return {};
    if (!together) continue;
    std::erase_if(common, [&](const Progress& progress) {
      return std::ranges::find(own, progress) == own.end();
    });
  }
  if (common.empty()) return {};
  return Start{common.front(), workers_.front().note(common.front()).metrics};
}

void JobCheckpoints::forget_after(std::uint64_t epoch) {
  look_up();
  std::vector<std::string> keys;
  for (Checkpoints& own : workers_)
    for (std::string& key : own.keys_after(epoch)) keys.push_back(std::move(key));
  store_->remove_all(keys);
  known_ = false;
}

}  // namespace lambdaml::control
