#include "lambdaml/view/log_tail.h"

#include <algorithm>

namespace lambdaml::view {
namespace {

/// Enough to find the position again: lines begin with their time.
constexpr std::size_t kTailBytes = 4096;

}  // namespace

LogTail::News LogTail::news(std::string_view log, bool complete) {
  const std::optional<std::size_t> end = end_of_shown(log);
  News news{log.substr(end.value_or(0)), !end};
  if (!complete) news.text = news.text.substr(0, news.text.rfind('\n') + 1);
  if (news.text.empty()) return {};
  shown_bytes_ = static_cast<std::size_t>(news.text.end() - log.begin());
  const std::string_view shown = log.substr(0, shown_bytes_);
  tail_ = shown.substr(shown.size() - std::min(shown.size(), kTailBytes));
  return news;
}

std::optional<std::size_t> LogTail::end_of_shown(std::string_view log) const {
  // The log has only grown.
  if (log.size() >= shown_bytes_ && log.substr(0, shown_bytes_).ends_with(tail_))
    return shown_bytes_;
  if (const std::size_t at = log.rfind(tail_); at != std::string_view::npos)
    return at + tail_.size();
  // Only the last lines of the tail are left, at the beginning of the log.
  std::string_view rest = tail_;
  for (std::size_t end = rest.find('\n'); end != std::string_view::npos; end = rest.find('\n')) {
    rest.remove_prefix(end + 1);
    if (!rest.empty() && log.starts_with(rest)) return rest.size();
  }
  return {};
}

}  // namespace lambdaml::view
