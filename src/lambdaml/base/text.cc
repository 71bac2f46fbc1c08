#include "lambdaml/base/text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <iterator>
#include <optional>
#include <utility>

#include <fmt/core.h>

namespace lambdaml {
namespace {

/// Whether two keys lie side by side on a keyboard.
bool are_neighbours(char a, char b) {
  constexpr std::array<std::string_view, 4> kRows = {"1234567890", "qwertyuiop", "asdfghjkl",
                                                     "zxcvbnm"};
  const auto place_of = [&](char key) -> std::optional<std::pair<int, int>> {
    for (std::size_t row = 0; row < kRows.size(); ++row)
      if (const std::size_t at = kRows[row].find(key); at != std::string_view::npos)
        return std::pair(static_cast<int>(row), static_cast<int>(at));
    return {};
  };
  const auto at = place_of(a);
  const auto other = place_of(b);
  return at && other && std::abs(at->first - other->first) <= 1 &&
         std::abs(at->second - other->second) <= 1;
}

/// Edits that turn `a` into `b`: a letter more or less, two neighbours swapped, or another letter.
/// In a short word, another letter than that of a key beside it makes another word, and counts
/// twice: `adam` is not meant to be `admm`.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  const auto substitution = [&](char from, char to) -> std::size_t {
    if (from == to) return 0;
    return a.size() < 6 && !are_neighbours(from, to) ? 2 : 1;
  };
  std::vector<std::vector<std::size_t>> cost(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) cost[i][0] = i;
  for (std::size_t j = 0; j <= b.size(); ++j) cost[0][j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i)
    for (std::size_t j = 1; j <= b.size(); ++j) {
      cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1,
                             cost[i - 1][j - 1] + substitution(a[i - 1], b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
    }
  return cost.back().back();
}

char32_t code_point(std::string_view sequence) {
  if (sequence.size() == 1) return static_cast<unsigned char>(sequence[0]);
  auto code = static_cast<char32_t>(static_cast<unsigned char>(sequence[0]) &
                                    (0xFFU >> (sequence.size() + 1)));
  for (const char c : sequence.substr(1))
    code = code << 6 | (static_cast<unsigned char>(c) & 0x3FU);
  return code;
}

/// Control characters and characters that can disguise a line (the bidirectional "trojan source"
/// characters, line separators, the byte order mark, tags).
bool is_unprintable(char32_t c) {
  return c < 0x20 || (c >= 0x7F && c < 0xA0) || c == 0x061C || c == 0x200E || c == 0x200F ||
         (c >= 0x2028 && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069) || c == 0xFEFF ||
         (c >= 0xE0000 && c <= 0xE007F);
}

enum class Escape { line, text, json };

void append_escaped(std::string_view sequence, Escape how, std::string& out) {
  if (how != Escape::json) {
    for (const char c : sequence) out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    return;
  }
  const char32_t code = code_point(sequence);
  if (code < 0x10000) {
    out += fmt::format("\\u{:04x}", static_cast<unsigned>(code));
  } else {  // a pair of surrogates
    out += fmt::format("\\u{:04x}\\u{:04x}", 0xD7C0U + static_cast<unsigned>(code >> 10),
                       0xDC00U + static_cast<unsigned>(code & 0x3FFU));
  }
}

std::string escaped(std::string_view text, std::size_t limit, Escape how) {
  const auto is_plain = [](char c) { return c >= 0x20 && c < 0x7F; };
  if (text.size() <= limit && std::all_of(text.begin(), text.end(), is_plain))
    return std::string(text);
  std::string out;
  out.reserve(std::min(text.size(), limit) + 16);
  for (std::size_t at = 0; at < text.size();) {
    if (out.size() >= limit) return out + "…";
    const std::size_t length = utf8_length(text, at);
    const std::string_view sequence = text.substr(at, std::max<std::size_t>(length, 1));
    at += sequence.size();
    if (how == Escape::text && (sequence == "\n" || sequence == "\t"))
      out += sequence;
    else if (how == Escape::json && (sequence == "\n" || sequence == "\t" || sequence == "\r"))
      out += ' ';
    else if (length == 0 && how == Escape::json)
      out += "\\ufffd";
    else if (length == 0 || is_unprintable(code_point(sequence)))
      append_escaped(sequence, how, out);
    else
      out += sequence;
  }
  return out;
}

/// What other programs call it, by the name here: those are no slips of names that look alike.
struct CalledElsewhere {
  std::string_view name;
  std::string_view elsewhere;  ///< words with blanks between
};
constexpr std::array kCalledElsewhere = {
    CalledElsewhere{"epochs",
                    "max_epochs max_iter max_iters max_iterations n_iter num_iterations iterations "
                    "iters num_epochs num_train_epochs"},
    CalledElsewhere{"seed", "random_state random_seed manual_seed rng_seed"},
    CalledElsewhere{"lr",
                    "step_size stepsize eta eta0 learning_rate learning_rate_init "
                    "logistic_regression logistic logreg logit"},
    CalledElsewhere{
        "valid_ratio",
        "validation_split validation_fraction validation_ratio val_split valid_split val_ratio"},
    CalledElsewhere{"test_data", "validation_data val_data valid_data eval_data eval_set"},
    CalledElsewhere{"optim", "solver algorithm method"},
    CalledElsewhere{"optimizer", "solver"},
    CalledElsewhere{"l2", "weight_decay alpha l2_regularization reg_param"},
    CalledElsewhere{"batch_size", "batch minibatch_size mini_batch_size train_batch_size"},
    CalledElsewhere{"workers", "n_jobs num_jobs world_size nproc_per_node"},
    CalledElsewhere{"patience", "early_stopping early_stopping_rounds n_iter_no_change"},
    CalledElsewhere{"threshold", "tol tolerance"},
    CalledElsewhere{"clusters", "num_clusters n_centers n_components"},
    CalledElsewhere{"reduce", "sync synchronous bsp allreduce all_reduce"},
    CalledElsewhere{"async", "asynchronous asp hogwild"},
    CalledElsewhere{"linear", "linear_regression linreg ols ridge"},
    CalledElsewhere{"svm", "svc linear_svc linearsvc hinge"},
    CalledElsewhere{"kmeans", "k_means"},
    CalledElsewhere{"model_avg", "ma model_averaging local_sgd"},
    CalledElsewhere{"grad_avg", "ga gradient_averaging gradient_descent"},
};

/// The names among these for which other programs have another.
std::vector<std::string> known_elsewhere(std::string_view wanted,
                                         const std::vector<std::string>& names) {
  const auto plain = [](std::string_view name) {
    std::string out(name.substr(std::min(name.find_first_not_of('-'), name.size())));
    std::ranges::replace(out, '-', '_');
    return out;
  };
  const std::string called = plain(wanted);
  std::vector<std::string> out;
  for (const CalledElsewhere& known : kCalledElsewhere)
    if (std::ranges::count(split(known.elsewhere, ' '), called) > 0)
      std::ranges::copy_if(names, std::back_inserter(out),
                           [&](const std::string& name) { return plain(name) == known.name; });
  return out;
}

/// Whether `part` is the end of a name in several parts: workers, of num-workers.
bool is_last_part(std::string_view part, std::string_view name) {
  if (part.size() < 3 || part.size() >= name.size() || !name.ends_with(part)) return false;
  const char before = name[name.size() - part.size() - 1];
  return before == '-' || before == '_';
}

}  // namespace

