#include "lambdaml/dashboard/places.h"

#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/secrets.h"
#include "lambdaml/base/uri.h"
#include "lambdaml/control/job_record.h"
#include "lambdaml/storage/registry.h"

namespace lambdaml::dashboard {
namespace {

namespace fs = std::filesystem;

constexpr const char* kRunFile = "run.json";
constexpr const char* kSearchFile = "search.json";

std::optional<Place::Kind> kind_of(const fs::path& folder) {
  std::error_code error;
  if (fs::exists(folder / kRunFile, error) || fs::exists(folder / control::record::kJob, error))
    return Place::Kind::run;
  if (fs::exists(folder / kSearchFile, error)) return Place::Kind::search;
  // What is left of a damaged run is shown, as in reports.
  for (const char* name : {control::record::kMetrics, control::record::kSummary})
    if (fs::exists(folder / name, error)) return Place::Kind::run;
  return {};
}

void find_in_folder(const fs::path& folder, Found& found) {
  if (const auto kind = kind_of(folder)) {
    found.places.push_back({*kind, folder.string()});
    return;
  }
  std::error_code error;
  if (!fs::is_directory(folder, error)) {
    found.note = fmt::format("{}: {}", utf8_path(folder.string()),
                             fs::exists(folder, error) ? "it is no folder, run or search"
                                                       : "there is no such folder yet");
    return;
  }
  for (const auto& entry : fs::directory_iterator(folder, error))
    if (const auto kind = kind_of(entry.path()))
      found.places.push_back({*kind, entry.path().string()});
  if (error) found.note = fmt::format("{}: {}", utf8_path(folder.string()), error.message());
}

/// The part of a key before that last part; nullopt if it has another one. Empty for the key
/// itself.
std::optional<std::string> folder_of_key(const std::string& key, std::string_view name) {
  if (key == name) return "";
  const std::string tail = "/" + std::string(name);
  if (!key.ends_with(tail)) return {};
  return key.substr(0, key.size() - tail.size());
}

void find_in_store(const Uri& uri, Found& found) {
  found.remote = true;
  std::vector<std::string> runs, searches;
  for (const storage::Entry& entry : storage::open(uri)->list("")) {
    if (auto folder = folder_of_key(entry.key, control::record::kJob))
      runs.push_back(std::move(*folder));
    else if (auto search = folder_of_key(entry.key, kSearchFile))
      searches.push_back(std::move(*search));
  }
  const auto text_of = [&](const std::string& folder) {
    return folder.empty() ? uri.text() : (uri / folder).text();
  };
  for (const std::string& search : searches)
    found.places.push_back({Place::Kind::search, text_of(search)});
  // The jobs of a search's trials belong to it.
  for (const std::string& run : runs)
    if (std::ranges::none_of(searches, [&](const std::string& search) {
          return search.empty() || run.starts_with(search + "/");
        }))
      found.places.push_back({Place::Kind::run, text_of(run)});
}

std::string name_of(const Place& place) {
  return place.where.substr(place.where.find_last_of('/') + 1);
}

}  // namespace

Found find_places(const std::string& where) noexcept {
  Found found;
  try {
    const Uri uri = Uri::parse(where);
    if (const std::optional<fs::path> path = storage::local_file(uri))
      find_in_folder(*path, found);
    else
      find_in_store(uri, found);
  } catch (const std::exception& error) {
    found.note = redacted(error.what());
  }
  // Names of jobs begin with their date.
  std::ranges::sort(found.places, std::greater(), name_of);
  if (found.places.size() > kMostPlaces) {
    found.note = fmt::format("{}: the newest {} of {} are shown", without_secrets(where),
                             kMostPlaces, found.places.size());
    found.places.resize(kMostPlaces);
  }
  return found;
}

}  // namespace lambdaml::dashboard
