#include <algorithm>

#include <fmt/format.h>

#include "apps/cli/command_tree.h"
#include "lambdaml/base/text.h"

namespace lambdaml::cli {
namespace {

/// Text for man(7): no request, no escape.
std::string escaped(const std::string& text) {
  std::string out;
  bool at_start = true;
  for (const char c : text) {
    if (at_start && (c == '.' || c == '\'')) out += "\\&";
    c == '\\' ? out += "\\e" : out += c;
    at_start = c == '\n';
  }
  return out;
}

/// A name that is typed: its hyphens are minus signs, which can be copied.
std::string typed(const std::string& text) {
  std::string out;
  for (const char c : escaped(text)) c == '-' ? out += "\\-" : out += c;
  return out;
}

std::string dashed(std::string path) {
  std::ranges::replace(path, ' ', '-');
  return path;
}

std::string capitalized(std::string text) {
  if (!text.empty() && text[0] >= 'a' && text[0] <= 'z') text[0] = static_cast<char>(text[0] - 32);
  return text;
}

std::string upper(std::string text) {
  for (char& c : text)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 32);
  return text;
}

std::string sentence(const std::string& text) {
  std::string out = capitalized(text);
  if (!out.empty() && out.back() != '.') out += '.';
  return escaped(out);
}

std::string synopsis(const CommandEntry& command) {
  std::string line = fmt::format(".B {}\n", typed(command.path));
  std::vector<std::string> parts;
  if (!command.options.empty()) parts.emplace_back("[\\fIoptions\\fR]");
  if (!command.commands.empty()) parts.emplace_back("\\fIcommand\\fR ...");
  for (const ArgumentEntry& argument : command.arguments) {
    const std::string part =
        fmt::format("\\fI{}\\fR{}", typed(argument.names.front()), argument.repeated ? " ..." : "");
    parts.push_back(argument.required ? part : "[" + part + "]");
  }
  return line + join(parts, "\n") + (parts.empty() ? "" : "\n");
}

std::string option_item(const ArgumentEntry& option) {
  std::vector<std::string> names;
  for (const std::string& name : option.names)
    names.push_back(fmt::format("\\fB{}\\fR", typed(name)));
  const std::string value = option.value.empty() ? "" : fmt::format(" \\fI{}\\fR", option.value);
  return fmt::format(".TP\n{}{}\n{}\n", join(names, ", "), value,
                     sentence(option.help.empty() ? "No description" : option.help));
}

std::string option_section(const CommandEntry& command) {
  std::string out = command.options.empty() ? "" : ".SH OPTIONS\n";
  for (const ArgumentEntry& option : command.options) out += option_item(option);
  return out;
}

std::string reference(const std::string& path) {
  return fmt::format(".BR {} (1)", typed(dashed(path)));
}

constexpr const char* kExitStatus = R"(.SH EXIT STATUS
.TP
0
Success.
.TP
1
It failed: a service, a disk, memory, or training that diverged.
.TP
2
Usage or bad input.
.TP
3
Stopped by a limit that was given.
.TP
4
Workers were lost beyond retry.
.TP
130
Interrupted.
)";

constexpr const char* kMain = R"(.SH DESCRIPTION
LambdaML partitions data, starts functions (processes of this machine, or functions on AWS Lambda), and
trains a model with them: the functions meet in a storage service, where they merge what each has computed.
.PP
Results go to standard output, progress and logs to standard error.
With \fB\-\-json\fR the last line of standard output is one JSON object.
)";

constexpr const char* kEnvironment = R"(.SH ENVIRONMENT
.TP
.BI LAMBDAML_ OPTION
The value of an option of a job, as LAMBDAML_EPOCHS; a flag beats it, and it beats the job file.
.TP
.B LAMBDAML_WORKER
The function executable that local jobs start.
.TP
.B NO_COLOR
If it is set, no colours are used.
.PP
The stores and platforms of AWS read the variables and files that AWS's own tools read.
.SH FILES
.TP
.I runs/JOB\-ID
What a job leaves: model, metrics, summary, checkpoints, logs.
)";

}  // namespace

std::string man_page(const CommandEntry& command, const CommandEntry& root,
                     const std::string& version, const std::string& date) {
  const bool is_root = command.path == root.path;
  std::string out = fmt::format(".TH {} 1 \"{}\" \"lambdaml {}\" \"LambdaML\"\n",
                                typed(upper(dashed(command.path))), date, version);
  out += fmt::format(
      ".SH NAME\n{} \\- {}\n", typed(dashed(command.path)),
      escaped(is_root ? "machine-learning training on serverless functions" : command.help));
  out += ".SH SYNOPSIS\n" + synopsis(command);
  if (is_root) out += kMain;
  if (!is_root && command.commands.empty()) {
    out += fmt::format(".SH DESCRIPTION\n{}\n", sentence(command.help));
    for (const ArgumentEntry& argument : command.arguments)
      if (!argument.help.empty())
        out += fmt::format(".TP\n\\fI{}\\fR\n{}\n", typed(argument.names.front()),
                           sentence(argument.help));
  }
  if (!command.commands.empty()) out += ".SH COMMANDS\n";
  for (const CommandEntry& below : command.commands)
    out += fmt::format(".TP\n{}\n{}\n", reference(below.path), sentence(below.help));
  out += option_section(command);
  out += kExitStatus;
  if (is_root) out += kEnvironment;
  out += ".SH SEE ALSO\n";
  const std::size_t parent = command.path.rfind(' ');
  std::vector<std::string> others;
  if (is_root)
    others.push_back(reference("lambdaml options"));
  else
    others.push_back(reference(command.path.substr(0, parent)));
  out += join(others, ",\n") + "\n";
  return out;
}

}  // namespace lambdaml::cli
