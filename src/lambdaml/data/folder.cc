#include "lambdaml/data/folder.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <mutex>

#include "lambdaml/base/checksum.h"
#include "lambdaml/base/option_sets.h"
#include "lambdaml/data/prepared.h"
#include "lambdaml/storage/registry.h"

namespace lambdaml::data {
namespace {

/// Of files in the folder and in those in it, without hidden ones.
std::vector<std::string> keys_of(storage::Storage& store, const Uri& uri) {
  std::vector<std::string> out;
  const auto add = [&](const std::string& key) {
    const std::size_t slash = key.find('/');
    const bool is_hidden = key[0] == '.' || (slash != std::string::npos && key[slash + 1] == '.');
    const bool is_deep =
        slash != std::string::npos && key.find('/', slash + 1) != std::string::npos;
    if (!is_hidden && !is_deep && storage::is_valid_key(key)) out.push_back(key);
  };
  // A list of a store of files goes through all folders below.
  if (const std::optional<std::filesystem::path> path = storage::local_file(uri)) {
    const auto files_in = [&](const std::filesystem::path& folder, const std::string& prefix,
                              const auto& folder_inside) -> void {
      std::error_code error;
      for (std::filesystem::directory_iterator at(folder, error), end; !error && at != end;
           at.increment(error)) {
        const std::string name = prefix + at->path().filename().string();
        std::error_code ignored;
        if (at->is_regular_file(ignored)) add(name);
        if (at->is_directory(ignored)) folder_inside(at->path(), name + "/");
      }
    };
    const auto no_deeper = [](const std::filesystem::path&, const std::string&) {};
    files_in(*path, "", [&](const std::filesystem::path& inside, const std::string& prefix) {
      files_in(inside, prefix, no_deeper);
    });
  } else {
    for (const storage::Entry& entry : store.list("")) add(entry.key);
  }
  std::sort(out.begin(), out.end());
  return out;
}

/// The plug-in of which the files are a set; null if there is none. `chosen`: null for any.
const Plugin* plugin_of(const std::vector<std::string>& keys, const Plugin* chosen) {
  for (const Plugin& plugin : registry().entries())
    if (plugin.is_folder && (chosen == nullptr || chosen == &plugin) && plugin.is_folder(keys))
      return &plugin;
  return nullptr;
}

}  // namespace

bool is_set_of_folder(const Uri& uri, const Plugin* chosen) {
  return plugin_of(keys_of(*storage::open(uri), uri), chosen) != nullptr;
}

std::optional<Dataset> read_set_of_folder(const Uri& uri, const Plugin* chosen,
                                          const ReadOptions& options,
                                          std::vector<SourceFile>* sources) {
  const std::shared_ptr<storage::Storage> store = storage::open(uri);
  FolderFiles files{keys_of(*store, uri), {}};
  const Plugin* const plugin = plugin_of(files.keys, chosen);
  if (plugin == nullptr) return {};
  std::mutex mutex;
  std::map<std::string, Content> contents;
  files.load = [&](const std::string& key) {
    Buffer bytes = load_part(*store, key);
    if (sources == nullptr) return bytes;
    const Content content = content_of(bytes);
    const std::lock_guard lock(mutex);
    contents[key] = content;
    return bytes;
  };
  ReadOptions how = options;
  how.options = with_values_of(plugin->options, options.options);
  Dataset out = plugin->read_folder(files, how);
  if (sources == nullptr) return out;
  Content all;
  RunningChecksum sum;
  for (const auto& [key, content] : contents) {
    all.bytes += content.bytes;
    sum.add(as_bytes(key));
    sum.add(std::as_bytes(std::span(&content.checksum, 1)));
  }
  all.checksum = sum.value();
  sources->push_back({options.what, all});
  return out;
}

}  // namespace lambdaml::data
