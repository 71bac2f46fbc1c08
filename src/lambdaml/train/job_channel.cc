#include "lambdaml/train/job_channel.h"

#include <algorithm>
#include <map>

#include "lambdaml/base/log.h"
#include "lambdaml/storage/own_place.h"
#include "lambdaml/train/channel.h"
#include "lambdaml/train/platform.h"
#include "lambdaml/train/tenure.h"

namespace lambdaml::train {
namespace {

/// A worker looks once a second, and at least every two while it waits for others.
constexpr double kSecondsToLeave = 3;

std::vector<std::string> claims_of(std::uint32_t workers) {
  std::vector<std::string> names;
  for (std::uint32_t worker = 0; worker < workers; ++worker) names.push_back(keys::tenure(worker));
  return names;
}

void claim(storage::Storage& channel, const std::vector<std::string>& claims,
           std::string_view holder) {
  std::vector<storage::Item> items;
  for (const std::string& name : claims) items.push_back({name, as_bytes(holder)});
  channel.save_all(items);
}

}  // namespace

void stop_workers(storage::Storage& channel, std::uint32_t workers) {
  // First the mark that workers look at after their own claim, which may come over this one.
  channel.save(keys::kStop, {});
  claim(channel, claims_of(workers), Tenure::kStop);
}

JobChannel::JobChannel(const std::string& uri, const std::string& job_id, bool keep, Stop stop)
    : store_(open_channel(uri, job_id, meters_.of(uri))), keep_(keep), stop_(stop) {
  storage::require_own_place(Uri::parse(uri));
  store_->load(keys::kJob);
}

JobChannel::~JobChannel() {
  if (keep_) return;
  { const ChannelCleaner cleaner(*store_); }
  try {
    if (!stopped_.empty()) claim(*store_, stopped_, Tenure::kStop);
  } catch (const std::exception& error) {
    log::warning("telling the workers to stop: {}", error.what());
  }
}

void JobChannel::take_over(std::uint32_t workers) const {
  store_->clear("");
  claim(*store_, claims_of(workers), Tenure::kNewTrigger);
}

std::vector<std::uint32_t> JobChannel::without(const std::vector<std::uint32_t>& workers,
                                               std::string (*key_of)(std::uint32_t),
                                               double patience_s) const {
  std::map<std::string, std::uint32_t> worker_by_key;
  std::vector<std::string> keys;
  for (const std::uint32_t worker : workers) {
    keys.push_back(key_of(worker));
    worker_by_key[keys.back()] = worker;
  }
  std::vector<std::uint32_t> out;
  try {
    store_->load_all(keys, Deadline::in(patience_s));
  } catch (const storage::MissingKeys& missing) {
    for (const std::string& key : missing.keys()) out.push_back(worker_by_key[key]);
  }
  return out;
}

void JobChannel::stop(std::uint32_t workers, const std::vector<std::uint32_t>& at_work) noexcept {
  try {
    stopped_ = claims_of(workers);
    stop_workers(*store_, workers);
    // Who begins from now on finds the mark, or no job.
    std::vector<std::uint32_t> begun = at_work;
    for (const std::uint32_t worker : without(at_work, keys::started, 0)) std::erase(begun, worker);
    const std::vector<std::uint32_t> silent =
        without(begun, keys::gone, stop_ == Stop::patient ? kSecondsToLeave : 0);
    stopped_.clear();
    for (const std::uint32_t worker : silent) stopped_.push_back(keys::tenure(worker));
    if (!stopped_.empty())
      log::info("workers that have not said that they go: {}", stopped_.size());
  } catch (const std::exception& error) {
    log::warning("telling the workers to stop: {}", error.what());
  }
}

}  // namespace lambdaml::train
