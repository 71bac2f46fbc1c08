#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "lambdaml/base/files.h"
#include "lambdaml/base/options.h"
#include "lambdaml/job/metrics.h"

namespace lambdaml::control {

/// What a run leaves on the machine that started it: `job.yaml` (the resolved options), `run.json`
/// (its id, and a checksum of job.yaml: what the run goes on with is what it began with),
/// `metrics.jsonl`, `log/`, `checkpoint/` unless they go elsewhere, and at the end
/// `model.safetensors` and `summary.json`. One process at a time works on a run: it is locked.
class RunFolder {
 public:
  /// Throws already_exists when there is anything of that name.
  static void require_new(const std::filesystem::path& path);
  /// A new folder for this user alone. Passwords in URIs are left out of its job.yaml. Throws as
  /// require_new and make_new_folder do.
  static RunFolder create(const std::filesystem::path& path, const std::string& job_id,
                          const Options& options);
  /// An existing run. Throws not_found, data_corrupt, unavailable when it is still running, or
  /// permission_denied where another user could have made it up (base/own_folder.h).
  static RunFolder open(const std::filesystem::path& path);

  /// Of a run that may be running: nothing is locked. Throws as open() does.
  struct Identity {
    std::string job_id;
    std::string checkpoint_uri;
  };
  static Identity identify(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  const std::string& job_id() const { return job_id_; }
  /// What the run began with. Throws data_corrupt when its job.yaml was changed since.
  Options options() const;
  std::filesystem::path log_folder() const { return path_ / "log"; }
  std::filesystem::path model_path() const { return path_ / "model.safetensors"; }
  std::string checkpoint_uri() const;

  /// The summary of a run that has ended. Throws data_corrupt for one that is none.
  std::optional<nlohmann::ordered_json> summary() const;

  /// Appends an epoch's line to metrics.jsonl.
  void add(const job::EpochMetrics& metrics);
  /// The run goes on from `epoch`: drops the lines of later epochs, and adds those up to it that
  /// are missing and stand in `known`, lines of the same form.
  void rewind(std::uint64_t epoch, const std::string& known);
  void finish(Bytes model, const std::string& summary);
  /// Removes the folder with all that is in it: for a run that came to nothing.
  void discard();

 private:
  RunFolder(std::filesystem::path path, std::string job_id);
  static RunFolder read(const std::filesystem::path& path);
  void lock();
  Options read_options() const;

  std::filesystem::path path_;
  std::string job_id_;
  std::optional<std::uint64_t> job_checksum_;  ///< absent in a run that an old version began
  FileDescriptor lock_;
};

}  // namespace lambdaml::control
