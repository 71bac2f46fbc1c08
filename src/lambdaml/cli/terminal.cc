#include "lambdaml/cli/terminal.h"

#include <cstdio>
#include <cstdlib>
#include <string_view>

#include <sys/ioctl.h>
#include <unistd.h>

namespace lambdaml::cli {

bool Terminal::is_capable() {
  const char* kind = std::getenv("TERM");
  return ::isatty(STDERR_FILENO) != 0 && (kind == nullptr || std::string_view(kind) != "dumb");
}

Terminal::Size Terminal::size() const {
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row == 0 || size.ws_col == 0)
    return {};
  return {size.ws_row, size.ws_col};
}

std::string Terminal::row(std::string text, bool bright) const {
  std::size_t end = size().columns - 1;
  if (text.size() > end) {
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U)
      --end;  // no half "µ"
    text.resize(end);
  }
  return bright && std::getenv("NO_COLOR") == nullptr ? "\x1b[36m" + text + "\x1b[0m" : text;
}

void tell(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

}  // namespace lambdaml::cli
