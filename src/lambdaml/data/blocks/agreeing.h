#pragma once

#include <algorithm>
#include <cstdint>
#include <exception>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"

/// What the texts of findings and agreements share; for findings.cc and agreement.cc.
namespace lambdaml::data::agreeing {

inline void earlier(std::optional<std::uint64_t>& first, std::uint64_t block) {
  first = std::min(first.value_or(block), block);
}
inline void earlier(std::optional<std::uint64_t>& first,
                    const std::optional<std::uint64_t>& other) {
  if (other) earlier(first, *other);
}

/// Takes the first block of each into `all`.
inline void earlier(std::map<std::string, std::uint64_t>& all,
                    const std::map<std::string, std::uint64_t>& others) {
  for (const auto& [key, block] : others) {
    const auto [at, is_new] = all.emplace(key, block);
    if (!is_new) at->second = std::min(at->second, block);
  }
}

/// Columns that are constant in all rows: those that are so in both, with the same value.
template <class Column>
void keep_common(std::optional<std::map<Column, float>>& all,
                 const std::map<Column, float>& others) {
  if (!all) {
    all = others;
    return;
  }
  std::erase_if(*all, [&](const auto& entry) {
    const auto at = others.find(entry.first);
    return at == others.end() || at->second != entry.second;
  });
}

template <class T>
nlohmann::json list_of(const std::vector<T>& values) {
  nlohmann::json out = nlohmann::json::array();
  for (const T& value : values) out.push_back(value);
  return out;
}

/// Throws json::type_error unless it is a list of whole numbers.
inline std::vector<std::uint64_t> whole_numbers(const nlohmann::json& list) {
  std::vector<std::uint64_t> out;
  for (const nlohmann::json& value : list) out.push_back(whole_number(value));
  return out;
}

template <class Make>
auto from_text(std::string_view text, const std::string& what, const Make& make) {
  try {
    return make(parse_json(text));
  } catch (const std::exception& error) {
    fail(Code::data_corrupt, "{}: it is not what workers agree by: {}", what, error.what());
  }
}

}  // namespace lambdaml::data::agreeing
