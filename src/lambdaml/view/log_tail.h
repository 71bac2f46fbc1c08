#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace lambdaml::view {

/// What is new in a log that is read again and again while it grows, and of which the oldest lines
/// may have been dropped in between.
class LogTail {
 public:
  struct News {
    std::string_view text;  ///< a part of what was given
    bool gap = false;       ///< lines between the last news and these were dropped
  };
  /// `log` is the log as it is now. Unless it is `complete`, a last line without an end is left for
  /// the next time.
  News news(std::string_view log, bool complete);

 private:
  /// Where in `log` what was shown before ends; absent when nothing of its tail is left.
  std::optional<std::size_t> end_of_shown(std::string_view log) const;

  std::size_t shown_bytes_ = 0;  ///< of the log as it was last time
  std::string tail_;             ///< the last of what was shown
};

}  // namespace lambdaml::view
