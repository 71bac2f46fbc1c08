#include "lambdaml/deploy/schedule.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <vector>

#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"

namespace lambdaml::deploy {
namespace {

[[noreturn]] void refuse(std::string_view text, const std::string& why) {
  fail(Code::invalid_argument,
       "--schedule '{}': {}; give rate(1 day) or, in UTC, cron(MINUTES HOURS DAY-OF-MONTH MONTH "
       "DAY-OF-WEEK YEAR), as in cron(0 3 * * ? *)",
       printable(text), why);
}

struct Field {
  const char* name;
  int least, most;
  std::vector<std::string_view> names = {};  ///< of the values from `least` on
  bool is_day = false;                       ///< takes ? and L
};

const std::array<Field, 6>& fields() {
  static const std::array<Field, 6> all = {
      {{"minutes", 0, 59},
       {"hours", 0, 23},
       {"day of month", 1, 31, {}, true},
       {"month",
        1,
        12,
        {"JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"}},
       {"day of week", 1, 7, {"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"}, true},
       {"year", 1970, 2199}}};
  return all;
}

std::optional<int> value_of(const Field& field, std::string_view text) {
  const auto named = std::ranges::find(field.names, text);
  if (named != field.names.end())
    return field.least + static_cast<int>(named - field.names.begin());
  const std::optional<std::int64_t> number = to_integer(text);
  const bool has_digits_only =
      !text.empty() && text.size() <= 4 &&
      std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
  if (!has_digits_only || !number || *number < field.least || *number > field.most) return {};
  return static_cast<int>(*number);
}

/// 5, 5-9, *, each of them with /2, and for days ?, L, 15W, FRI#2, FRIL.
bool is_part(const Field& field, std::string_view part) {
  if (const std::size_t slash = part.find('/'); slash != std::string_view::npos) {
    const std::optional<std::int64_t> step = to_integer(part.substr(slash + 1));
    if (!step || *step < 1 || *step > field.most) return false;
    part = part.substr(0, slash);
    if (part.find('?') != std::string_view::npos) return false;
  }
  if (part == "*") return true;
  if (const std::size_t dash = part.find('-'); dash != std::string_view::npos) {
    const auto from = value_of(field, part.substr(0, dash));
    const auto to = value_of(field, part.substr(dash + 1));
    return from && to && *from <= *to;
  }
  if (field.is_day) {
    const bool of_month = field.most == 31;
    if (part == "L") return true;
    if (of_month && part == "LW") return true;
    if (of_month && part.ends_with("W"))
      return value_of(field, part.substr(0, part.size() - 1)).has_value();
    if (!of_month && part.size() > 1 && part.ends_with("L"))
      return value_of(field, part.substr(0, part.size() - 1)).has_value();
    if (const std::size_t mark = part.find('#'); !of_month && mark != std::string_view::npos) {
      const std::optional<std::int64_t> which = to_integer(part.substr(mark + 1));
      return value_of(field, part.substr(0, mark)) && which && *which >= 1 && *which <= 5;
    }
  }
  return value_of(field, part).has_value();
}

void check_cron(std::string_view text, std::string_view inner) {
  std::vector<std::string> given;
  for (const std::string& word : split(inner, ' '))
    if (!word.empty()) given.push_back(word);
  if (given.size() != fields().size())
    refuse(text, fmt::format("cron has 6 fields, this has {}", given.size()));
  for (std::size_t i = 0; i < given.size(); ++i) {
    const Field& field = fields()[i];
    if (field.is_day && given[i] == "?") continue;
    for (const std::string& part : split(given[i], ','))
      if (!is_part(field, part))
        refuse(text, fmt::format("'{}' is no {} (from {} to {})", printable(given[i], 40),
                                 field.name, field.least, field.most));
  }
  if ((given[2] == "?") == (given[4] == "?"))
    refuse(text, "one of day of month and day of week must be ?, and not both");
}

void check_rate(std::string_view text, std::string_view inner) {
  std::vector<std::string> words;
  for (const std::string& word : split(inner, ' '))
    if (!word.empty()) words.push_back(word);
  const std::optional<std::int64_t> number =
      words.size() == 2 ? to_integer(words[0]) : std::optional<std::int64_t>();
  if (!number || *number < 1 || *number > 1'000'000) refuse(text, "a rate is a number and a unit");
  std::string unit = words[1];
  const bool is_plural = unit.ends_with("s");
  if (is_plural) unit.pop_back();
  if (unit != "minute" && unit != "hour" && unit != "day")
    refuse(text, "the unit of a rate is minutes, hours or days");
  if (is_plural != (*number != 1))
    refuse(text, fmt::format("{} is written with {}", *number, *number == 1 ? unit : unit + "s"));
}

}  // namespace

void check_schedule(std::string_view text) {
  const auto inner = [&](std::string_view word) -> std::optional<std::string_view> {
    if (!text.starts_with(word) || !text.ends_with(")")) return {};
    return text.substr(word.size(), text.size() - word.size() - 1);
  };
  if (text.size() > 256) refuse(text.substr(0, 40), "it is longer than 256 characters");
  if (const auto cron = inner("cron(")) return check_cron(text, *cron);
  if (const auto rate = inner("rate(")) return check_rate(text, *rate);
  refuse(text, text.starts_with("at(") ? "a rule has no single times (EventBridge Scheduler does)"
                                       : "it is neither");
}

}  // namespace lambdaml::deploy
