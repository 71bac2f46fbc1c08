#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "lambdaml/base/files.h"
#include "lambdaml/base/options.h"
#include "lambdaml/job/metrics.h"

namespace lambdaml::control {

/// The folder of this machine that a value of the option `output` names, as the user wrote it if it
/// is a path. Throws invalid_argument, which ends with `advice`, for the URI of a place elsewhere.
std::filesystem::path output_folder(const std::string& value, std::string_view advice = "");

/// The files of a run on the machine that started it: `job.yaml` (the resolved options), `run.json`
/// (its id, and a checksum of job.yaml, so that a resumed run continues with the same options),
/// `metrics.jsonl`, `log/`, `checkpoint/` unless it is elsewhere, and at the end `workers.jsonl`
/// (what the workers reported), `model.safetensors` and `summary.json`. Locked, so that one process
/// at a time works on a run. Used by one thread.
class RunFolder {
 public:
  /// Throws already_exists if the name is taken.
  static void require_new(const std::filesystem::path& path);
  /// Creates a folder accessible to this user only. Passwords in URIs are omitted from job.yaml.
  /// Throws as require_new() and make_new_folder() do.
  static RunFolder create(const std::filesystem::path& path, const std::string& job_id,
                          const Options& options);
  /// Opens an existing run. Throws not_found, data_corrupt, unavailable if it is still running, or
  /// permission_denied if another user could have forged it (base/own_folder.h).
  static RunFolder open(const std::filesystem::path& path);

  /// Identifies a run that may be running, without locking it. Throws as open() does.
  struct Identity {
    std::string job_id;
    std::string checkpoint_uri;
  };
  static Identity identify(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  const std::string& job_id() const { return job_id_; }
  /// The options that the run began with. Throws data_corrupt if job.yaml was changed since.
  Options options() const;
  std::filesystem::path log_folder() const { return path_ / "log"; }
  std::filesystem::path model_path() const { return path_ / "model.safetensors"; }
  std::string checkpoint_uri() const;

  /// The summary of a finished run; nullopt before that. Throws data_corrupt if it is invalid.
  std::optional<nlohmann::ordered_json> summary() const;

  /// Appends an epoch's line to metrics.jsonl.
  void add(const job::EpochMetrics& metrics);
  /// Prepares for continuing from `epoch`: drops the lines of later epochs, and adds missing
  /// earlier ones from `known`, which has lines of the same form.
  void rewind(std::uint64_t epoch, const std::string& known);
  /// Writes workers.jsonl.
  void keep_reports(const std::string& lines);
  void finish(Bytes model, const std::string& summary);
  /// Removes the folder with its contents: for a run without results.
  void discard();

 private:
  RunFolder(std::filesystem::path path, std::string job_id);
  static RunFolder read(const std::filesystem::path& path);
  void lock();
  Options read_options() const;

  std::filesystem::path path_;
  std::string job_id_;
  std::optional<std::uint64_t> job_checksum_;  ///< nullopt in a run of an old version
  FileDescriptor lock_;
};

}  // namespace lambdaml::control
