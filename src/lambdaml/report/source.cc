#include "lambdaml/report/source.h"

#include "lambdaml/base/error.h"
#include "lambdaml/base/files.h"
#include "lambdaml/base/secrets.h"
#include "lambdaml/control/job_record.h"
#include "lambdaml/storage/registry.h"

namespace lambdaml::report {

namespace fs = std::filesystem;

namespace {

constexpr const char* kRunFile = "run.json";
constexpr const char* kSearchFile = "search.json";

}  // namespace

Source Source::open(const std::string& place) {
  Source source;
  source.place_ = place;
  const Uri uri = Uri::parse(place);
  const std::optional<fs::path> path = storage::local_file(uri);
  std::error_code error;
  if (path) {
    source.folder_ = *path;
    if (fs::exists(*path / kRunFile, error) || fs::exists(*path / control::record::kJob, error))
      return source;
    source.kind_ = Kind::search;
    if (fs::exists(*path / kSearchFile, error)) return source;
    // What is left of a damaged run is shown.
    source.kind_ = Kind::run;
    for (const char* name : {"metrics.jsonl", "summary.json", "job.yaml"})
      if (fs::exists(*path / name, error)) return source;
    fail(Code::not_found,
         "report of {}: it is no run or search: give the folder of one, CHECKPOINT-URI/JOB-ID, or "
         "the URI of a search's records",
         without_secrets(place));
  }
  source.store_ = storage::open(uri.parent());
  source.prefix_ = uri.name() + "/";
  if (source.read(control::record::kJob) || source.read(control::record::kSummary)) return source;
  source.kind_ = Kind::search;
  if (source.read(kSearchFile)) return source;
  fail(Code::not_found, "report of {}: nothing is known of a run or search there", uri.display());
}

std::string Source::display() const {
  return folder_.empty() ? Uri::parse(place_).display() : utf8_path(folder_.string());
}

std::optional<Buffer> Source::read(const std::string& name) const {
  return folder_.empty() ? store_->load(prefix_ + name) : read_file(folder_ / name);
}

}  // namespace lambdaml::report