std::vector<std::string> nearest(std::string_view wanted, const std::vector<std::string>& names) {
  if (std::vector<std::string> meant = known_elsewhere(wanted, names); !meant.empty()) return meant;
  // The dashes of flags would make any two alike.
  const auto bare = [](std::string_view name) {
    return name.substr(std::min(name.find_first_not_of('-'), name.size()));
  };
  wanted = bare(wanted);
  const std::size_t most = wanted.size() < 6 ? 1 : std::max<std::size_t>(2, wanted.size() / 3);
  std::vector<std::pair<std::size_t, std::string>> ranked;
  for (const std::string& known : names) {
    const std::string_view name = bare(known);
    // So a text of any length costs little: it cannot be near a much shorter name.
    const bool similar_length =
        wanted.size() <= name.size() + most && name.size() <= wanted.size() + most;
    const std::size_t distance = similar_length ? edit_distance(wanted, name) : most + 1;
    const bool starts_alike =
        wanted.size() >= 3 && (name.starts_with(wanted) || wanted.starts_with(name));
    if (distance <= most && distance < wanted.size())
      ranked.emplace_back(distance, known);
    else if (starts_alike || is_last_part(name, wanted) || is_last_part(wanted, name))
      ranked.emplace_back(wanted.size(), known);
  }
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::string> out;
  for (auto& [distance, name] : ranked)
    if (out.size() < 3) out.push_back(std::move(name));
  return out;
}

