#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lambdaml {

/// The names nearest to `wanted` by edit distance, nearest first, at most three and only those that
/// are plausibly a slip of the hand (one letter in a word of up to five, two or a third of the
/// length in a longer one, or a common start).
std::vector<std::string> nearest(std::string_view wanted, const std::vector<std::string>& names);

/// ", did you mean 'a' or 'b'?" of nearest(), or "; known: a, b, c" when nothing is
/// near; nothing when they are too many to list.
std::string did_you_mean(std::string_view wanted, const std::vector<std::string>& names);

/// Whole-string conversions; absent when `text` is not exactly one number (no blanks, no hex, no
/// nan or inf) or does not fit.
std::optional<std::int64_t> to_integer(std::string_view text);
std::optional<double> to_real(std::string_view text);

/// "812 B", "3.2 MB", "1.5 GB": powers of 1,000, for people.
std::string human_bytes(std::uint64_t bytes);
/// "130 µs", "12.3 ms", "3.4 s", "2 min 05 s", "1 h 03 min".
std::string human_seconds(double seconds);
/// 12345678 → "12,345,678".
std::string human_count(std::uint64_t n);

std::string_view trim(std::string_view text);
std::vector<std::string> split(std::string_view text, char separator);
std::string join(const std::vector<std::string>& parts, std::string_view separator);

/// How many bytes the well-formed UTF-8 sequence at text[at] has; 0 where none begins.
std::size_t utf8_length(std::string_view text, std::size_t at);

/// `text` with all that a terminal or a reader would take for something else written as \xNN:
/// control characters (C0, DEL, C1), bytes that are no UTF-8, line separators, and characters that
/// turn the direction of writing or cannot be seen; at most `limit` bytes. For untrusted names and
/// lines in messages.
std::string printable(std::string_view text, std::size_t limit = 120);
/// The same of a whole text, whose line ends and tabs stay.
std::string printable_text(std::string_view text);
/// The same of JSON, written as \uNNNN, which leaves its value as it is; line ends become blanks.
std::string printable_json(std::string_view json);

}  // namespace lambdaml
