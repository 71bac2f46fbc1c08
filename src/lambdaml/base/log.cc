#include "lambdaml/base/log.h"

#include <array>
#include <atomic>
#include <chrono>
#include <ctime>
#include <mutex>
#include <set>
#include <vector>

#include <nlohmann/json.hpp>
#include <unistd.h>

#include "lambdaml/base/clock.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/held_warnings.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/secrets.h"
#include "lambdaml/base/text.h"

namespace lambdaml::log {
namespace {

constexpr std::array<std::string_view, 5> kNames{"debug", "info", "warning", "error", "off"};

std::atomic<Level> g_level{Level::warning};
std::atomic<Format> g_format{Format::text};
std::mutex g_fields_mutex;
std::string g_fields;
std::mutex g_recent_mutex;
std::size_t g_recent_bytes = 0;  ///< how many are kept; 0: none
std::string g_recent;

void keep(std::string_view line) {
  const std::lock_guard lock(g_recent_mutex);
  if (g_recent_bytes == 0) return;
  g_recent += line;
  if (g_recent.size() <= 2 * g_recent_bytes) return;
  // Drops half at a time, so that the cost per line is small.
  g_recent.erase(0, g_recent.find('\n', g_recent.size() - g_recent_bytes) + 1);
}

/// Those of this thread, the newest last. Fibers share a thread, so that any of them may end first.
thread_local std::vector<HeldWarnings*> g_held;

std::string timestamp() {
  using namespace std::chrono;
  const auto now = wall_now();
  const std::time_t seconds = system_clock::to_time_t(now);
  const auto ms = duration_cast<milliseconds>(now.time_since_epoch()).count() % 1000;
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &utc);
  return fmt::format("{}.{:03}Z", text.data(), ms);
}

/// Indents all lines but the first, so that none can pass for another message.
std::string indented(const std::string& text) {
  std::string out;
  for (const char c : text) out += c == '\n' ? "\n    " : std::string(1, c);
  return out;
}

}  // namespace

void configure(Level level, Format format, std::string fields) {
  const std::lock_guard lock(g_fields_mutex);
  g_level = level;
  g_format = format;
  g_fields = std::move(fields);
}

void set_fields(std::string fields) {
  const std::lock_guard lock(g_fields_mutex);
  g_fields = std::move(fields);
}

Level parse_level(std::string_view name) {
  for (std::size_t i = 0; i < kNames.size(); ++i)
    if (kNames[i] == name) return static_cast<Level>(i);
  fail(Code::invalid_argument, "unknown log level '{}'{}", printable(name),
       did_you_mean(name, {kNames.begin(), kNames.end()}));
}

void keep_recent(std::size_t bytes) {
  const std::lock_guard lock(g_recent_mutex);
  g_recent_bytes = bytes;
}

std::string recent() {
  const std::lock_guard lock(g_recent_mutex);
  return g_recent;
}

void forget_recent() {
  const std::lock_guard lock(g_recent_mutex);
  g_recent.clear();
}

bool enabled(Level level) { return level >= g_level.load(std::memory_order_relaxed); }

void write(Level level, std::string_view message) {
  const std::string_view name = kNames[static_cast<std::size_t>(level)];
  std::string line;
  if (g_format == Format::json) {
    const std::string text = printable_json(json_text(nlohmann::json(redacted(message))));
    const std::lock_guard lock(g_fields_mutex);
    line = fmt::format("{{\"time\":\"{}\",\"level\":\"{}\"{}{},\"message\":{}}}\n", timestamp(),
                       name, g_fields.empty() ? "" : ",", g_fields, text);
  } else {
    line = fmt::format("{}: {}\n", name, indented(printable_text(redacted(message))));
  }
  keep(line);
  // A single write, so that lines of several processes on one pipe do not mix.
  std::string_view rest = line;
  while (!rest.empty()) {
    const ssize_t n = ::write(STDERR_FILENO, rest.data(), rest.size());
    if (n <= 0) return;
    rest.remove_prefix(static_cast<std::size_t>(n));
  }
}

void warn_once(const std::string& message) {
  /// A function may serve events for days.
  constexpr std::size_t kMostKept = 1000;
  static std::mutex mutex;
  static std::set<std::string> logged;
  if (!g_held.empty()) return g_held.back()->keep(message);
  {
    const std::lock_guard lock(mutex);
    if (logged.size() >= kMostKept) logged.clear();
    if (!logged.insert(message).second) return;
  }
  warning("{}", message);
}

HeldWarnings::HeldWarnings() { g_held.push_back(this); }

HeldWarnings::~HeldWarnings() {
  std::erase(g_held, this);
  for (const std::string& message : messages_) warn_once(message);
}

QuietLog::QuietLog() {
  Level expected = Level::warning;
  lowers_ = g_level.compare_exchange_strong(expected, Level::error);
}

QuietLog::~QuietLog() {
  // Unless it was configured since.
  Level expected = Level::error;
  if (lowers_) g_level.compare_exchange_strong(expected, Level::warning);
}

}  // namespace lambdaml::log