std::string did_you_mean(std::string_view wanted, const std::vector<std::string>& names) {
  const std::vector<std::string> near = nearest(wanted, names);
  constexpr std::size_t kMostListed = 24;
  if (near.empty())
    return names.size() > kMostListed ? "" : fmt::format("; known: {}", join(names, ", "));
  std::string out = ", did you mean ";
  for (std::size_t i = 0; i < near.size(); ++i)
    out += fmt::format("{}'{}'", i == 0 ? "" : i + 1 == near.size() ? " or " : ", ", near[i]);
  return out + "?";
}

std::optional<std::int64_t> to_integer(std::string_view text) {
  if (text.starts_with('+') && text.size() > 1 && text[1] != '-') text.remove_prefix(1);
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || text.empty()) return {};
  return value;
}

std::optional<double> to_real(std::string_view text) {
  if (text.starts_with('+') && text.size() > 1 && text[1] != '-') text.remove_prefix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || text.empty()) return {};
  if (!std::isfinite(value)) return {};
  return value;
}

std::string human_bytes(std::uint64_t bytes) {
  if (bytes < 1000) return fmt::format("{} B", bytes);
  double value = static_cast<double>(bytes);
  const char* const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
  std::size_t unit = 0;
  while (value >= 999.95 && unit + 1 < std::size(units)) {
    value /= 1000;
    ++unit;
  }
  return fmt::format("{:.1f} {}", value, units[unit]);
}

std::string human_seconds(double seconds) {
  constexpr double kMost = 1e15;  // whole seconds that a double tells apart
  if (!(std::abs(seconds) < kMost)) return "an unknown time";
  if (seconds > 0 && seconds < 0.9995e-3) return fmt::format("{:.0f} µs", seconds * 1e6);
  if (seconds < 0.9995) return fmt::format("{:.1f} ms", seconds * 1e3);
  if (seconds < 60) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<std::int64_t>(std::llround(seconds));
  if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  return fmt::format("{} h {:02} min", whole / 3600, whole % 3600 / 60);
}

std::string human_count(std::uint64_t n) {
  std::string digits = std::to_string(n);
  for (std::size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, 1, ',');
  return digits;
}

std::string_view trim(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> out;
  std::size_t begin = 0;
  while (true) {
    const std::size_t end = text.find(separator, begin);
    out.emplace_back(text.substr(begin, end - begin));
    if (end == std::string_view::npos) return out;
    begin = end + 1;
  }
}

std::string join(const std::vector<std::string>& parts, std::string_view separator) {
  std::string out;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (i != 0) out += separator;
    out += parts[i];
  }
  return out;
}

std::size_t utf8_length(std::string_view text, std::size_t at) {
  // Unicode 15, table 3-7.
  const auto byte = [&](std::size_t i) {
    return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0U;
  };
  const auto continues = [&](std::size_t i) { return (byte(i) & 0xC0U) == 0x80U; };
  const unsigned lead = byte(0);
  const unsigned second = byte(1);
  if (at >= text.size()) return 0;
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF && continues(1)) return 2;
  if ((lead & 0xF0U) == 0xE0 && continues(1) && continues(2) && (lead != 0xE0 || second >= 0xA0) &&
      (lead != 0xED || second < 0xA0))
    return 3;
  if (lead >= 0xF0 && lead <= 0xF4 && continues(1) && continues(2) && continues(3) &&
      (lead != 0xF0 || second >= 0x90) && (lead != 0xF4 || second < 0x90))
    return 4;
  return 0;
}

bool is_utf8(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t length = utf8_length(text, at);
    if (length == 0) return false;
    at += length;
  }
  return true;
}

std::string printable(std::string_view text, std::size_t limit) {
  return escaped(text, limit, Escape::line);
}

std::string printable_text(std::string_view text) {
  return escaped(text, std::string_view::npos, Escape::text);
}

std::string printable_json(std::string_view json) {
  return escaped(json, std::string_view::npos, Escape::json);
}

}  // namespace lambdaml
