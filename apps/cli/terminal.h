#pragma once

#include <cstddef>
#include <string>

/// Everything that the commands print for people passes here. Whatever was put into it by others (a
/// job's record, a function's log, a file's name), it moves no cursor, sets no title and forges no
/// line: unprintable characters are escaped (base/text.h), also where a pipe or a file takes the
/// output, for a terminal may show that later. Data go to standard output as they are: output.h.
namespace lambdaml::cli {

/// Prints one line to standard output. Throws resource_exhausted when it is gone, as all of these
/// for standard output do.
void print_line(const std::string& line);
/// Prints several lines.
void print_text(const std::string& text);
/// Prints JSON as one line; escaped as JSON does it, which changes no value.
void print_json(const std::string& json);

/// Prints text to standard error, at once; of a message the caller ends the line.
void tell(const std::string& text);
/// The same of one error or message that is to be one line.
void tell_line(const std::string& line);

class Terminal {
 public:
  struct Size {
    std::size_t rows = 24, columns = 80;
  };

  /// Lines may be drawn over each other: it is a terminal, and none that calls itself dumb.
  bool can_redraw() const { return can_redraw_; }
  /// As it is now.
  Size size() const;
  /// `text` escaped, and cut so that it does not wrap; bright where there is colour (NO_COLOR is
  /// respected).
  std::string row(const std::string& text, bool bright) const;

 private:
  static bool is_capable();
  const bool can_redraw_ = is_capable();
};

/// Writes rows and what moves the cursor between them to standard error, as they are.
void draw(const std::string& rows);

}  // namespace lambdaml::cli
