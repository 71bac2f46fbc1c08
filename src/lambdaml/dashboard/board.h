#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "lambdaml/base/deadline.h"
#include "lambdaml/dashboard/places.h"

namespace lambdaml::dashboard {

/// What the watchers have read, and what of it the pages have not yet been told. Rows are known by
/// their ids, so that a page never names a path. Thread-safe.
class Board {
 public:
  Board();
  ~Board();

  /// Adds or replaces a row. `epochs`: new lines of its metrics, joined by commas.
  std::string put(const Place& place, const nlohmann::ordered_json& row, const std::string& epochs);
  /// Only new lines.
  void add_epochs(const std::string& id, const std::string& epochs);
  void remove(const std::string& id);
  /// What is to be said about a place as a whole; empty: nothing.
  void note(const std::string& where, const std::string& text);
  /// Adds members to a row that the watchers know nothing of, until it is read the next time.
  void amend(const std::string& id, const nlohmann::ordered_json& members);

  std::optional<Place> find(const std::string& id) const;
  /// The row with its id; null if there is none.
  nlohmann::ordered_json row(const std::string& id) const;
  /// All rows, as JSON: {"rows": [...], "notes": [...]}.
  std::string all() const;
  std::vector<nlohmann::ordered_json> rows() const;
  /// What changed since the last call, as JSON: {"rows": [...], "epochs": {id: [...]}, "removed":
  /// [ids], "notes": [...] if they changed}; empty if nothing did. The epochs come before the row
  /// that is of a later time.
  std::string news();

  /// Somebody looks now: the watchers go on for some seconds.
  void look();
  bool is_looked_at() const;

 private:
  struct Entry;
  std::string notes_json() const;

  mutable std::mutex mutex_;
  std::map<std::string, Entry> entries_;
  std::map<std::string, std::string> notes_;
  std::map<std::string, std::string> epochs_;  ///< not yet told, by id
  std::set<std::string> changed_, removed_;
  bool notes_changed_ = false;
  Deadline looked_at_until_;
};

}  // namespace lambdaml::dashboard
