#include "lambdaml/train/job_channel.h"

#include <string_view>
#include <vector>

#include "lambdaml/base/log.h"
#include "lambdaml/train/channel.h"

namespace lambdaml::train {
namespace {

constexpr std::string_view kTriggersClaim = "trigger";

}  // namespace

JobChannel::JobChannel(const std::string& uri, const std::string& job_id)
    : store_(open_channel(uri, job_id, meters_.of(uri))) {
  store_->load(keys::kJob);
}

JobChannel::~JobChannel() {
  if (!stop_workers_) return;
  try {
    store_->save(keys::kStop, {});
  } catch (const std::exception& error) {
    log::warning("telling the workers to stop: {}", error.what());
  }
}

void JobChannel::take_over(const Options& options) const {
  store_->clear("");
  std::vector<std::string> names;
  for (std::int64_t worker = 0; worker < options.integer("workers"); ++worker)
    names.push_back(keys::tenure(static_cast<std::uint32_t>(worker)));
  std::vector<storage::Item> claims;
  for (const std::string& name : names) claims.push_back({name, as_bytes(kTriggersClaim)});
  store_->save_all(claims);
}

}  // namespace lambdaml::train
