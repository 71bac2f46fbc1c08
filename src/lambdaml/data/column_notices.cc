#include "lambdaml/data/column_notices.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>

#include "lambdaml/base/log.h"
#include "lambdaml/base/text.h"
#include "lambdaml/data/scaling.h"

namespace lambdaml::data {

std::optional<std::string> notice_of_constants(const std::string& what, std::uint64_t rows,
                                               const std::vector<std::string>& columns) {
  constexpr std::uint64_t kFewRows = 10;
  constexpr std::size_t kShown = 5;
  if (columns.empty() || rows < kFewRows) return {};
  std::string shown;
  for (std::size_t i = 0; i < std::min(kShown, columns.size()); ++i)
    shown += (i > 0 ? ", " : "") + columns[i];
  if (columns.size() > kShown) shown += fmt::format(" and {} more", columns.size() - kShown);
  return fmt::format(
      "{}: {} same value in all {} rows, so nothing is learned from {}: {}; remove {}, or check "
      "how the data were made",
      what, columns.size() == 1 ? "a column has the" : "columns have the", human_count(rows),
      columns.size() == 1 ? "it" : "them", shown, columns.size() == 1 ? "it" : "them");
}

std::optional<std::string> notice_of_texts(const std::string& what, std::uint64_t rows,
                                           const Names* names) {
  constexpr std::size_t kManyTexts = 20;
  constexpr std::size_t kShown = 5;
  if (names == nullptr) return {};
  std::unordered_map<std::string_view, std::size_t> texts;
  std::vector<std::string_view> columns;  // in the order of the table
  for (const std::string_view feature : names->features)
    if (const std::size_t at = feature.find('='); at != std::string_view::npos)
      if (texts[feature.substr(0, at)]++ == 0) columns.push_back(feature.substr(0, at));
  std::string told;
  std::size_t count = 0;
  for (const std::string_view column : columns) {
    const std::size_t different = texts[column];
    if (different < kManyTexts || different * 2 <= rows) continue;
    if (++count <= kShown)
      told += fmt::format("{}'{}' ({})", count > 1 ? ", " : "", printable(column, 60),
                          human_count(different));
  }
  if (count == 0) return {};
  if (count > kShown) told += fmt::format(" and {} more", count - kShown);
  return fmt::format(
      "{}: texts that hardly occur twice in {} rows are a feature each, from which little is "
      "learned: {}; remove {}, or write numbers without units",
      what, human_count(rows), told, count == 1 ? "the column" : "these columns");
}

std::vector<std::string> column_notices(const std::string& what, const Dataset& rows) {
  const Names* const names = rows.names.get();
  std::vector<std::string> constants;
  for (const auto& [column, value] : constant_columns(rows))
    constants.push_back(column_text(names, column));
  std::vector<std::string> out;
  for (auto& notice : {notice_of_constants(what, rows.rows(), constants),
                       notice_of_texts(what, rows.rows(), names)})
    if (notice) out.push_back(*notice);
  return out;
}

void warn_of_columns(const std::string& what, const Dataset& rows) {
  for (const std::string& notice : column_notices(what, rows)) log::warn_once(notice);
}

std::string column_text(const Names* names, std::size_t column) {
  if (names != nullptr && column < names->features.size())
    return fmt::format("'{}'", printable(names->features[column], 60));
  return fmt::format("feature {}", column + 1);
}

}  // namespace lambdaml::data
