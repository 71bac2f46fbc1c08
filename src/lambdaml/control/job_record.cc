#include "lambdaml/control/job_record.h"

#include <nlohmann/json.hpp>

#include "lambdaml/base/deadline.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/log.h"
#include "lambdaml/control/data_record.h"
#include "lambdaml/optim/registry.h"

namespace lambdaml::control {

using nlohmann::json;

JobRecord::JobRecord(std::shared_ptr<storage::Storage> checkpoints, std::string job_id)
    : store_(std::move(checkpoints)), job_id_(std::move(job_id)) {}

void JobRecord::begin(const Options& options, std::uint64_t epochs_done,
                      const std::string& architecture) {
  const Options kept = options.without_passwords();
  json record{{"job_id", job_id_}, {"workers", options.integer("workers")}};
  for (const char* name : {"channel", "model", "optim", "sync_mode", "platform"})
    record[name] = kept.text(name);
  record["epochs"] = options.integer(optim::registry().get(options.text("optim")).epochs_option);
  record["memory_mb"] = options.integer("memory_mb");
  record["timeout_s"] = options.real("timeout_s");
  if (!architecture.empty()) record["architecture"] = architecture;
  record["begun_ms"] = epoch_ms();
  record["epochs_done"] = epochs_done;
  store_->remove(key(record::kEnded));
  store_->remove(key(record::kSummary));
  store_->save(key(record::kJob), as_bytes(json_text(record)));
}

void JobRecord::keep(const char* name, const std::string& lines) noexcept {
  try {
    store_->save(key(name), as_bytes(lines));
  } catch (const std::exception& failure) {
    log::info("keeping {} of job {}: {}", name, job_id_, failure.what());
  } catch (...) {
    // A simulated process that was killed: its next call says so again.
  }
}

void JobRecord::finish(const std::string& summary) {
  store_->save(key(record::kSummary), as_bytes(summary));
}

void JobRecord::end(const std::string& state, const std::string& error) noexcept {
  try {
    const std::string text =
        json_text(json{{"state", state}, {"error", error}, {"ended_ms", epoch_ms()}});
    store_->save(key(record::kEnded), as_bytes(text));
  } catch (const std::exception& failure) {
    log::warning("noting the end of job {}: {}", job_id_, failure.what());
  } catch (...) {
    // A simulated process that was killed: its next call says so again.
  }
}

void JobRecord::forget() noexcept {
  try {
    for (const char* name : {record::kJob, record::kEnded, record::kSummary, record::kOptions,
                             record::kMetrics, record::kWorkers})
      store_->remove(key(name));
    DataRecord(store_, job_id_).forget();
    // What workers began to save; and a store of files removes the folder.
    if (store_->capabilities().can_list) store_->clear(job_id_ + "/");
  } catch (const std::exception& failure) {
    log::warning("removing what is left of job {}: {}", job_id_, failure.what());
  } catch (...) {
    // A simulated process that was killed: its next call says so again.
  }
}

}  // namespace lambdaml::control
