#include "lambdaml/data/source.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <optional>
#include <set>

#include "lambdaml/base/error.h"
#include "lambdaml/base/held_warnings.h"
#include "lambdaml/base/interrupt.h"
#include "lambdaml/base/parallel.h"
#include "lambdaml/base/text.h"
#include "lambdaml/data/compression/compression.h"
#include "lambdaml/data/files.h"
#include "lambdaml/data/folder.h"
#include "lambdaml/data/foreign.h"
#include "lambdaml/data/integrity.h"
#include "lambdaml/data/missing.h"
#include "lambdaml/data/pixels/images.h"
#include "lambdaml/data/prepared.h"
#include "lambdaml/data/registry.h"
#include "lambdaml/data/rows.h"
#include "lambdaml/data/weights.h"
#include "lambdaml/storage/registry.h"

namespace lambdaml::data {
namespace {

/// A file that has been read.
struct Parsed {
  Dataset dataset;
  bool can_state = false;  ///< files of its format have statements
  Statement statement;
  std::optional<SourceFile> source;  ///< if it states no checksum and the caller wants these
};

Parsed parse(Buffer content, const Choice& choice, const ReadOptions& options, bool note) {
  Parsed out;
  const auto stored = std::make_shared<const Buffer>(std::move(content));
  const auto bytes = decompress(stored, options.what);
  const Plugin& plugin = plugin_for(*bytes, choice, options.what);
  tell_of_unused(plugin, options.options);
  out.can_state = plugin.statement != nullptr;
  out.statement = statement_of(plugin, bytes, options.what);
  if (note && !out.statement.checksum) out.source = SourceFile{options.what, content_of(*stored)};
  out.dataset = read_with(plugin, bytes, options, options.options);
  return out;
}

void require_rows(const Dataset& dataset, const std::string& what) {
  if (dataset.rows() == 0)
    fail(Code::data_corrupt, "reading {}: the data set is empty; give one with rows", what);
}

/// Of a file of a folder.
ReadOptions of_file(ReadOptions options, const std::string& key, std::size_t threads) {
  options.what += "/" + key;
  options.threads = threads;
  return options;
}

/// What reading whole data sets determines besides their rows.
void take_notes(const std::vector<Parsed>& parsed, const std::string& what,
                std::vector<SourceFile>* files) {
  const bool old = std::any_of(parsed.begin(), parsed.end(), [](const Parsed& file) {
    return file.can_state && !file.statement.checksum;
  });
  if (old) warn_of_no_checksums(what);
  for (const Parsed& file : parsed)
    if (files != nullptr && file.source) files->push_back(*file.source);
}

/// A key of the form `{i}_{n}`.
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

/// The number of parts of a set without a manifest in the store; 0 if there are none.
std::size_t count_bare_parts(storage::Storage& store, const std::string& what) {
  std::map<std::uint64_t, std::set<std::uint64_t>> sets;
  for (const storage::Entry& entry : bare_parts(store)) {
    const PartName part = *parse_part_key(entry.key);
    sets[part.n].insert(part.i);
  }
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

/// The files of a folder that together are one set by their names in a format; ascending.
std::vector<std::string> files_of_a_set(storage::Storage& store, const Plugin& plugin) {
  std::vector<std::string> keys;
  if (plugin.files_of_a_set.begin.empty()) return keys;
  for (const storage::Entry& entry : store.list(plugin.files_of_a_set.begin)) {
    if (without_ending(entry.key).ends_with(plugin.files_of_a_set.end)) keys.push_back(entry.key);
  }
  std::sort(keys.begin(), keys.end());
  return keys;
}

std::optional<Dataset> read_files_of_a_set(storage::Storage& store, const Choice& choice,
                                           const ReadOptions& options,
                                           std::vector<SourceFile>* sources) {
  for (const Plugin& plugin : registry().entries()) {
    if (choice.plugin != nullptr && choice.plugin != &plugin) continue;
    const std::vector<std::string> keys = files_of_a_set(store, plugin);
    if (keys.empty()) continue;
    std::vector<Parsed> parsed;
    std::vector<Dataset> files;
    for (const std::string& key : keys) {
      parsed.push_back(parse(load_part(store, key), {&plugin, choice.form},
                             of_file(options, key, options.threads), sources != nullptr));
      files.push_back(parsed.back().dataset);
      require_rows(files.back(), options.what);
    }
    take_notes(parsed, options.what, sources);
    return files.size() == 1 ? files[0] : concatenate(std::move(files));
  }
  return {};
}

Dataset read_bare_parts(storage::Storage& store, std::size_t n, const Choice& choice,
                        const ReadOptions& options, std::vector<SourceFile>* sources) {
  std::vector<Parsed> parsed(n);
  parallel_for(n, options.threads, [&](std::size_t i) {
    const std::string key = part_key(i, n);
    parsed[i] = parse(load_part(store, key), choice, of_file(options, key, 1), sources != nullptr);
  });
  take_notes(parsed, options.what, sources);
  std::vector<Statement> statements;
  std::vector<Dataset> parts;
  for (Parsed& part : parsed) {
    require_rows(part.dataset, options.what);
    statements.push_back(part.statement);
    parts.push_back(std::move(part.dataset));
  }
  require_one_set(statements, options.what);
  return joined(std::move(parts), false, options.what);
}

/// Reads files one after the other: the first with rows says how the others are to be read, so that
/// a column is of the same kind in all of them. Files without rows are left out.
Dataset read_files(const Files& files, const Choice& choice, ReadOptions options,
                   std::vector<SourceFile>* sources) {
  const std::size_t n = files.entries.size();
  const bool is_of_several = options.is_of_several;
  options.is_of_several |= n > 1;
  std::vector<Parsed> parsed(n);
  const auto read_file = [&](std::size_t i, std::size_t threads) {
    const std::string& key = files.entries[i].key;
    const ReadOptions file = of_file(options, key, threads);
    if (files.entries[i].bytes != 0)
      parsed[i] = parse(load_part(*files.store, key), choice, file, sources != nullptr);
  };
  std::size_t first = 0;
  for (; first < n; ++first) {
    read_file(first, options.threads);
    if (parsed[first].dataset.rows() != 0) break;
  }
  if (first == n) require_rows({}, options.what);
  options.is_further_file = true;
  if (!options.names) options.names = parsed[first].dataset.names;
  const std::size_t more = n - first - 1;
  if (more >= options.threads)
    parallel_for(more, options.threads, [&](std::size_t i) { read_file(first + 1 + i, 1); });
  else
    for (std::size_t i = 0; i < more; ++i) read_file(first + 1 + i, options.threads);
  take_notes(parsed, options.what, sources);
  std::vector<Dataset> parts;
  std::vector<std::string> names;
  for (std::size_t i = first; i < n; ++i) {
    if (parsed[i].dataset.rows() == 0) continue;
    parts.push_back(std::move(parsed[i].dataset));
    names.push_back(of_file(options, files.entries[i].key, 1).what);
  }
  const Dataset joined = parts.size() == 1
                             ? parts[0]
                             : in_form(concatenate_named(std::move(parts), names), choice.form);
  return is_of_several ? joined : filled(joined, options.options, options.what);
}

Parsed read_file(const Uri& uri, const Choice& choice, const ReadOptions& options, bool note) {
  const storage::Object object = storage::open_object(uri);
  std::optional<Buffer> content = object.store->load(object.key);
  if (!content) fail(Code::not_found, "reading {}: there is no such file", options.what);
  return parse(std::move(*content), choice, options, note);
}

/// The file beside that has its labels, by its name: see Plugin::labels_beside.
std::optional<Uri> labels_beside(const Uri& uri) {
  for (const Plugin& plugin : registry().entries()) {
    if (!plugin.labels_beside) continue;
    for (const std::string& name : plugin.labels_beside(uri.name())) {
      const Uri labels = uri.parent() / name;
      const storage::Object object = storage::open_object(labels);
      if (object.store->exists(object.key)) return labels;
    }
  }
  return {};
}

/// With labels from a file of their own, if one is named or lies beside the rows.
Dataset with_labels_file(Dataset rows, const Uri& uri, const ReadOptions& options,
                         std::vector<SourceFile>* sources) {
  const bool declared = options.options.find("labels_file") != nullptr;
  const std::string named = declared ? options.options.text("labels_file") : "";
  std::optional<Uri> place;
  if (!named.empty()) place = Uri::parse(named);
  if (!place && !rows.labelled()) place = labels_beside(uri);
  if (!place) return rows;
  std::vector<Parsed> parsed;
  ReadOptions how{.what = place->display(), .options = format_options()};
  parsed.push_back(read_file(*place, {}, how, sources != nullptr));
  take_notes(parsed, how.what, sources);
  return with_labels_of(rows, parsed[0].dataset, options.what, how.what);
}

/// A folder, or what is under a prefix of a store.
Dataset read_folder(const Uri& uri, const Choice& choice, const ReadOptions& options,
                    std::string_view format, std::vector<SourceFile>* sources) {
  const std::shared_ptr<storage::Storage> store = storage::open(uri);
  if (const std::optional<Manifest> manifest = load_manifest(*store)) {
    if (choice.plugin != nullptr && choice.plugin->name != manifest->format)
      fail(Code::invalid_argument, "reading {}: its parts are of the format {}, not {}",
           options.what, manifest->format, format);
    const Dataset whole = read_prepared(*store, *manifest, options.threads, options.what);
    if (options.features == 0 && options.tensors.empty())
      require_weights(WeightColumn(options.options), manifest->weights > 0, options.what);
    return choice.form == Form::automatic ? whole : in_form(whole, choice.form);
  }
  if (std::optional<Dataset> set = read_files_of_a_set(*store, choice, options, sources))
    return *set;
  if (const std::size_t n = count_bare_parts(*store, options.what))
    return in_form(read_bare_parts(*store, n, choice, options, sources), choice.form);
  if (std::optional<Dataset> set = read_set_of_folder(uri, choice.plugin, options, sources))
    return *set;
  const Files files = files_of_folder(uri);
  if (files.entries.empty())
    fail(Code::not_found,
         "reading {}: there is no such file, nor a folder with parts {{i}}_{{n}} as `lambdaml data "
         "split` makes them",
         options.what);
  return read_files(files, choice, options, sources);
}

/// The inputs of a model; CIFAR-10's rows of features are images for files of images.
std::vector<TensorShape> tensors_of(const Learned& model) {
  if (!model.tensors.empty() || model.features != kImageValues) return model.tensors;
  return {{"image", Element::uint8, {kImageColours, kImageSide, kImageSide}}};
}

/// What read() does for one place; `model` has features if rows are read for one.
Dataset read_place(const Learned& model, const Uri& uri, std::string_view format,
                   std::size_t threads, std::vector<SourceFile>* sources,
                   const Options& format_options, bool is_of_several) {
  const Choice choice = choose_format(format, format_options);
  const ReadOptions options{.what = uri.display(),
                            .form = choice.form,
                            .threads = threads,
                            .options = format_options,
                            .features = model.features,
                            .names = model.names,
                            .tensors = tensors_of(model),
                            .is_of_several = is_of_several};
  const std::optional<std::filesystem::path> path = storage::local_file(uri);
  if (path && std::filesystem::is_character_file(*path) && *path != "/dev/stdin")
    fail(Code::invalid_argument, "reading {}: it is a device and no file", uri.display());
  if (!uri.name().empty()) {
    const storage::Object object = storage::open_object(uri);
    if (std::optional<Buffer> content = object.store->load(object.key)) {
      std::vector<Parsed> parsed;
      parsed.push_back(parse(std::move(*content), choice, options, sources != nullptr));
      require_rows(parsed[0].dataset, options.what);
      take_notes(parsed, options.what, sources);
      return with_labels_file(parsed[0].dataset, uri, options, sources);
    }
    if (const Files files = files_of_pattern(uri); !files.entries.empty()) {
      ReadOptions in_folder = options;
      in_folder.what = files.folder;
      return read_files(files, choice, in_folder, sources);
    }
    // Rows and labels in two files.
    const Uri rows = uri / "X.npy";
    if (const storage::Object inside = storage::open_object(rows); inside.store->exists(inside.key))
      return read_place(model, rows, format, threads, sources, format_options, is_of_several);
  }
  return read_folder(uri, choice, options, format, sources);
}

Dataset read_all(const Learned& model, const Places& places, std::string_view format,
                 std::size_t threads, std::vector<SourceFile>* sources,
                 const Options& format_options) {
  if (!places.several())
    return read_place(model, places.uris[0], format, threads, sources, format_options, false);
  std::vector<Dataset> parts;
  std::vector<std::string> names;
  Learned known = model;
  for (const Uri& uri : places.uris) {
    parts.push_back(read_place(known, uri, format, threads, sources, format_options, true));
    names.push_back(uri.display());
    if (!known.names) known.names = parts[0].names;
  }
  return filled(in_form(concatenate_named(std::move(parts), names),
                        choose_format(format, format_options).form),
                format_options, places.display());
}

}  // namespace

std::vector<storage::Entry> bare_parts(storage::Storage& store) {
  std::vector<storage::Entry> parts;
  for (const char* digit : {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"})
    for (storage::Entry& entry : store.list(digit))
      if (parse_part_key(entry.key)) parts.push_back(std::move(entry));
  return parts;
}

std::string part_key(std::size_t i, std::size_t n) { return fmt::format("{}_{}", i, n); }

Dataset read(const Places& places, std::string_view format, std::size_t threads,
             std::vector<SourceFile>* files, const Options& format_options) {
  return log::warn_unless_refused([&] {
    Dataset out = read_all({}, places, format, threads, files, format_options);
    if (WeightColumn(format_options).is_refused) out.weights = {};
    require_positive_weights(out, places.display());
    return out;
  });
}

Dataset read_for(const Learned& model, const Places& places, std::string_view format,
                 std::size_t threads, std::vector<SourceFile>* files,
                 const Options& format_options) {
  return log::warn_unless_refused([&] {
    Dataset out = align(read_all(model, places, format, threads, files, format_options), model,
                        places.display());
    out.weights = {};
    return out;
  });
}

}  // namespace lambdaml::data
