#include "lambdaml/comm/retention.h"

#include "lambdaml/base/log.h"

namespace lambdaml::comm {
namespace {

constexpr std::size_t kBulkKeys = 64;
constexpr std::uint64_t kBulkBytes = 8 << 20;

}  // namespace

Retention::Retention(std::shared_ptr<storage::Storage> store) : store_(std::move(store)) {}

Retention::~Retention() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void Retention::spent(std::string key, std::uint64_t bytes) {
  spent_.push_back(std::move(key));
  spent_bytes_ += bytes;
  if (spent_.size() < kBulkKeys && spent_bytes_ < kBulkBytes) return;
  remove(std::exchange(spent_, {}));
  spent_bytes_ = 0;
}

void Retention::merged(std::uint64_t round, std::string key, std::uint64_t bytes) {
  merged_.push_back({round, std::move(key), bytes});
  merged_bytes_ += bytes;
}

void Retention::retire(std::uint64_t round) { checkpoint_ = round; }

void Retention::completed(std::uint64_t round) {
  if (round < checkpoint_ || merged_.empty() || merged_.front().round >= checkpoint_) return;
  std::vector<std::string> keys;
  while (!merged_.empty() && merged_.front().round < checkpoint_) {
    keys.push_back(std::move(merged_.front().key));
    merged_bytes_ -= merged_.front().bytes;
    merged_.pop_front();
  }
  remove(std::move(keys));
}

void Retention::remove(std::vector<std::string> keys) {
  if (keys.empty()) return;
  {
    const std::lock_guard lock(mutex_);
    doomed_.insert(doomed_.end(), std::make_move_iterator(keys.begin()),
                   std::make_move_iterator(keys.end()));
  }
  if (!thread_.joinable()) thread_ = std::thread([this] { serve(); });
  wake_.notify_one();
}

void Retention::serve() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stopping_ || !doomed_.empty(); });
    if (doomed_.empty()) return;
    const std::vector<std::string> keys = std::exchange(doomed_, {});
    lock.unlock();
    try {
      store_->remove_all(keys);
    } catch (const std::exception& error) {
      // The job's end clears the whole prefix; until then this is only room lost.
      log::warning("removing {} messages of past rounds: {}", keys.size(), error.what());
    }
    lock.lock();
  }
}

}  // namespace lambdaml::comm
