#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "lambdaml/base/error.h"

/// All output for people passes through here. Whatever untrusted text it contains (a job's record,
/// a function's log, a file's name), it cannot move the cursor, set a title or forge a line:
/// unprintable characters are escaped (base/text.h), also for pipes and files, which a terminal may
/// show later. Data are written to standard output unchanged: output.h.
namespace lambdaml::cli {

/// Thrown where nobody reads standard output any more (`lambdaml ls | head`): it ends the command
/// without a message.
class OutputClosed : public Error {
 public:
  OutputClosed() : Error(Code::unavailable, "standard output was closed") {}
};
/// Writes to standard output at once, unescaped. Throws OutputClosed, and resource_exhausted for a
/// full disk, as do all functions here for standard output.
void write_out(std::string_view bytes);

/// Prints one line to standard output.
void print_line(const std::string& line);
/// Prints several lines.
void print_text(const std::string& text);
/// Prints JSON as one line, escaped in the JSON way, which changes no value.
void print_json(const std::string& json);
/// Whether print_json() was called: the command has told its result.
bool has_printed_json();

/// Prints text to standard error at once; the caller ends the line.
void tell(const std::string& text);
/// The same for an error or message that must be one line.
void tell_line(const std::string& line);
/// The same of what the command serves: "WHAT on URL".
void tell_serving(const std::string& what, const std::string& url);

/// Whether there is a person to ask: standard input is a terminal.
bool can_ask();
/// How wide a text is: a character of UTF-8 takes a column.
std::size_t columns_of(std::string_view text);

/// Asks a question on standard error; true for the answer y or yes. An interrupt ends the wait.
bool agrees(const std::string& question);

class Terminal {
 public:
  struct Size {
    std::size_t rows = 24, columns = 80;
  };

  /// Whether lines can be redrawn: it is a terminal, and not a "dumb" one.
  bool can_redraw() const { return can_redraw_; }
  /// The present size.
  Size size() const;
  /// `text` escaped, and cut so that it does not wrap; bright if colours are allowed (NO_COLOR is
  /// respected).
  std::string row(const std::string& text, bool bright) const;

 private:
  static bool is_capable();
  const bool can_redraw_ = is_capable();
};

/// Writes rows and cursor movements between them to standard error, unescaped.
void draw(const std::string& rows);

}  // namespace lambdaml::cli
