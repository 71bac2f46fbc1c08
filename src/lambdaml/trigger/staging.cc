#include "lambdaml/trigger/staging.h"

#include <algorithm>
#include <memory>

#include "lambdaml/base/error.h"
#include "lambdaml/base/interrupt.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/parallel.h"
#include "lambdaml/control/channel.h"
#include "lambdaml/data/align.h"
#include "lambdaml/data/weights.h"
#include "lambdaml/model/registry.h"
#include "lambdaml/storage/decorators.h"
#include "lambdaml/trigger/platform.h"
#include "lambdaml/trigger/reach.h"

namespace lambdaml::trigger {
namespace {

/// Wraps a reference for a decorator that requires a shared_ptr.
std::shared_ptr<storage::Storage> borrowed(storage::Storage& store) {
  return {std::shared_ptr<void>(), &store};
}

std::string definition_file(const Options& options) {
  const std::string& option = model::registry().get(options.text("model")).file_option;
  return option.empty() ? "" : options.text(option);
}

/// A prepared set that workers can read in place: one part each, in the requested format.
std::optional<data::Manifest> find_usable(const Options& options, const data::Places& places,
                                          std::size_t workers) {
  const std::string& format = options.text("format");
  if (format != "auto" && format != "shard") return {};
  std::optional<data::Manifest> prepared = data::find_manifest(places);
  const bool usable = prepared && prepared->parts() == workers && prepared->format == "shard" &&
                      is_within_reach(options, places.uris[0].text());
  if (!usable) return {};
  if (prepared->part_files.empty()) data::warn_of_no_checksums(places.display());
  return prepared;
}

void require_enough_rows(std::size_t rows, std::size_t workers, const data::Places& places) {
  if (rows < workers)
    fail(Code::invalid_argument, "{}: {} rows are too few for {} workers; use fewer with --workers",
         places.display(), rows, workers);
}

/// Lends the rows to workers that are threads of this process, setting `uri`, and otherwise saves
/// them under `prefix`.
data::Manifest stage_in_memory(const data::Dataset& rows, const Options& options,
                               storage::Storage& channel, const char* prefix, std::size_t parts,
                               std::string& uri, StagedData& out) {
  if (Platform::has_threads(options.text("platform"), channel)) {
    const auto& lent = out.lent.emplace_back(std::make_unique<data::Lent>(rows));
    uri = lent->name();
    return lent->manifest(parts);
  }
  const auto store = storage::with_prefix(borrowed(channel), prefix);
  return data::split(rows, parts, *store, "shard", processors());
}

}  // namespace

StagedData stage(const Options& options, storage::Storage& channel, const InMemory& memory) {
  const auto workers = static_cast<std::size_t>(options.integer("workers"));
  const data::Places places = data::Places::parse(options.text("data"));
  StagedData out;
  if (const std::string file = definition_file(options); !file.empty()) {
    const Uri script = Uri::parse(file);
    const storage::Object object = storage::open_object(script);
    std::optional<Buffer> bytes = object.store->load(object.key);
    if (!bytes) fail(Code::not_found, "model {}: there is no such file", script.display());
    channel.save(control::keys::kDefinition, *bytes);
    out.files.push_back({script.display(), data::content_of(*bytes)});
    out.definition = std::make_shared<const Buffer>(std::move(*bytes));
  }
  if (const std::string& init = options.text("init"); !init.empty()) {
    out.init = job::find_model(init);
    channel.save(control::keys::kInitialModel, *out.init->bytes);
    out.files.push_back({out.init->what, data::content_of(*out.init->bytes)});
  }
  const data::WeightColumn weights(options);
  std::optional<data::Manifest> prepared;
  if (!memory.data) prepared = find_usable(options, places, workers);
  if (prepared && prepared->weights > 0 && weights.is_refused) prepared.reset();
  if (memory.data) {
    require_enough_rows(memory.data->rows(), workers, places);
    out.data = stage_in_memory(*memory.data, options, channel, control::keys::kData, workers,
                               out.data_uri, out);
  } else if (prepared) {
    data::require_weights(weights, prepared->weights > 0, places.display());
    out.data = *prepared;
    out.data_uri = places.uris[0].text();
  } else {
    const data::Dataset dataset =
        data::read(places, options.text("format"), processors(), &out.files, options);
    throw_if_interrupted();
    require_enough_rows(dataset.rows(), workers, places);
    const auto store = storage::with_prefix(borrowed(channel), control::keys::kData);
    out.data = data::split(dataset, workers, *store, "shard", processors());
  }
  if (memory.test) {
    const data::Dataset test =
        data::align(*memory.test, {out.data.features, out.data.names}, options.text("test_data"));
    out.test = stage_in_memory(test, options, channel, control::keys::kTest,
                               std::min(workers, test.rows()), out.test_uri, out);
  } else if (!options.text("test_data").empty()) {
    const data::Places test_places = data::Places::parse(options.text("test_data"));
    out.test = find_usable(options, test_places, workers);
    if (out.test && out.test->features == out.data.features &&
        data::same_names(out.test->names, out.data.names) &&
        out.test->tensors == out.data.tensors) {
      out.test_uri = test_places.uris[0].text();
      return out;
    }
    Options options_of_test = options;
    // It names the labels of the training data.
    if (options.find("labels_file") != nullptr)
      options_of_test.set("labels_file", Option::Value(std::string()), "");
    const data::Dataset test = data::read_for({.features = out.data.features,
                                               .names = out.data.names,
                                               .tensors = out.data.tensors.inputs},
                                              test_places, options.text("format"), processors(),
                                              &out.files, options_of_test);
    const auto store = storage::with_prefix(borrowed(channel), control::keys::kTest);
    out.test = data::split(test, std::min(workers, test.rows()), *store, "shard", processors());
  }
  return out;
}

}  // namespace lambdaml::trigger
