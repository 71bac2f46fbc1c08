#include "lambdaml/trigger/staging.h"

#include <algorithm>
#include <memory>

#include "lambdaml/base/error.h"
#include "lambdaml/base/interrupt.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/parallel.h"
#include "lambdaml/control/channel.h"
#include "lambdaml/model/registry.h"
#include "lambdaml/storage/decorators.h"
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
std::optional<data::Manifest> find_usable(const Options& options, const Uri& uri,
                                          std::size_t workers) {
  const std::string& format = options.text("format");
  if (format != "auto" && format != "shard") return {};
  std::optional<data::Manifest> prepared = data::find_manifest(uri);
  const bool usable = prepared && prepared->parts() == workers && prepared->format == "shard" &&
                      is_within_reach(options, uri.text());
  if (!usable) return {};
  if (prepared->part_files.empty()) data::warn_of_no_checksums(uri.display());
  return prepared;
}

}  // namespace

StagedData stage(const Options& options, storage::Storage& channel) {
  const auto workers = static_cast<std::size_t>(options.integer("workers"));
  const Uri uri = Uri::parse(options.text("data"));
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
  if (const auto prepared = find_usable(options, uri, workers)) {
    out.data = *prepared;
    out.data_uri = uri.text();
  } else {
    const data::Dataset dataset =
        data::read(uri, options.text("format"), processors(), &out.files, options);
    throw_if_interrupted();
    if (dataset.rows() < workers)
      fail(Code::invalid_argument,
           "{}: {} rows are too few for {} workers; use fewer with --workers", uri.display(),
           dataset.rows(), workers);
    const auto store = storage::with_prefix(borrowed(channel), control::keys::kData);
    out.data = data::split(dataset, workers, *store, "shard", processors());
  }
  if (!options.text("test_data").empty()) {
    const Uri test_uri = Uri::parse(options.text("test_data"));
    out.test = find_usable(options, test_uri, workers);
    if (out.test && out.test->features == out.data.features &&
        data::same_names(out.test->names, out.data.names)) {
      out.test_uri = test_uri.text();
      return out;
    }
    const data::Dataset test =
        data::read_for({out.data.features, out.data.names}, test_uri, options.text("format"),
                       processors(), &out.files, options);
    const auto store = storage::with_prefix(borrowed(channel), control::keys::kTest);
    out.test = data::split(test, std::min(workers, test.rows()), *store, "shard", processors());
  }
  return out;
}

}  // namespace lambdaml::trigger
