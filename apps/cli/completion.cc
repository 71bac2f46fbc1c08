// The completions of the three shells work alike: a table says what follows on each command, and a
// few lines of the shell find the command that the words before the cursor name. Each script is
// whole: completing starts no program.
#include <algorithm>
#include <functional>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "apps/cli/command_tree.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"

namespace lambdaml::cli {
namespace {

using Values = ArgumentEntry::Values;

/// In single quotes, for bash and zsh.
std::string quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) c == '\'' ? out += "'\\''" : out += c;
  return out + "'";
}

/// In single quotes, for fish.
std::string quoted_for_fish(const std::string& text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + "'";
}

/// The first sentence or so, for a list.
std::string short_help(const std::string& help) {
  std::string text = help.substr(0, help.find('\n'));
  for (const char* end : {": ", "; ", ". "}) text = text.substr(0, text.find(end));
  return text;
}

/// The commands that have others below them, as patterns of a `case`: 'lambdaml data'|….
std::string patterns_of_commands(const CommandEntry& root) {
  std::vector<std::string> patterns;
  for (const CommandEntry* command : root.all())
    if (command != &root) patterns.push_back(quoted(command->path));
  return join(patterns, "|");
}

/// Branches of a `case "$command $previous"`: options with the same values share one. `branch`
/// makes the text after the patterns.
std::string branches_of_values(
    const CommandEntry& root,
    const std::function<std::string(Values, const std::string&)>& branch) {
  std::map<std::pair<Values, std::string>, std::vector<std::string>> options;
  for (const CommandEntry* command : root.all())
    for (const ArgumentEntry& option : command->options)
      if (option.values != Values::none)
        for (const std::string& name : option.names)
          options[{option.values, join(option.words, " ")}].push_back(
              quoted(command->path + " " + name));
  std::string out;
  for (const auto& [values, patterns] : options)
    out += fmt::format("    {}) {} ;;\n", join(patterns, "|"), branch(values.first, values.second));
  return out;
}

std::vector<std::string> names_of_options(const CommandEntry& command) {
  std::vector<std::string> names;
  for (const ArgumentEntry& option : command.options)
    names.insert(names.end(), option.names.begin(), option.names.end());
  return names;
}

constexpr const char* kBash =
    R"(# Completion of lambdaml for bash, made by `lambdaml completion bash`.
_lambdaml() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD-1]}}
  local command=lambdaml options= commands= words= i
  COMPREPLY=()
  # --option=value is three words here.
  if [[ $current == = ]]; then
    current=
  elif [[ $previous == = && COMP_CWORD -gt 1 ]]; then
    previous=${{COMP_WORDS[COMP_CWORD-2]}}
  elif [[ $previous == : ]]; then
    return
  fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$command ${{COMP_WORDS[i]}}" in
    {}) command="$command ${{COMP_WORDS[i]}}" ;;
    esac
  done
  case "$command $previous" in
{}  esac
  case "$command" in
{}  esac
  if [[ $current == -* ]]; then
    COMPREPLY=($(compgen -W "$options" -- "$current"))
  elif [[ -n $commands ]]; then
    COMPREPLY=($(compgen -W "$commands" -- "$current"))
  else
    compopt -o filenames 2>/dev/null
    local IFS=$'\n'
    COMPREPLY=($(compgen -f -- "$current"))
  fi
}}
complete -F _lambdaml lambdaml
)";

std::string bash(const CommandEntry& root) {
  const std::string values =
      branches_of_values(root, [](Values kind, const std::string& words) -> std::string {
        if (kind == Values::words)
          return fmt::format("COMPREPLY=($(compgen -W {} -- \"$current\")); return", quoted(words));
        if (kind == Values::numbers) return "return";
        return "compopt -o filenames 2>/dev/null; local IFS=$'\\n'; "
               "COMPREPLY=($(compgen -f -- \"$current\")); return";
      });
  std::string commands;
  for (const CommandEntry* command : root.all()) {
    std::vector<std::string> names;
    for (const CommandEntry& below : command->commands) names.push_back(below.name());
    commands +=
        fmt::format("    {}) options={} commands={} ;;\n", quoted(command->path),
                    quoted(join(names_of_options(*command), " ")), quoted(join(names, " ")));
  }
  return fmt::format(kBash, patterns_of_commands(root), values, commands);
}

