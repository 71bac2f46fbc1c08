#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lambdaml {

/// The names nearest to `wanted` by edit distance, nearest first: at most three, and only plausible
/// typos (in a word of up to five letters one edit, in a longer one two or a third of its length;
/// or a common start, or one is the last part of the other: workers, num_workers).
std::vector<std::string> nearest(std::string_view wanted, const std::vector<std::string>& names);

/// ", did you mean 'a' or 'b'?" from nearest(), or "; known: a, b, c" if nothing is near, or "" if
/// there are too many to list.
std::string did_you_mean(std::string_view wanted, const std::vector<std::string>& names);

/// Whole-string conversions; return nullopt unless `text` is exactly one number (no blanks, no hex,
/// no nan or inf) within range.
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

/// The length of the well-formed UTF-8 sequence at text[at]; 0 if none begins there.
std::size_t utf8_length(std::string_view text, std::size_t at);
bool is_utf8(std::string_view text);

/// `text` with everything that a terminal or a reader could misinterpret written as \xNN: control
/// characters (C0, DEL, C1), bytes that are not UTF-8, line separators, and characters that change
/// the direction of writing or are invisible; at most `limit` bytes. For untrusted names and lines
/// in messages.
std::string printable(std::string_view text, std::size_t limit = 120);
/// The same for a multi-line text: keeps line ends and tabs, and has no limit.
std::string printable_text(std::string_view text);
/// The same for JSON, escaped as \uNNNN, so that its value is unchanged; line ends become blanks.
std::string printable_json(std::string_view json);

}  // namespace lambdaml
