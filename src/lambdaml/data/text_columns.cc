#include "lambdaml/data/text_columns.h"

#include <string_view>
#include <unordered_map>
#include <vector>

#include "lambdaml/base/log.h"
#include "lambdaml/base/text.h"

namespace lambdaml::data {

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

void warn_of_texts(const std::string& what, const Dataset& rows) {
  if (const auto notice = notice_of_texts(what, rows.rows(), rows.names.get()))
    log::warn_once(*notice);
}

}  // namespace lambdaml::data
