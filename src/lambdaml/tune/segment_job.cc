#include "lambdaml/tune/segment_job.h"

#include <algorithm>
#include <system_error>
#include <vector>

#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/base/interrupt.h"
#include "lambdaml/base/json.h"
#include "lambdaml/control/endings.h"
#include "lambdaml/tune/folds.h"

namespace lambdaml::tune {

std::string id_of_fold(const std::string& job_id, std::int64_t fold) {
  // Trials have numbers of four digits or, without leading zeros, more.
  return fmt::format("{}{:03}", job_id, fold);
}

std::string folder_of_fold(const std::string& folder, std::int64_t fold) {
  return fmt::format("{}-{}", folder, fold);
}

SegmentJob::SegmentJob(std::string job_id, Options options, std::int64_t folds, Bell& bell)
    : job_id_(std::move(job_id)), options_(std::move(options)), folds_(folds), bell_(bell) {
  try {
    thread_ = std::thread([this, cancellation = Cancellation::current()] {
      const Cancellation::Scope scope(cancellation);
      run();
    });
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
    summary_ = std::make_shared<const nlohmann::ordered_json>(
        folds_ == 0 ? trigger::train_as(job_id_, options_, *this) : run_folds());
  } catch (...) {
    error_ = std::current_exception();
  }
  wall_s_ = clock_.seconds();
  ended_ = true;
  bell_.ring();
}

nlohmann::ordered_json SegmentJob::run_folds() {
  std::vector<nlohmann::ordered_json> summaries;
  for (std::int64_t fold = 0; fold < folds_; ++fold) {
    Options options = options_;
    options.set("folds", Option::Value(folds_), "tune");
    options.set("fold", Option::Value(fold), "tune");
    options.set("output", Option::Value(folder_of_fold(options_.text("output"), fold)), "tune");
    summaries.push_back(trigger::train_as(id_of_fold(job_id_, fold), options, *this));
    {
      const std::lock_guard lock(mutex_);
      metrics_ = mean_metrics(summaries);
      has_fold_ = true;
    }
    earlier_epochs_ += count_at(summaries.back(), "epochs");
    started_s_ = -1;
    earlier_usd_ = earlier_usd_ + number_at(summaries.back(), "cost_usd");
  }
  return mean_of_folds(summaries);
}

void SegmentJob::starting(const trigger::JobStart& job) {
  throw_if_ended();
  cost_ = job::running_cost(options_, job.memory_mb, job.architecture);
  started_s_ = clock_.seconds();
}

void SegmentJob::epoch_done(const job::EpochMetrics& metrics) {
  epoch_ = (earlier_epochs_ + metrics.epoch) /
           static_cast<std::uint64_t>(std::max<std::int64_t>(folds_, 1));
  const std::lock_guard lock(mutex_);
  if (!has_fold_) metrics_ = metrics.values;
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
  return earlier_usd_ + (started_s < 0 ? 0 : cost_.after(seconds() - started_s));
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
