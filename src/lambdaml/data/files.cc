#include "lambdaml/data/files.h"

#include <algorithm>
#include <filesystem>

#include <fnmatch.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"
#include "lambdaml/data/compression/compression.h"
#include "lambdaml/storage/registry.h"

namespace lambdaml::data {
namespace {

constexpr std::string_view kPattern = "*?[";

/// The keys that begin with `prefix`, not those of folders inside.
std::vector<storage::Entry> entries_of(storage::Storage& store, const Uri& folder,
                                       std::string_view prefix) {
  std::vector<storage::Entry> out;
  // A list of a store of files goes through all folders below.
  if (const std::optional<std::filesystem::path> path = storage::local_file(folder)) {
    std::error_code error;
    for (std::filesystem::directory_iterator at(*path, error), end; !error && at != end;
         at.increment(error)) {
      const std::string name = at->path().filename().string();
      std::error_code ignored;
      if (name.starts_with(prefix) && at->is_regular_file(ignored) && storage::is_valid_key(name))
        out.push_back({name, at->file_size(ignored)});
    }
  } else {
    for (storage::Entry& entry : store.list(prefix))
      if (entry.key.find('/') == std::string::npos) out.push_back(std::move(entry));
  }
  std::sort(out.begin(), out.end(),
            [](const storage::Entry& a, const storage::Entry& b) { return a.key < b.key; });
  return out;
}

bool is_hidden(const storage::Entry& entry) {
  return entry.key.starts_with('_') || entry.key.starts_with('.');
}

std::string kind_of(const storage::Entry& entry) {
  const std::string_view name = without_ending(entry.key);
  const std::size_t dot = name.rfind('.');
  return dot == std::string_view::npos ? "" : std::string(name.substr(dot));
}

}  // namespace

Files files_of_pattern(const Uri& uri) {
  const std::string pattern = uri.name();
  const std::size_t sign = pattern.find_first_of(kPattern);
  if (sign == std::string::npos) return {};
  const Uri folder = uri.parent();
  Files out{storage::open(folder), {}, folder.display()};
  for (storage::Entry& entry : entries_of(*out.store, folder, pattern.substr(0, sign)))
    if (::fnmatch(pattern.c_str(), entry.key.c_str(), FNM_PERIOD) == 0)
      out.entries.push_back(std::move(entry));
  if (out.entries.empty())
    fail(Code::not_found, "reading {}: no file has such a name", uri.display());
  return out;
}

Files files_of_folder(const Uri& uri) {
  Files out{storage::open(uri), {}, uri.display()};
  out.entries = entries_of(*out.store, uri, "part-");
  if (!out.entries.empty()) return out;
  out.entries = entries_of(*out.store, uri, "");
  std::erase_if(out.entries, is_hidden);
  const auto other = std::find_if(
      out.entries.begin(), out.entries.end(),
      [&](const storage::Entry& entry) { return kind_of(entry) != kind_of(out.entries[0]); });
  if (other != out.entries.end())
    fail(Code::invalid_argument,
         "reading {}: files of several kinds lie there, such as {} and {}; name those of the data "
         "set by a pattern: {}/*{}",
         uri.display(), out.entries[0].key, other->key, uri.display(), kind_of(out.entries[0]));
  return out;
}

}  // namespace lambdaml::data
