#include "lambdaml/train/job_channel.h"

#include <map>

#include "lambdaml/base/log.h"
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
  claim(channel, claims_of(workers), Tenure::kStop);
}

JobChannel::JobChannel(const std::string& uri, const std::string& job_id, bool keep)
    : store_(open_channel(uri, job_id, meters_.of(uri))), keep_(keep) {
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

void JobChannel::stop(std::uint32_t workers, const std::vector<std::uint32_t>& at_work) noexcept {
  try {
    stopped_ = claims_of(workers);
    claim(*store_, stopped_, Tenure::kStop);
    std::map<std::string, std::string> claim_by_word;
    std::vector<std::string> words;
    for (const std::uint32_t worker : at_work) {
      words.push_back(keys::gone(worker));
      claim_by_word[words.back()] = keys::tenure(worker);
    }
    try {
      store_->load_all(words, Deadline::in(kSecondsToLeave));
      stopped_.clear();
    } catch (const storage::MissingKeys& missing) {
      stopped_.clear();
      for (const std::string& word : missing.keys()) stopped_.push_back(claim_by_word[word]);
      log::info("workers that did not say that they stop: {}", stopped_.size());
    }
  } catch (const std::exception& error) {
    log::warning("telling the workers to stop: {}", error.what());
  }
}

}  // namespace lambdaml::train
