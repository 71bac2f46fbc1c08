#include "lambdaml/tune/search_data.h"

#include <algorithm>

#include "lambdaml/base/error.h"
#include "lambdaml/base/interrupt.h"
#include "lambdaml/base/parallel.h"
#include "lambdaml/base/uri.h"
#include "lambdaml/control/data_record.h"
#include "lambdaml/data/column_notices.h"
#include "lambdaml/data/source.h"
#include "lambdaml/job/job.h"
#include "lambdaml/trigger/preparation.h"
#include "lambdaml/trigger/reach.h"

namespace lambdaml::tune {

namespace {

/// What trials learn from, whose data have been prepared.
data::Learned learned_from(const Options& options) {
  const data::Manifest data = data::find_manifest(Uri::parse(options.text("data"))).value();
  return {.features = data.features, .names = data.names, .tensors = data.tensors.inputs};
}

}  // namespace

SearchData::SearchData(const Search& search, Records& records)
    : keep_(search.space.contains("workers")), records_(records) {}

SearchData::~SearchData() = default;

std::string SearchData::place_of(const Options& options, const char* option,
                                 const std::string& kind) {
  const auto workers = static_cast<std::uint64_t>(options.integer("workers"));
  std::string& place = places_[fmt::format("{}/{}", kind, workers)];
  if (!place.empty()) return place;
  const data::Places given = data::Places::parse(options.text(option));
  const auto is_cut_for = [&](const std::optional<data::Manifest>& manifest) {
    return manifest && manifest->parts() == workers && manifest->format == "shard";
  };
  if (is_cut_for(data::find_manifest(given)) &&
      trigger::is_within_reach(options, given.uris[0].text()))
    return place = options.text(option);
  const std::string own = records_.data_uri(kind, workers);
  // The manifest is written last: if it exists, an earlier tuner has cut everything.
  if (data::find_manifest(Uri::parse(own))) return place = own;

  if (prepare_there(options, given, kind, own)) return place = own;

  std::unique_ptr<data::Dataset>& dataset = read_[kind];
  if (!dataset) {
    std::vector<data::SourceFile> files;
    Options of_test = options;
    // It names the labels of the training data.
    if (options.find("labels_file") != nullptr)
      of_test.set("labels_file", Option::Value(std::string()), "");
    dataset = std::make_unique<data::Dataset>(
        kind == "test" ? data::read_for(learned_from(options), given, options.text("format"),
                                        processors(), &files, of_test)
                       : data::read(given, options.text("format"), processors(), &files, options));
    if (kind == "data") {
      data::warn_of_columns(given.display(), *dataset);
    }
    // An earlier tuner may have read it for another number of workers: all trials must have the
    // same rows.
    control::DataRecord(records_.shared_store(), kind).require_same(files);
  }
  throw_if_interrupted();
  if (dataset->rows() < workers && kind == "data")
    fail(Code::invalid_argument, "{}: {} rows are too few for {} workers; use fewer with --workers",
         given.display(), dataset->rows(), workers);
  // Each job cuts such a small test set itself.
  if (dataset->rows() < workers) return place = options.text(option);
  data::split(*dataset, workers, *storage::open(own), "shard", processors());
  if (!keep_) dataset.reset();
  return place = own;
}

bool SearchData::prepare_there(const Options& options, const data::Places& given,
                               const std::string& kind, const std::string& own) {
  if (!job::is_remote(options) || options.text("read_by") == "command" ||
      !trigger::is_within_reach(options, own))
    return false;
  const auto workers = static_cast<std::size_t>(options.integer("workers"));
  trigger::Preparation wanted{.places = given};
  wanted.parts = workers;
  wanted.workers = workers;
  wanted.seed = static_cast<std::uint64_t>(options.integer("seed"));
  wanted.to = own;
  wanted.for_job = job::new_job_id();
  if (kind == "test") wanted.model = learned_from(options);
  control::Stores stores;
  const auto made = trigger::prepare_if_large(wanted, options, stores);
  if (made) {
    trigger::tell_of(*made);
    control::DataRecord(records_.shared_store(), kind).require_same(made->files);
  }
  return made.has_value();
}

void SearchData::set_places_in(Options& options) {
  options.set("data", Option::Value(place_of(options, "data", "data")), "data");
  if (!options.text("test_data").empty())
    options.set("test_data", Option::Value(place_of(options, "test_data", "test")), "test_data");
  options.set("format", Option::Value(std::string("auto")), "format");
}

}  // namespace lambdaml::tune
