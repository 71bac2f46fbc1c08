#include "lambdaml/data/prepared.h"

#include <algorithm>
#include <array>

#include "lambdaml/base/checksum.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/interrupt.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/parallel.h"
#include "lambdaml/data/compression/compression.h"
#include "lambdaml/data/integrity.h"
#include "lambdaml/data/registry.h"
#include "lambdaml/data/rows.h"
#include "lambdaml/data/weights.h"

namespace lambdaml::data {
namespace {

constexpr std::string_view kManifestKey = "manifest.json";

/// The keys of the parts of an earlier cut.
std::vector<std::string> parts_there(storage::Storage& store) {
  std::vector<std::string> keys;
  try {
    const std::optional<Manifest> manifest = load_manifest(store);
    for (std::size_t i = 0; manifest && i < manifest->parts(); ++i)
      keys.push_back(part_key(i, manifest->parts()));
  } catch (const Error& error) {
    if (error.code() != Code::data_corrupt) throw;
  }
  return keys;
}

/// Equal for equal rows cut into as many parts: preparing a set again gives the same set.
std::uint64_t id_of(const Dataset& dataset, std::size_t n) {
  const std::array<std::uint64_t, 2> all{checksum_of(dataset), n};
  return checksum(std::as_bytes(std::span(all)));
}

/// The checksum of the parts' bytes in a manifest of version 1, and of their rows in version 2.
std::uint64_t checksum_of_parts(const std::vector<std::uint64_t>& checksums) {
  return checksum(std::as_bytes(std::span(checksums)));
}

/// Part i of n consecutive ones, as equal as possible.
Dataset take_successive(const Dataset& dataset, std::size_t i, std::size_t n) {
  return dataset.slice(dataset.rows() * i / n, dataset.rows() * (i + 1) / n);
}

std::string name_of(const storage::Storage& store, const std::string& key) {
  return fmt::format("{}/{}", store.describe(), key);
}

/// Reads part i from `bytes`, which must match that content if it is known.
Dataset parse_part(const std::shared_ptr<const Buffer>& bytes, std::size_t i,
                   const Manifest& manifest, const std::string& what,
                   const std::optional<Content>& content) {
  const Plugin& plugin = registry().get(manifest.format);
  const ReadOptions options{what, manifest.sparse ? Form::sparse : Form::dense, 1};
  if (content) require_content(plugin, bytes, options, *content);
  Dataset part = read_with(plugin, decompress(bytes, what), options, {});
  // Targets of a text that happen to be whole numbers are read as labels.
  if (manifest.targets && !part.labels.empty()) part = with_labels_as_targets(part);
  const auto want = [&](bool holds, const char* kind, auto got, auto expected) {
    if (!holds)
      fail(Code::data_corrupt,
           "reading {}: {} {} where the manifest says {}; prepare the data set again", what, got,
           kind, expected);
  };
  want(part.rows() == manifest.part_rows[i], "rows", part.rows(), manifest.part_rows[i]);
  want(part.cols() <= manifest.features, "features", part.cols(), manifest.features);
  want(part.labels.empty() == manifest.labels.empty(), "labels", part.labels.size(),
       manifest.labels.empty() ? 0 : part.rows());
  want(part.targets.empty() == !manifest.targets, "targets", part.targets.size(),
       manifest.targets ? part.rows() : 0);
  want(part.tensor_shapes() == manifest.tensors, "as tensors", part.tensor_shapes().text(),
       manifest.tensors.text());
  want(part.weights.empty() == (manifest.weights == 0), "weights", part.weights.size(),
       manifest.weights == 0 ? 0 : part.rows());
  for (const std::int32_t label : distinct_labels(part.labels))
    if (!std::binary_search(manifest.labels.begin(), manifest.labels.end(), label))
      fail(Code::data_corrupt,
           "reading {}: the label {} is not among the manifest's; prepare the data set again", what,
           label);
  Dataset out = with_cols(part, manifest.features);
  // Parts of formats without names have them from the manifest.
  if (!out.names) out.names = manifest.names;
  return out;
}

}  // namespace

std::optional<Manifest> load_manifest(storage::Storage& store) {
  const std::optional<Buffer> text = store.load(kManifestKey);
  if (!text) return {};
  return Manifest::from_json(text->text(), name_of(store, std::string(kManifestKey)));
}

Buffer load_part(storage::Storage& store, const std::string& key) {
  std::optional<Buffer> content = store.load(key);
  if (!content)
    fail(Code::not_found, "reading {}: part {} is missing; prepare the data set again",
         store.describe(), key);
  return std::move(*content);
}

Dataset joined(std::vector<Dataset> parts, bool in_order, const std::string& what) {
  require_weights_in_all(parts, [&](std::size_t) { return what; });
  for (const Dataset& part : parts)
    if (part.labelled() != parts[0].labelled())
      fail(Code::data_corrupt, "reading {}: some parts have labels and some have none", what);
  for (const Dataset& part : parts)
    if (!same_names(part.names, parts[0].names))
      fail(Code::data_corrupt, "reading {}: the parts' names differ; prepare the data set again",
           what);
  if (parts.size() == 1) return std::move(parts[0]);
  return in_order ? concatenate(std::move(parts)) : interleave(std::move(parts));
}

std::optional<Manifest> find_manifest(const Places& places) {
  if (places.several()) return {};
  return load_manifest(*storage::open(places.uris[0]));
}

Manifest manifest_of(const Dataset& dataset) {
  Manifest out;
  out.features = dataset.cols();
  out.stored_values = tensor::stored_values(dataset.features);
  out.sparse = tensor::is_sparse(dataset.features);
  out.labels = distinct_labels(dataset.labels);
  out.targets = !dataset.targets.empty();
  out.weights = sum_of_weights(dataset);
  out.names = dataset.names;
  out.tensors = dataset.tensor_shapes();
  return out;
}

Manifest split(const Dataset& dataset, std::size_t n, storage::Storage& store, std::string_view as,
               std::size_t threads, Cut cut) {
  const Plugin& plugin = registry().get(as);
  if (n == 0) fail(Code::invalid_argument, "a data set cannot be cut in 0 parts");
  if (dataset.rows() < n)
    fail(Code::invalid_argument, "{} rows cannot be cut in {} parts: use fewer workers",
         dataset.rows(), n);
  if (!dataset.weights.empty() && !plugin.holds_weights)
    fail(Code::invalid_argument,
         "files of the format {} have no place for the rows' weights: prepare shards, or leave "
         "--weight-column away",
         plugin.name);
  const std::vector<std::string> before = remove_manifest(store, n);
  Manifest manifest = manifest_of(dataset);
  manifest.format = plugin.name;
  manifest.in_order = cut == Cut::in_order;
  manifest.part_rows.resize(n);
  manifest.part_files.resize(n);
  manifest.id = id_of(dataset, n);
  std::vector<std::uint64_t> checksums(n);
  try {
    parallel_for(n, threads, [&](std::size_t i) {
      const Dataset part =
          cut == Cut::dealt ? take_part(dataset, i, n) : take_successive(dataset, i, n);
      const std::string key = part_key(i, n);
      const Written written = write_part(plugin, part, {manifest.id, key});
      store.save_gathered(key, written.pieces);
      manifest.part_rows[i] = part.rows();
      manifest.part_files[i] = {written.bytes(), written.checksum};
      checksums[i] = written.rows_checksum;
    });
    for (const Content& file : manifest.part_files) manifest.bytes += file.bytes;
    manifest.checksum = checksum_of_parts(checksums);
    store.save(kManifestKey, as_bytes(manifest.to_json()));
    store.remove_all(before);
  } catch (const std::exception& error) {
    // Removes the parts, because an incomplete data set is useless.
    std::vector<std::string> keys;
    for (std::size_t i = 0; i < n; ++i) keys.push_back(part_key(i, n));
    try {
      const Tidying tidying;
      store.remove_all(keys);
    } catch (const std::exception& failure) {
      log::info("removing the parts of an unfinished data set: {}", failure.what());
      std::throw_with_nested(Error(
          code_of(error), fmt::format("{}; the parts of an unfinished data set are left in {}",
                                      error.what(), store.describe())));
    }
    throw;
  }
  return manifest;
}

SavedPart save_part(storage::Storage& store, const Dataset& rows, std::size_t i, std::size_t n,
                    std::uint64_t id, std::string_view as) {
  const std::string key = part_key(i, n);
  const Written written = write_part(registry().get(as), rows, {id, key});
  store.save_gathered(key, written.pieces);
  return {rows.rows(),
          {written.bytes(), written.checksum},
          written.rows_checksum,
          tensor::stored_values(rows.features),
          distinct_labels(rows.labels),
          sum_of_weights(rows)};
}

void save_manifest(storage::Storage& store, Manifest& manifest,
                   const std::vector<SavedPart>& parts) {
  std::vector<std::uint64_t> checksums;
  for (const SavedPart& part : parts) {
    manifest.part_rows.push_back(part.rows);
    manifest.part_files.push_back(part.file);
    manifest.bytes += part.file.bytes;
    manifest.stored_values += part.stored_values;
    manifest.weights += part.weights;
    checksums.push_back(part.rows_checksum);
    std::vector<std::int32_t> all;
    std::ranges::set_union(manifest.labels, part.labels, std::back_inserter(all));
    manifest.labels = std::move(all);
  }
  manifest.checksum = checksum_of_parts(checksums);
  store.save(kManifestKey, as_bytes(manifest.to_json()));
}

std::vector<std::string> remove_manifest(storage::Storage& store, std::size_t n) {
  std::vector<std::string> before = parts_there(store);
  store.remove(kManifestKey);
  return before.size() == n ? std::vector<std::string>() : before;
}

Dataset read_part(storage::Storage& store, std::size_t i, const Manifest& manifest,
                  std::optional<Content> content) {
  const std::string key = part_key(i, manifest.parts());
  const std::string what = name_of(store, key);
  if (i >= manifest.parts())
    fail(Code::invalid_argument, "reading {}: there are {} parts", what, manifest.parts());
  if (!content && !manifest.part_files.empty()) content = manifest.part_files[i];
  return parse_part(std::make_shared<const Buffer>(load_part(store, key)), i, manifest, what,
                    content);
}

Dataset read_prepared(storage::Storage& store, const Manifest& manifest, std::size_t threads,
                      const std::string& what) {
  const std::size_t n = manifest.parts();
  std::vector<Dataset> parts(n);
  if (!manifest.part_files.empty()) {
    parallel_for(n, threads, [&](std::size_t i) { parts[i] = read_part(store, i, manifest); });
    return joined(std::move(parts), manifest.in_order, what);
  }
  warn_of_no_checksums(what);
  std::vector<std::uint64_t> checksums(n);
  parallel_for(n, threads, [&](std::size_t i) {
    const std::string key = part_key(i, n);
    const auto bytes = std::make_shared<const Buffer>(load_part(store, key));
    checksums[i] = checksum(*bytes);
    parts[i] = parse_part(bytes, i, manifest, name_of(store, key), {});
  });
  if (checksum_of_parts(checksums) != manifest.checksum)
    fail(Code::data_corrupt,
         "reading {}: its parts do not fit the checksum in its {}: one was damaged, or they are "
         "not where they belong; prepare the data set again",
         what, kManifestKey);
  return joined(std::move(parts), manifest.in_order, what);
}

}  // namespace lambdaml::data
