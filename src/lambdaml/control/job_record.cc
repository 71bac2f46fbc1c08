#include "lambdaml/control/job_record.h"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "lambdaml/base/deadline.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/log.h"
#include "lambdaml/control/data_record.h"
#include "lambdaml/optim/registry.h"

namespace lambdaml::control {
namespace {

/// Whether a job's key without JOB-ID/ is of a checkpoint (`W_P.…`) or of a worker's log. Keys of
/// its channel, which may be the same place, have no such names.
bool is_of_checkpoints(std::string_view name) {
  if (name.starts_with("log/")) return true;
  const auto skip_number = [&] {
    const std::size_t end = std::min(name.find_first_not_of("0123456789"), name.size());
    name.remove_prefix(end);
    return end > 0;
  };
  if (!skip_number() || !name.starts_with("_")) return false;
  name.remove_prefix(1);
  return skip_number() && name.starts_with(".");
}

}  // namespace

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
    if (!store_->capabilities().can_list) return;
    // What workers began to save.
    const std::string prefix = job_id_ + "/";
    std::vector<std::string> own;
    bool is_shared = false;
    for (storage::Entry& entry : store_->list(prefix))
      if (is_of_checkpoints(std::string_view(entry.key).substr(prefix.size())))
        own.push_back(std::move(entry.key));
      else
        is_shared = true;
    // Workers may still look for their claims there. Else a store of files removes the folder too.
    if (is_shared)
      store_->remove_all(own);
    else
      store_->clear(prefix);
  } catch (const std::exception& failure) {
    log::warning("removing what is left of job {}: {}", job_id_, failure.what());
  } catch (...) {
    // A simulated process that was killed: its next call says so again.
  }
}

}  // namespace lambdaml::control
