#include "apps/cli/help.h"

#include <algorithm>
#include <sstream>

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "apps/cli/terminal.h"

namespace lambdaml::cli {
namespace {

constexpr std::size_t kNameColumns = 26;

/// Of the terminal that shows the help; elsewhere 80.
std::size_t columns_of_output() {
  constexpr std::size_t kLeast = 60, kMost = 110, kUsual = 80;
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return kUsual;
  return std::clamp<std::size_t>(size.ws_col, kLeast, kMost);
}

}  // namespace

std::string wrapped(const std::string& text, std::size_t columns, std::size_t indent,
                    std::size_t first) {
  std::string out;
  std::size_t at = first;
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    const std::size_t width = columns_of(word);
    if (out.empty()) {
      out = word;
    } else if (at + 1 + width <= columns) {
      out += " " + word;
      ++at;
    } else {
      out += "\n" + std::string(indent, ' ') + word;
      at = indent;
    }
    at += width;
  }
  return out;
}

HelpFormatter::HelpFormatter() : columns_(columns_of_output()) { column_width(kNameColumns); }

std::string HelpFormatter::row(const std::string& name, const std::string& description) const {
  std::string out = "  " + name;
  if (description.empty()) return out + "\n";
  out += out.size() + 1 < kNameColumns ? std::string(kNameColumns - out.size(), ' ')
                                       : "\n" + std::string(kNameColumns, ' ');
  return out + wrapped(description, columns_, kNameColumns, kNameColumns) + "\n";
}

std::string HelpFormatter::make_option(const CLI::Option* option, bool is_positional) const {
  const bool is_list = option->get_expected_max() == CLI::detail::expected_max_vector_size;
  std::string description = option->get_description();
  if (option->get_required() && !is_positional) description += " (required)";
  for (const CLI::Option* other : option->get_needs())
    description += fmt::format(" (with {})", other->get_name());
  for (const CLI::Option* other : option->get_excludes())
    description += fmt::format(" (not with {})", other->get_name());
  return row(make_option_name(option, is_positional) + (is_list ? " ..." : ""), description);
}

std::string HelpFormatter::make_subcommand(const CLI::App* command) const {
  return row(command->get_name(), command->get_description());
}

}  // namespace lambdaml::cli
