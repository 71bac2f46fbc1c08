#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

namespace lambdaml::dashboard {

/// A job or a search that is there to be shown.
struct Place {
  enum class Kind { run, search };
  Kind kind = Kind::run;
  std::string where;  ///< as report::Source::open() takes it
  auto operator<=>(const Place&) const = default;
};

/// More are not shown; the newest are, by their names.
inline constexpr std::size_t kMostPlaces = 2000;

struct Found {
  std::vector<Place> places;  ///< the newest first
  std::string note;           ///< what could not be read or shown; empty: nothing
  bool remote = false;        ///< reading costs requests to a service
};

/// The jobs and searches in a folder of runs, below a checkpoint URI, or `where` itself if it is
/// one. A store is listed once. Never throws: what the stores throw becomes the note.
Found find_places(const std::string& where) noexcept;

}  // namespace lambdaml::dashboard
