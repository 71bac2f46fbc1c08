#pragma once

#include <cstddef>
#include <string>

/// Standard error as the place where progress is shown.
namespace lambdaml::cli {

class Terminal {
 public:
  struct Size {
    std::size_t rows = 24, columns = 80;
  };

  /// Lines may be drawn over each other: it is a terminal, and none that calls itself dumb.
  bool can_redraw() const { return can_redraw_; }
  /// As it is now.
  Size size() const;
  /// `text` cut so that it does not wrap; bright where there is colour (NO_COLOR is respected).
  std::string row(std::string text, bool bright) const;

 private:
  static bool is_capable();
  const bool can_redraw_ = is_capable();
};

/// Writes to standard error, at once.
void tell(const std::string& text);

}  // namespace lambdaml::cli
