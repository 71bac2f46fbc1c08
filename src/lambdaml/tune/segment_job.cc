#include "lambdaml/tune/segment_job.h"

#include <system_error>

#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/control/endings.h"

namespace lambdaml::tune {

SegmentJob::SegmentJob(std::string job_id, Options options, Bell& bell)
    : job_id_(std::move(job_id)), options_(std::move(options)), bell_(bell) {
  try {
    thread_ = std::thread([this] { run(); });
  } catch (const std::system_error& error) {
    fail(Code::resource_exhausted, "cannot start a thread for a trial: {}", error.what());
  }
}

SegmentJob::~SegmentJob() {
  stop();
  thread_.join();
}

void SegmentJob::run() noexcept {
  try {
    summary_ =
        std::make_shared<const nlohmann::ordered_json>(trigger::train_as(job_id_, options_, *this));
  } catch (...) {
    error_ = std::current_exception();
  }
  wall_s_ = clock_.seconds();
  ended_ = true;
  bell_.ring();
}

void SegmentJob::starting(const trigger::JobStart& job) {
  throw_if_ended();
  cost_ = job::running_cost(options_, job.memory_mb);
  started_s_ = clock_.seconds();
}

void SegmentJob::epoch_done(const job::EpochMetrics& metrics) {
  epoch_ = metrics.epoch;
  const std::lock_guard lock(mutex_);
  metrics_ = metrics.values;
}

void SegmentJob::tick(std::uint32_t /*workers_alive*/, std::uint64_t /*epoch*/,
                      std::uint64_t /*round*/, std::uint64_t /*rounds*/) {
  throw_if_ended();
}

void SegmentJob::throw_if_ended() const {
  if (superseded_) throw control::Superseded("another tuner has taken over");
  if (stop_) fail(Code::cancelled, "the search stopped it");
}

double SegmentJob::cost_so_far() const {
  const double started_s = started_s_;
  return started_s < 0 ? 0 : cost_.after(seconds() - started_s);
}

std::map<std::string, double> SegmentJob::metrics() const {
  const std::lock_guard lock(mutex_);
  return metrics_;
}

std::shared_ptr<const nlohmann::ordered_json> SegmentJob::summary() {
  if (error_) std::rethrow_exception(error_);
  return summary_;
}

}  // namespace lambdaml::tune
