#pragma once

#include <filesystem>
#include <string>

#include "lambdaml/control/channel.h"
#include "lambdaml/control/job_record.h"
#include "lambdaml/control/run_folder.h"
#include "lambdaml/job/options.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::dashboard {

/// A job as it looks while it runs, without workers: its folder, locked, its record and its
/// channel.
class MadeRun {
 public:
  MadeRun(const std::filesystem::path& folder, const std::filesystem::path& channel,
          const std::string& job_id, std::int64_t workers = 2)
      : options_(options_for(channel, workers)),
        folder_(control::RunFolder::create(folder, job_id, options_)),
        record_(storage::open(folder_.checkpoint_uri()), job_id),
        channel_(control::open_channel(options_.text("channel"), job_id)) {
    record_.begin(options_);
    channel_->save(control::keys::kJob, {});
  }

  /// As when it is resumed, after so many epochs.
  void begin_again(std::uint64_t epochs_done) { record_.begin(options_, epochs_done); }
  void end_epoch(std::uint64_t epoch, double loss) {
    folder_.add({epoch, {{"train_loss", loss}, {"compute_s", 0.5}, {"comm_s", 0.5}}});
  }
  void log(std::uint32_t worker, const std::string& lines) {
    std::filesystem::create_directories(folder_.log_folder());
    append_to_file(folder_.log_folder() / ("worker-" + std::to_string(worker) + ".log"),
                   as_bytes(lines));
  }
  void finish(const std::string& summary) {
    record_.finish(summary);
    folder_.finish(as_bytes("no model"), summary);
  }
  storage::Storage& channel() { return *channel_; }
  const control::RunFolder& folder() const { return folder_; }

 private:
  static Options options_for(const std::filesystem::path& channel, std::int64_t workers) {
    Options options = job::job_options();
    options.set("data", Option::Value(std::string("redis://user:hunter2@host/data")), "test");
    options.set("channel", Option::Value(channel.string()), "test");
    options.set("workers", Option::Value(workers), "test");
    options.set("memory_mb", Option::Value(std::int64_t{1769}), "test");
    return options;
  }

  Options options_;
  control::RunFolder folder_;
  control::JobRecord record_;
  std::shared_ptr<storage::Storage> channel_;
};

}  // namespace lambdaml::dashboard