constexpr const char* kZsh = R"(#compdef lambdaml
# Completion of lambdaml for zsh, made by `lambdaml completion zsh`.
_lambdaml() {{
  local command=lambdaml previous=${{words[CURRENT-1]}} word
  local -a options commands
  for word in ${{words[2,CURRENT-1]}}; do
    case "$command $word" in
    ({}) command="$command $word" ;;
    esac
  done
  # --option=value
  if [[ $PREFIX == --*=* ]]; then
    previous=${{PREFIX%%=*}}
    compset -P '*='
  fi
  case "$command $previous" in
{}  esac
  case "$command" in
{}  esac
  if [[ $PREFIX == -* ]]; then
    _describe -o option options
  elif (( $#commands )); then
    _describe command commands
  else
    _files
  fi
}}
if [[ $funcstack[1] == _lambdaml ]]; then
  _lambdaml "$@"
else
  compdef _lambdaml lambdaml
fi
)";

/// `name:help` for _describe.
std::string described(const std::string& name, const std::string& help) {
  std::string text;
  for (const char c : name) {
    if (c == ':') text += '\\';
    text += c;
  }
  return quoted(text + ":" + short_help(help));
}

std::string zsh(const CommandEntry& root) {
  std::string values =
      branches_of_values(root, [](Values kind, const std::string& words) -> std::string {
        if (kind == Values::words) return fmt::format("compadd -- {}; return", words);
        if (kind == Values::numbers) return "return";
        return "_files; return";
      });
  std::string commands;
  for (const CommandEntry* command : root.all()) {
    std::string options, below;
    for (const ArgumentEntry& option : command->options)
      for (const std::string& name : option.names) options += " " + described(name, option.help);
    for (const CommandEntry& entry : command->commands)
      below += " " + described(entry.name(), entry.help);
    commands += fmt::format("    {}) options=({} ) commands=({} ) ;;\n", quoted(command->path),
                            options, below);
  }
  return fmt::format(kZsh, patterns_of_commands(root), values, commands);
}

constexpr const char* kFish =
    R"(# Completion of lambdaml for fish, made by `lambdaml completion fish`.
function __lambdaml_command
    set -l command lambdaml
    for word in (commandline -opc)[2..]
        switch "$command $word"
            case {}
                set command "$command $word"
        end
    end
    echo $command
end
function __lambdaml_at
    test (__lambdaml_command) = "$argv"
end
complete -c lambdaml -f
)";

std::string fish(const CommandEntry& root) {
  std::string patterns;
  for (const CommandEntry* command : root.all())
    if (command != &root)
      patterns += (patterns.empty() ? "" : " ") + quoted_for_fish(command->path);
  std::string out = fmt::format(kFish, patterns);
  for (const CommandEntry* command : root.all()) {
    const std::string start = fmt::format("complete -c lambdaml -n {}",
                                          quoted_for_fish("__lambdaml_at " + command->path));
    for (const CommandEntry& below : command->commands)
      out += fmt::format("{} -a {} -d {}\n", start, below.name(),
                         quoted_for_fish(short_help(below.help)));
    for (const ArgumentEntry& option : command->options) {
      out += start;
      for (const std::string& name : option.names)
        out += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
      if (option.values == Values::files) out += " -r -F";
      if (option.values == Values::numbers || option.values == Values::words) out += " -x";
      if (!option.words.empty()) out += " -a " + quoted_for_fish(join(option.words, " "));
      out += " -d " + quoted_for_fish(short_help(option.help)) + "\n";
    }
    if (!command->arguments.empty()) out += start + " -F\n";
  }
  return out;
}

}  // namespace

std::vector<std::string> completion_shells() { return {"bash", "zsh", "fish"}; }

std::string completion_script(const CommandEntry& root, const std::string& shell) {
  if (shell == "bash") return bash(root);
  if (shell == "zsh") return zsh(root);
  if (shell == "fish") return fish(root);
  fail(Code::invalid_argument, "completion for '{}': the shells are {}", printable(shell),
       join(completion_shells(), ", "));
}

}  // namespace lambdaml::cli
