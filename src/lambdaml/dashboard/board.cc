#include "lambdaml/dashboard/board.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "lambdaml/base/checksum.h"
#include "lambdaml/base/json.h"

namespace lambdaml::dashboard {

using nlohmann::ordered_json;

namespace {

constexpr double kAttention_s = 15;
/// Lines of epochs of one job that wait for the pages; of more, the page reads the whole job.
constexpr std::size_t kMostEpochBytes = 512 << 10;

/// The same for every process, so that an address of the page stays good.
std::string id_of(const Place& place) {
  return fmt::format("{:016x}", checksum(as_bytes(place.where)));
}

}  // namespace

struct Board::Entry {
  Place place;
  ordered_json row;
};

Board::Board() : looked_at_until_(Deadline::in(0)) {}
Board::~Board() = default;

std::string Board::put(const Place& place, const ordered_json& row, const std::string& epochs) {
  std::string id = id_of(place);
  {
    const std::lock_guard lock(mutex_);
    Entry& entry = entries_[id];
    entry.place = place;
    entry.row = row;
    entry.row["id"] = id;
    changed_.insert(id);
    removed_.erase(id);
  }
  add_epochs(id, epochs);
  return id;
}

void Board::add_epochs(const std::string& id, const std::string& epochs) {
  if (epochs.empty()) return;
  const std::lock_guard lock(mutex_);
  std::string& waiting = epochs_[id];
  if (waiting.size() + epochs.size() > kMostEpochBytes) waiting.clear();
  waiting += (waiting.empty() ? "" : ",") + epochs;
}

void Board::remove(const std::string& id) {
  const std::lock_guard lock(mutex_);
  entries_.erase(id);
  epochs_.erase(id);
  changed_.erase(id);
  removed_.insert(id);
}

void Board::note(const std::string& where, const std::string& text) {
  const std::lock_guard lock(mutex_);
  std::string& before = notes_[where];
  notes_changed_ = notes_changed_ || before != text;
  before = text;
}

void Board::amend(const std::string& id, const ordered_json& members) {
  const std::lock_guard lock(mutex_);
  const auto entry = entries_.find(id);
  if (entry == entries_.end()) return;
  entry->second.row.update(members);
  changed_.insert(id);
}

std::optional<Place> Board::find(const std::string& id) const {
  const std::lock_guard lock(mutex_);
  const auto entry = entries_.find(id);
  return entry == entries_.end() ? std::nullopt : std::optional(entry->second.place);
}

ordered_json Board::row(const std::string& id) const {
  const std::lock_guard lock(mutex_);
  const auto entry = entries_.find(id);
  return entry == entries_.end() ? ordered_json() : entry->second.row;
}

std::vector<ordered_json> Board::rows() const {
  const std::lock_guard lock(mutex_);
  std::vector<ordered_json> out;
  for (const auto& [id, entry] : entries_) out.push_back(entry.row);
  return out;
}

std::string Board::notes_json() const {
  ordered_json out = ordered_json::array();
  for (const auto& [where, text] : notes_)
    if (!text.empty()) out.push_back(text);
  return json_text(out);
}

std::string Board::all() const {
  const std::lock_guard lock(mutex_);
  std::string rows;
  for (const auto& [id, entry] : entries_) rows += (rows.empty() ? "" : ",") + json_text(entry.row);
  return fmt::format(R"({{"rows":[{}],"notes":{}}})", rows, notes_json());
}

std::string Board::news() {
  const std::lock_guard lock(mutex_);
  if (changed_.empty() && epochs_.empty() && removed_.empty() && !notes_changed_) return {};
  std::string rows, epochs;
  for (const std::string& id : changed_)
    rows += (rows.empty() ? "" : ",") + json_text(entries_.at(id).row);
  for (const auto& [id, lines] : epochs_)
    epochs += fmt::format(R"({}"{}":[{}])", epochs.empty() ? "" : ",", id, lines);
  std::string out = fmt::format(R"({{"rows":[{}],"epochs":{{{}}},"removed":{})", rows, epochs,
                                json_text(ordered_json(removed_)));
  if (notes_changed_) out += ",\"notes\":" + notes_json();
  changed_.clear();
  epochs_.clear();
  removed_.clear();
  notes_changed_ = false;
  return out + "}";
}

void Board::look() {
  const std::lock_guard lock(mutex_);
  looked_at_until_ = Deadline::in(kAttention_s);
}

bool Board::is_looked_at() const {
  const std::lock_guard lock(mutex_);
  return !looked_at_until_.passed();
}

}  // namespace lambdaml::dashboard
