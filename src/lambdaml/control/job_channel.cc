#include "lambdaml/control/job_channel.h"

#include <algorithm>
#include <map>

#include "lambdaml/base/error.h"
#include "lambdaml/base/interrupt.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/secrets.h"
#include "lambdaml/base/wait.h"
#include "lambdaml/control/channel.h"
#include "lambdaml/control/endings.h"
#include "lambdaml/control/worker_claim.h"
#include "lambdaml/storage/own_place.h"
#include "lambdaml/storage/registry.h"

namespace lambdaml::control {
namespace {

/// A worker checks its claim once a second, and at least every two seconds while it waits for
/// others, or every eight where polling is expensive (channel_of_rounds()).
constexpr double kSecondsToLeave = 3;
constexpr double kSecondsToLeaveWhereExpensive = 9;
/// There is less time after an interrupt, and clearing takes some of it.
constexpr double kShareOfTidying = 0.75;
/// A service may still do what was sent to it before an interrupt, for so long.
constexpr double kLateSaves_s = 0.5;

/// Within a Tidying.
double seconds_since_interrupt() { return kTidying_s - interrupt_deadline().seconds_left(); }

std::vector<std::string> claims_of(std::uint32_t workers) {
  std::vector<std::string> names;
  for (std::uint32_t worker = 0; worker < workers; ++worker) names.push_back(keys::claim(worker));
  return names;
}

std::string text_of_left_keys(const std::string& uri, const std::string& job_id) {
  const Uri channel = storage::resolve(uri);
  return fmt::format(
      "the job's keys are left in {}; remove them with: lambdaml storage clear {} {}/",
      channel.display(), without_passwords(channel.text()), job_id);
}

void claim(storage::Storage& channel, const std::vector<std::string>& claims,
           std::string_view holder) {
  std::vector<storage::Item> items;
  for (const std::string& name : claims) items.push_back({name, as_bytes(holder)});
  channel.save_all(items);
}

}  // namespace

void stop_workers(storage::Storage& channel, std::uint32_t workers) {
  // First the stop marker, which workers check after writing their own claim, as that may overwrite
  // this one.
  channel.save(keys::kStop, {});
  claim(channel, claims_of(workers), WorkerClaim::kStop);
}

JobChannel::JobChannel(Stores& stores, const std::string& uri, const std::string& job_id, bool keep,
                       Stop stop)
    : stores_(stores),
      store_(stores.open_channel(uri, job_id)),
      is_service_(storage::reach_of(storage::resolve(uri)) == Reach::anywhere),
      keep_(keep),
      stop_(stop),
      left_keys_(text_of_left_keys(uri, job_id)) {
  storage::require_own_place(Uri::parse(uri));
  store_->load(keys::kJob);
  if (!keep_) unless_done_.emplace(left_keys_);
}

JobChannel::~JobChannel() {
  if (const std::string left = close(); !left.empty()) log::warning("{}", left);
}

std::string JobChannel::close() noexcept {
  unless_done_.reset();
  std::string left;
  try {
    if (running_ > 0)
      left = fmt::format("{} of the job's functions may still run, until they see that it is over",
                         running_);
    if (std::exchange(keep_, true)) return left;
    const Tidying tidying;
    // Nobody has waited for the answers to the last requests before an interrupt.
    const double late_s =
        is_service_ && interrupted() ? kLateSaves_s - seconds_since_interrupt() : 0;
    clear();
    if (late_s > 0) clear_late_saves(late_s);
  } catch (const std::exception& error) {
    log::info("clearing {}: {}", store_->describe(), error.what());
    left += (left.empty() ? "" : "; ") + left_keys_;
  } catch (...) {
    // A simulated process that was killed: its next call says so again.
  }
  running_ = 0;
  return left;
}

void JobChannel::clear() {
  store_->clear("");
  if (!stopped_.empty()) claim(*store_, stopped_, WorkerClaim::kStop);
}

void JobChannel::clear_late_saves(double seconds) noexcept {
  try {
    pause_for(seconds);
    clear();
  } catch (const std::exception& error) {
    log::info("clearing {} again: {}", store_->describe(), error.what());
  } catch (...) {
    // As in close().
  }
}

void JobChannel::finish() {
  const std::string left = close();
  const bool nothing = left.empty();
  if (interrupted())
    fail(Code::cancelled, "interrupted after the work was done{}{}", nothing ? "" : "; ", left);
  if (!nothing) log::warning("{}", left);
}

void JobChannel::fail_closed() {
  try {
    throw;
  } catch (const Superseded&) {
    keep_ = true;
    unless_done_.reset();
    throw;
  } catch (const Error& error) {
    std::string left = close();
    if (!left.empty()) std::throw_with_nested(LeftBehind(error, std::move(left)));
    throw;
  }
}

void JobChannel::take_over(std::uint32_t workers) {
  // Fences out workers that were told to stop and are still running, too.
  running_ = 0;
  stopped_.clear();
  store_->clear("");
  claim(*store_, claims_of(workers), WorkerClaim::kNewTrigger);
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
  const Tidying tidying;
  running_ = at_work.size();
  try {
    stopped_ = claims_of(workers);
    stop_workers(*store_, workers);
    // Workers that begin from now on find the stop marker, or no job.
    std::vector<std::uint32_t> begun = at_work;
    for (const std::uint32_t worker : without(at_work, keys::started, 0)) std::erase(begun, worker);
    const double patience_s =
        std::min(store_->capabilities().polling_is_expensive ? kSecondsToLeaveWhereExpensive
                                                             : kSecondsToLeave,
                 kShareOfTidying * interrupt_deadline().seconds_left());
    const std::vector<std::uint32_t> silent =
        without(begun, keys::acknowledged_stop, stop_ == Stop::patient ? patience_s : 0);
    running_ = silent.size();
    stopped_.clear();
    for (const std::uint32_t worker : silent) stopped_.push_back(keys::claim(worker));
  } catch (const std::exception& error) {
    log::info("telling the workers to stop: {}", error.what());
  } catch (...) {
    // A simulated process that was killed: its next call says so again.
  }
}

}  // namespace lambdaml::control
