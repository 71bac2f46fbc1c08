#include "lambdaml/data/blocks/stored_files.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>

#include "lambdaml/base/error.h"
#include "lambdaml/base/parallel.h"
#include "lambdaml/data/blocks/block_source.h"
#include "lambdaml/data/files.h"
#include "lambdaml/data/folder.h"
#include "lambdaml/data/prepared.h"
#include "lambdaml/data/registry.h"
#include "lambdaml/storage/registry.h"

namespace lambdaml::data {
namespace {

/// Enough to tell of which format a file is, and whether it is compressed.
constexpr std::uint64_t kHead = 4 << 10;

std::optional<std::uint64_t> size_of(storage::Storage& store, const Uri& folder,
                                     const std::string& key) {
  if (const std::optional<std::filesystem::path> path = storage::local_file(folder)) {
    std::error_code error;
    const std::filesystem::path file = *path / key;
    if (!std::filesystem::is_regular_file(file, error)) return {};
    return std::filesystem::file_size(file, error);
  }
  for (const storage::Entry& entry : store.list(key))
    if (entry.key == key) return entry.bytes;
  return {};
}

std::vector<StoredFile> listed(const Files& files, const Uri& folder) {
  std::vector<StoredFile> out;
  for (const storage::Entry& entry : files.entries)
    if (entry.bytes > 0) out.push_back({folder.text(), entry.key, entry.bytes});
  return out;
}

/// Whether a file of that name has its labels in a file beside.
bool has_labels_beside(const Uri& uri) {
  return std::ranges::any_of(registry().entries(), [&](const Plugin& plugin) {
    return plugin.labels_beside && !plugin.labels_beside(uri.name()).empty();
  });
}

bool has_files_of_a_format(storage::Storage& store) {
  return std::ranges::any_of(registry().entries(), [&](const Plugin& plugin) {
    return !plugin.files_of_a_set.begin.empty() && !store.list(plugin.files_of_a_set.begin).empty();
  });
}

std::optional<std::vector<StoredFile>> files_at(const Uri& uri, const Choice& choice) {
  if (const auto path = storage::local_file(uri)) {
    std::error_code error;
    if (std::filesystem::exists(*path, error) && !std::filesystem::is_regular_file(*path, error) &&
        !std::filesystem::is_directory(*path, error))
      return {};
  }
  if (has_labels_beside(uri)) return {};
  if (!uri.name().empty()) {
    const Uri folder = uri.parent();
    const storage::Object object = storage::open_object(uri);
    if (const auto bytes = size_of(*object.store, folder, object.key))
      return std::vector<StoredFile>{{folder.text(), object.key, *bytes}};
    if (const Files files = files_of_pattern(uri); !files.entries.empty())
      return listed(files, folder);
  }
  const std::shared_ptr<storage::Storage> store = storage::open(uri);
  if (store->exists("X.npy") || load_manifest(*store) || has_files_of_a_format(*store) ||
      !bare_parts(*store).empty() || is_set_of_folder(uri, choice.plugin))
    return {};
  const Files files = files_of_folder(uri);
  if (files.entries.empty())
    fail(Code::not_found, "reading {}: there is no such file, nor a folder with files",
         uri.display());
  return listed(files, uri);
}

}  // namespace

std::optional<std::vector<StoredFile>> stored_files(const Places& places, std::string_view format,
                                                    const Options& options) {
  const Choice choice = choose_format(format, options);
  std::vector<StoredFile> out;
  for (const Uri& uri : places.uris) {
    std::optional<std::vector<StoredFile>> files = files_at(uri, choice);
    if (!files) return {};
    std::ranges::move(*files, std::back_inserter(out));
  }
  if (out.empty()) return {};
  return out;
}

std::vector<std::string> complete(BlockPlan& plan, std::size_t threads) {
  std::map<std::string, std::shared_ptr<storage::Storage>> stores;
  for (const StoredFile& file : plan.files)
    if (!stores.contains(file.folder)) stores[file.folder] = storage::open(file.folder);
  std::vector<FileHead> heads(plan.files.size());
  parallel_for(plan.files.size(), threads, [&](std::size_t i) {
    const StoredFile& file = plan.files[i];
    heads[i] = head_of(*stores.at(file.folder), file, kHead);
  });
  const StoredFile& first = plan.files.front();
  const Choice choice = choose_format(plan.format, plan.options);
  const Plugin& plugin = plugin_for(heads.front().bytes, choice, first.display());
  tell_of_unused(plugin, plan.options);
  // `dense_libsvm` says more than the plug-in's name.
  if (choice.plugin == nullptr) plan.format = plugin.name;
  for (std::size_t i = 0; i < plan.files.size(); ++i)
    plan.files[i].can_be_cut &= plugin.blocks != nullptr && !heads[i].is_compressed;
  if (!plugin.blocks) return {};
  const BlockSource::Open open = [&](const std::string& uri) { return stores.at(uri); };
  for (std::size_t i = 0; i < plan.files.size(); ++i) {
    plan.first_with_rows = i;
    // A file with a header alone does not say what its columns are.
    const BlockSource source(plan, open);
    if (!heads[i].is_all || source.reader()->first_row() < heads[i].bytes.size())
      return source.reader()->notices();
  }
  fail(Code::data_corrupt, "reading {}: the data set is empty; give one with rows",
       first.display());
}

}  // namespace lambdaml::data
