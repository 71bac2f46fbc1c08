#pragma once

#include <string>
#include <string_view>
#include <utility>

#include <fmt/core.h>

/// Logs go to stderr, one write per line. A function logs one JSON object per line, as CloudWatch
/// expects; a command at a terminal logs plain text. Never log a secret: log Uri::display(), not
/// Uri::text(). As a safeguard, passwords of URIs are masked in each message, and unprintable
/// characters are escaped except for line ends, after which the text is indented. write(), recent()
/// and the functions per level are thread-safe.
namespace lambdaml::log {

enum class Level { debug, info, warning, error, off };
enum class Format { text, json };

/// Process-wide; call at start, before other threads log. `fields` is the inside of a JSON object
/// (e.g. "\"worker\":3") that each JSON line carries besides time, level and message.
void configure(Level level, Format format, std::string fields = "");
/// Replaces only the fields.
void set_fields(std::string fields);
/// The level of that name; throws invalid_argument for an unknown one.
Level parse_level(std::string_view name);

/// From now on keeps the most recent lines, whole lines up to `bytes` in all, for recent().
void keep_recent(std::size_t bytes);
std::string recent();
void forget_recent();

bool enabled(Level level);
void write(Level level, std::string_view message);

template <class... Args>
void debug(fmt::format_string<Args...> format, Args&&... args) {
  if (enabled(Level::debug)) write(Level::debug, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void info(fmt::format_string<Args...> format, Args&&... args) {
  if (enabled(Level::info)) write(Level::info, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void warning(fmt::format_string<Args...> format, Args&&... args) {
  if (enabled(Level::warning))
    write(Level::warning, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void error(fmt::format_string<Args...> format, Args&&... args) {
  if (enabled(Level::error)) write(Level::error, fmt::format(format, std::forward<Args>(args)...));
}

/// Logs a warning, unless this process has logged the same text before: for what is met again each
/// time that a thing is opened. Thread-safe.
void warn_once(const std::string& message);

}  // namespace lambdaml::log
