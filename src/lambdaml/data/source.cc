#include "lambdaml/data/source.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "lambdaml/base/checksum.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/interrupt.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/parallel.h"
#include "lambdaml/base/text.h"
#include "lambdaml/data/registry.h"
#include "lambdaml/data/rows.h"

namespace lambdaml::data {
namespace {

constexpr std::string_view kManifestKey = "manifest.json";

/// What a value of --format asks for.
struct Choice {
  const Plugin* plugin = nullptr;  ///< null: look at the bytes
  Form form = Form::automatic;
};

Choice choose(std::string_view format) {
  if (format == "auto") return {};
  for (const Plugin& plugin : registry().entries()) {
    if (plugin.name == format) return {&plugin, Form::automatic};
    if (std::find(plugin.formats.begin(), plugin.formats.end(), format) == plugin.formats.end())
      continue;
    const bool dense = format.starts_with("dense_");
    const bool sparse = format.starts_with("sparse_");
    return {&plugin, dense ? Form::dense : sparse ? Form::sparse : Form::automatic};
  }
  std::vector<std::string> names = format_names();
  names.insert(names.begin(), "auto");
  fail(Code::invalid_argument, "unknown data format '{}'{}", printable(format),
       did_you_mean(format, names));
}

const Plugin& recognize(Bytes bytes, const std::string& what) {
  const Bytes head = bytes.first(std::min<std::size_t>(bytes.size(), 4096));
  for (const Plugin& plugin : registry().entries())
    if (plugin.recognizes(head)) return plugin;
  fail(Code::data_corrupt,
       "reading {}: the bytes look like no known format ({}); name it by --format", what,
       join(format_names(), ", "));
}

Dataset parse(Buffer content, const Choice& choice, const ReadOptions& options) {
  const auto bytes = gunzip(std::make_shared<const Buffer>(std::move(content)), options.what);
  const Plugin& plugin =
      choice.plugin != nullptr ? *choice.plugin : recognize(*bytes, options.what);
  Dataset dataset = plugin.read(bytes, options);
  if (dataset.rows() == 0)
    fail(Code::data_corrupt, "reading {}: the data set is empty; give one with rows", options.what);
  return dataset;
}

/// Reads part keys of a store, each by `read`, several at once.
template <class Read>
Dataset read_parts(std::size_t n, std::size_t threads, const std::string& what, const Read& read) {
  std::vector<Dataset> parts(n);
  parallel_for(n, threads, [&](std::size_t i) { parts[i] = read(i); });
  for (const Dataset& part : parts)
    if (part.labelled() != parts[0].labelled())
      fail(Code::data_corrupt, "reading {}: some parts have labels and some have none", what);
  return n == 1 ? std::move(parts[0]) : interleave(std::move(parts));
}

/// A key `{i}_{n}`.
struct PartName {
  std::uint64_t i;
  std::uint64_t n;
};
std::optional<PartName> parse_part_key(std::string_view key) {
  const std::size_t mark = key.find('_');
  if (mark == std::string_view::npos || key.size() > 40) return {};
  const auto number = [](std::string_view text) -> std::optional<std::int64_t> {
    if (text.empty() || text.find_first_not_of("0123456789") != std::string_view::npos) return {};
    return to_integer(text);
  };
  const auto i = number(key.substr(0, mark));
  const auto n = number(key.substr(mark + 1));
  if (!i || !n || *i >= *n ||
      part_key(static_cast<std::size_t>(*i), static_cast<std::size_t>(*n)) != key)
    return {};
  return PartName{static_cast<std::uint64_t>(*i), static_cast<std::uint64_t>(*n)};
}

/// How many parts the bare parts in the store are of; 0 when there are none. Lists by the first
/// digit, ten requests: a listing of everything could walk a whole disk.
std::size_t count_bare_parts(storage::Storage& store, const std::string& what) {
  std::map<std::uint64_t, std::set<std::uint64_t>> sets;
  for (const char* digit : {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"})
    for (const storage::Entry& entry : store.list(digit))
      if (const auto part = parse_part_key(entry.key)) sets[part->n].insert(part->i);
  if (sets.empty()) return 0;
  if (sets.size() > 1)
    fail(Code::invalid_argument,
         "reading {}: parts of two data sets lie there, of {} and of {} parts; keep one", what,
         sets.begin()->first, std::next(sets.begin())->first);
  const auto& [n, present] = *sets.begin();
  if (present.size() != n) {
    std::uint64_t missing = 0;
    while (present.contains(missing)) ++missing;
    fail(Code::not_found, "reading {}: part {} is missing; {} of {} parts are there", what,
         part_key(missing, n), present.size(), n);
  }
  return n;
}

std::optional<Manifest> load_manifest(storage::Storage& store) {
  const std::optional<Buffer> text = store.load(kManifestKey);
  if (!text) return {};
  return Manifest::from_json(text->text(), fmt::format("{}/{}", store.describe(), kManifestKey));
}

/// The parts of an earlier cut.
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

Buffer load_part(storage::Storage& store, const std::string& key) {
  std::optional<Buffer> content = store.load(key);
  if (!content)
    fail(Code::not_found, "reading {}: part {} is missing; prepare the data set again",
         store.describe(), key);
  return std::move(*content);
}

/// The files of a folder that together are one set, as a format calls them; ascending.
std::vector<std::string> files_of_a_set(storage::Storage& store, const Plugin& plugin) {
  std::vector<std::string> keys;
  if (plugin.files_of_a_set.begin.empty()) return keys;
  for (const storage::Entry& entry : store.list(plugin.files_of_a_set.begin)) {
    std::string_view name = entry.key;
    if (name.ends_with(".gz")) name.remove_suffix(3);
    if (name.ends_with(plugin.files_of_a_set.end)) keys.push_back(entry.key);
  }
  std::sort(keys.begin(), keys.end());
  return keys;
}

std::optional<Dataset> read_files_of_a_set(storage::Storage& store, const Choice& choice,
                                           const ReadOptions& options) {
  for (const Plugin& plugin : registry().entries()) {
    if (choice.plugin != nullptr && choice.plugin != &plugin) continue;
    const std::vector<std::string> keys = files_of_a_set(store, plugin);
    if (keys.empty()) continue;
    std::vector<Dataset> files;
    for (const std::string& key : keys)
      files.push_back(parse(load_part(store, key), {&plugin, choice.form},
                            {fmt::format("{}/{}", options.what, key), choice.form, 1}));
    return files.size() == 1 ? files[0] : concatenate(files);
  }
  return {};
}

}  // namespace

std::string part_key(std::size_t i, std::size_t n) { return fmt::format("{}_{}", i, n); }

std::optional<Manifest> find_manifest(const Uri& uri) { return load_manifest(*storage::open(uri)); }

Dataset read(const Uri& uri, std::string_view format, std::size_t threads) {
  const Choice choice = choose(format);
  const ReadOptions options{uri.display(), choice.form, threads};
  if (uri.scheme == "file" && std::filesystem::is_character_file(uri.path) &&
      uri.path != "/dev/stdin")
    fail(Code::invalid_argument, "reading {}: it is a device and no file", uri.display());
  if (!uri.name().empty()) {
    const storage::Object object = storage::open_object(uri);
    if (std::optional<Buffer> content = object.store->load(object.key))
      return parse(std::move(*content), choice, options);
  }

  const std::shared_ptr<storage::Storage> store = storage::open(uri);
  if (const std::optional<Manifest> manifest = load_manifest(*store)) {
    if (choice.plugin != nullptr && choice.plugin->name != manifest->format)
      fail(Code::invalid_argument, "reading {}: its parts are of the format {}, not {}",
           options.what, manifest->format, format);
    const Dataset whole = read_parts(manifest->parts(), threads, options.what, [&](std::size_t i) {
      return read_part(*store, i, *manifest);
    });
    return choice.form == Form::automatic ? whole : in_form(whole, choice.form);
  }
  if (std::optional<Dataset> files = read_files_of_a_set(*store, choice, options)) return *files;
  const std::size_t n = count_bare_parts(*store, options.what);
  if (n == 0)
    fail(Code::not_found,
         "reading {}: there is no such file, nor a folder with parts {{i}}_{{n}} as `lambdaml data "
         "split` makes them",
         options.what);
  const Dataset whole = read_parts(n, threads, options.what, [&](std::size_t i) {
    const std::string key = part_key(i, n);
    const ReadOptions part{fmt::format("{}/{}", options.what, key), choice.form, 1};
    return parse(load_part(*store, key), choice, part);
  });
  return in_form(whole, choice.form);
}

Manifest split(const Dataset& dataset, std::size_t n, storage::Storage& store, std::string_view as,
               std::size_t threads) {
  const Plugin& plugin = registry().get(as);
  if (n == 0) fail(Code::invalid_argument, "a data set cannot be cut in 0 parts");
  if (dataset.rows() < n)
    fail(Code::invalid_argument, "{} rows cannot be cut in {} parts: use fewer workers",
         dataset.rows(), n);
  const std::vector<std::string> before = parts_there(store);
  // Without a manifest readers take the folder for unfinished, not for what was there before.
  store.remove(kManifestKey);
  Manifest manifest;
  manifest.format = plugin.name;
  manifest.features = dataset.cols();
  manifest.stored_values = tensor::stored_values(dataset.features);
  manifest.sparse = tensor::is_sparse(dataset.features);
  manifest.labels = distinct_labels(dataset.labels);
  manifest.part_rows.resize(n);
  std::vector<std::uint64_t> bytes(n), checksums(n);
  try {
    parallel_for(n, threads, [&](std::size_t i) {
      const Dataset part = take_part(dataset, i, n);
      const Buffer content = plugin.write(part);
      store.save(part_key(i, n), content);
      manifest.part_rows[i] = part.rows();
      bytes[i] = content.size();
      checksums[i] = checksum(content);
    });
    for (const std::uint64_t b : bytes) manifest.bytes += b;
    manifest.checksum = checksum(std::as_bytes(std::span(checksums)));
    store.save(kManifestKey, as_bytes(manifest.to_json()));
    if (before.size() != n) store.remove_all(before);
  } catch (const std::exception& error) {
    // Half a data set is of no use to anybody.
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

Dataset read_part(storage::Storage& store, std::size_t i, const Manifest& manifest) {
  const std::string key = part_key(i, manifest.parts());
  const Choice choice{&registry().get(manifest.format), Form::automatic};
  const ReadOptions options{fmt::format("{}/{}", store.describe(), key),
                            manifest.sparse ? Form::sparse : Form::dense, 1};
  if (i >= manifest.parts())
    fail(Code::invalid_argument, "reading {}: there are {} parts", options.what, manifest.parts());
  const Dataset part = parse(load_part(store, key), choice, options);
  const auto want = [&](bool holds, const char* kind, auto got, auto expected) {
    if (!holds)
      fail(Code::data_corrupt,
           "reading {}: {} {} where the manifest says {}; prepare the data set again", options.what,
           got, kind, expected);
  };
  want(part.rows() == manifest.part_rows[i], "rows", part.rows(), manifest.part_rows[i]);
  want(part.cols() <= manifest.features, "features", part.cols(), manifest.features);
  want(part.labelled() == !manifest.labels.empty(), "labels", part.labels.size(),
       manifest.labels.empty() ? 0 : part.rows());
  for (const std::int32_t label : distinct_labels(part.labels))
    if (!std::binary_search(manifest.labels.begin(), manifest.labels.end(), label))
      fail(Code::data_corrupt,
           "reading {}: the label {} is not among the manifest's; prepare the data set again",
           options.what, label);
  return with_cols(part, manifest.features);
}

}  // namespace lambdaml::data
