#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace lambdaml::view {

/// Finds the new part of a log that is read repeatedly while it grows, and whose oldest lines may
/// be dropped in between.
class LogTail {
 public:
  struct News {
    std::string_view text;  ///< a view into `log`
    bool gap = false;       ///< lines between the last news and these were dropped
  };
  /// `log` is the present log. Unless it is `complete`, a last line without an end is left for the
  /// next call.
  News news(std::string_view log, bool complete);

 private:
  /// The end of the previously shown part in `log`; nullopt if nothing of its tail is left.
  std::optional<std::size_t> end_of_shown(std::string_view log) const;

  std::size_t shown_bytes_ = 0;  ///< of the log as it was last time
  std::string tail_;             ///< the last of what was shown
};

}  // namespace lambdaml::view
