#include "lambdaml/control/run_folder.h"

#include <cerrno>
#include <map>

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/file.h>
#include <unistd.h>

#include "lambdaml/base/checksum.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/formats/checked_json.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/own_folder.h"
#include "lambdaml/base/secrets.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/uri.h"
#include "lambdaml/control/checkpoint.h"
#include "lambdaml/job/job.h"
#include "lambdaml/job/job_file.h"
#include "lambdaml/job/options.h"
#include "lambdaml/storage/registry.h"

namespace lambdaml::control {

namespace fs = std::filesystem;

namespace {

constexpr const char* kJobChecksum = "job_checksum";  ///< of job.yaml

}  // namespace

RunFolder::RunFolder(fs::path path, std::string job_id)
    : path_(std::move(path)), job_id_(std::move(job_id)) {}

void RunFolder::lock() {
  const fs::path name = path_ / "run.json";
  lock_ = FileDescriptor(::open(name.c_str(), O_RDONLY | O_CLOEXEC));
  if (!lock_) fail_errno(errno, fmt::format("opening {}", name.string()));
  if (::flock(lock_.get(), LOCK_EX | LOCK_NB) != 0)
    fail(Code::unavailable, "run {}: it is still running; stop it first", path_.string());
}

std::filesystem::path output_folder(const std::string& value, std::string_view advice) {
  const Uri uri = Uri::parse(value);
  const std::optional<std::filesystem::path> path = storage::local_file(uri);
  if (!path)
    fail(Code::invalid_argument, "output '{}': it must be a folder of this machine{}",
         uri.display(), advice);
  const bool is_plain = std::filesystem::absolute(value).lexically_normal() == *path;
  return is_plain ? std::filesystem::path(value) : *path;
}

void RunFolder::require_new(const fs::path& path) {
  std::error_code error;
  if (fs::exists(fs::symlink_status(path, error)))
    fail(Code::already_exists,
         "output folder {}: it exists; give another with --output, or remove it", path.string());
}

RunFolder RunFolder::create(const fs::path& path, const std::string& job_id,
                            const Options& options) {
  require_new(path);
  const fs::path absolute = fs::absolute(path);
  make_new_folder(absolute);
  RunFolder run(absolute, job_id);
  try {
    // Folders get copied and shared, so passwords are not stored in them.
    const std::string job = job::to_yaml(options.without_passwords());
    run.job_checksum_ = checksum(as_bytes(job));
    const nlohmann::json identity{{"job_id", job_id},
                                  {kJobChecksum, checksum_text(*run.job_checksum_)}};
    write_file(run.path_ / "run.json", as_bytes(checked_json_text(identity) + "\n"));
    write_file(run.path_ / "job.yaml", as_bytes(job));
    run.lock();
  } catch (...) {
    run.discard();
    throw;
  }
  return run;
}

RunFolder RunFolder::read(const fs::path& path) {
  const std::optional<Buffer> text = read_file(path / "run.json");
  if (!text)
    fail(Code::not_found, "run {}: no run.json there; give the folder of a run",
         without_secrets(path.string()));
  nlohmann::json json = parse_json(text->text());
  const Checked checked = json.is_object() ? take_checksum(json) : Checked::damaged;
  if (checked == Checked::damaged)
    fail(Code::data_corrupt, "run {}: its run.json is damaged", path.string());
  const std::string job_id = text_at(json, "job_id");
  // Resuming a job clears everything under its id, so any other text might name something else
  // there.
  if (!job::is_job_id(job_id))
    fail(Code::data_corrupt, "run {}: its run.json is damaged: '{}' is no id of a job",
         path.string(), printable(job_id));
  RunFolder run(fs::absolute(path).lexically_normal(), job_id);
  run.job_checksum_ = checksum_from(text_at(json, kJobChecksum));
  return run;
}

RunFolder RunFolder::open(const fs::path& path) {
  require_own_folder(path);
  RunFolder run = read(path);
  run.lock();
  return run;
}

RunFolder::Identity RunFolder::identify(const fs::path& path) {
  const RunFolder run = read(path);
  const std::string elsewhere = run.read_options().text("checkpoint");
  return {run.job_id_, elsewhere.empty() ? run.checkpoint_uri() : elsewhere};
}

Options RunFolder::options() const {
  if (job_checksum_) {
    const std::optional<Buffer> job = read_file(path_ / "job.yaml");
    if (job && checksum(*job) != *job_checksum_)
      fail(Code::data_corrupt,
           "run {}: its job.yaml is not what the run began with: put that back, and give what is "
           "to change to lambdaml resume",
           path_.string());
  } else {
    warn_of_old_job(job_id_);
  }
  return read_options();
}

Options RunFolder::read_options() const {
  Options options = job::job_options();
  job::read_job_file((path_ / "job.yaml").string(), options);
  return options;
}

std::string RunFolder::checkpoint_uri() const {
  return Uri::parse((path_ / "checkpoint").string()).text();
}

std::optional<nlohmann::ordered_json> RunFolder::summary() const {
  const std::optional<Buffer> text = read_file(path_ / "summary.json");
  if (!text) return {};
  nlohmann::ordered_json summary = parse_ordered_json(text->text());
  if (!summary.is_object())
    fail(Code::data_corrupt, "{}: it is no summary of a job", (path_ / "summary.json").string());
  return summary;
}

void RunFolder::add(const job::EpochMetrics& metrics) {
  append_to_file(path_ / "metrics.jsonl", as_bytes(metrics.to_json() + "\n"));
}

void RunFolder::rewind(std::uint64_t epoch, const std::string& known) {
  const fs::path name = path_ / "metrics.jsonl";
  const std::optional<Buffer> text = read_file(name);
  std::map<std::uint64_t, std::string> by_epoch;
  for (const std::string& line :
       split((text ? std::string(text->text()) : "") + "\n" + known, '\n')) {
    if (line.empty()) continue;
    try {
      const std::uint64_t at = job::EpochMetrics::from_json(line).epoch;
      if (at <= epoch) by_epoch[at] = line;
    } catch (const Error&) {
      // A line cut off by the crash after which this run is resumed.
    }
  }
  std::string kept;
  for (const auto& [at, line] : by_epoch) kept += line + "\n";
  write_file(name, as_bytes(kept));
}

void RunFolder::keep_reports(const std::string& lines) {
  write_file(path_ / "workers.jsonl", as_bytes(lines));
}

void RunFolder::finish(Bytes model, const std::string& summary) {
  write_file(model_path(), model, {.durable = true});
  write_file(path_ / "summary.json", as_bytes(summary + "\n"), {.durable = true});
}

void RunFolder::discard() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
  // Also removes the default parent if it is empty; rmdir fails otherwise.
  if (path_.parent_path().filename() == "runs") ::rmdir(path_.parent_path().c_str());
}

}  // namespace lambdaml::control
