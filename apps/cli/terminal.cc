#include "apps/cli/terminal.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <iostream>

#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "lambdaml/base/environment.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/interrupt.h"
#include "lambdaml/base/secrets.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/wait.h"

namespace lambdaml::cli {
namespace {

bool g_has_printed_json = false;

/// In UTF-8.
bool begins_character(char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }

void print(const std::string& text) { write_out(text + '\n'); }

}  // namespace

std::size_t columns_of(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(text, begins_character));
}

void write_out(std::string_view bytes) {
  if (std::fwrite(bytes.data(), 1, bytes.size(), stdout) == bytes.size() &&
      std::fflush(stdout) == 0)
    return;
  if (errno == EPIPE) throw OutputClosed();
  throw_if_interrupted();
  fail_errno(errno, "writing to standard output");
}

void print_line(const std::string& line) { print(printable(line, std::string::npos)); }

void print_text(const std::string& text) { print(printable_text(text)); }

void print_json(const std::string& json) {
  g_has_printed_json = true;
  print(printable_json(json));
}

bool has_printed_json() { return g_has_printed_json; }

void tell(const std::string& text) { draw(printable_text(text)); }

void tell_line(const std::string& line) {
  draw(printable(redacted(line), std::string::npos) + "\n");
}

void tell_serving(const std::string& what, const std::string& url) {
  tell_line(what + " on " + url);
}

void draw(const std::string& rows) {
  std::fwrite(rows.data(), 1, rows.size(), stderr);
  std::fflush(stderr);
}

bool can_ask() { return ::isatty(STDIN_FILENO) != 0; }

bool agrees(const std::string& question) {
  tell(question + " [y/N] ");
  wait_until_ready(STDIN_FILENO, POLLIN, Deadline::never());
  std::string answer;
  std::getline(std::cin, answer);
  return answer == "y" || answer == "yes";
}

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

std::string Terminal::row(const std::string& line, bool bright) const {
  std::string text = printable(line, std::string::npos);
  const std::size_t most = size().columns - 1;
  std::size_t columns = 0;
  for (std::size_t at = 0; at < text.size(); ++at)
    if (begins_character(text[at]) && ++columns > most) text.resize(at);
  return bright && !environment_variable("NO_COLOR") ? "\x1b[36m" + text + "\x1b[0m" : text;
}

}  // namespace lambdaml::cli
