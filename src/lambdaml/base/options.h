#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace lambdaml {

/// One setting, declared once: the command-line flag, the key in job files and events, the
/// environment variable, `--help`, the reference page and the checks are all derived from it.
struct Option {
  using Value = std::variant<bool, std::int64_t, double, std::string>;

  std::string name;     ///< snake_case; the flag is `--` and the name with `-` for `_`
  Value default_value;  ///< its alternative is the option's type, unless there are `words`
  std::string help;     ///< one sentence without a full stop
  std::string unit = {};
  std::optional<double> minimum = {};  ///< numbers: the smallest allowed value
  std::optional<double> above = {};    ///< numbers: must be greater than this
  std::optional<double> maximum = {};
  std::vector<std::string> choices = {};       ///< texts: the only allowed values; empty = any
  std::vector<std::string> open_choices = {};  ///< choices that take an argument: `CHOICE:ANYTHING`
  std::vector<std::string> words = {};         ///< what a real number may be instead: `auto`
  std::vector<std::string> aliases = {};       ///< other names in job files and events
  /// Another option, and the values of it with which this one has an effect.
  struct Need {
    std::string option;
    std::vector<std::string> values;
  };
  std::vector<Need> needs = {};
  bool execution_only = false;  ///< affects where or how a job runs, never its numerical result
};

/// The type of an option's values.
enum class OptionType { flag, integer, real, text };
OptionType type_of(const Option& option);

/// The flag of an option name: `batch_size` → `--batch-size`.
std::string flag_of(std::string_view name);

/// A declared set of options and their values. Copyable; not synchronized.
class Options {
 public:
  using Value = Option::Value;

  Options() = default;
  explicit Options(std::vector<Option> declared);

  const std::vector<Option>& declared() const& { return declared_; }
  const std::vector<Option>& declared() const&& = delete;  // would dangle
  /// The option of that name or alias, or null. `-` and `_` are equivalent.
  const Option* find(std::string_view name) const;

  /// Sets a value from text. `where` ("--lr", "job.yaml:3") begins error messages. Throws
  /// invalid_argument for an unknown name (listing the nearest known ones), a text of the wrong
  /// type or a value out of range; the options are then unchanged.
  void parse(std::string_view name, std::string_view text, std::string_view where);
  /// Sets a typed value with the same checks; an integer is accepted for a real option.
  void set(std::string_view name, Value value, std::string_view where);

  /// Whether a value was given rather than left at its default.
  bool is_set(std::string_view name) const;

  /// The value; throws internal if no option of that name and type is declared.
  bool flag(std::string_view name) const;
  std::int64_t integer(std::string_view name) const;
  double real(std::string_view name) const;
  /// The number that an option with `words` has; nullopt if it has a word.
  std::optional<double> real_unless_word(std::string_view name) const;
  const std::string& text(std::string_view name) const;
  const Value& value(std::string_view name) const;

  /// A copy without the passwords of URIs in any value, fit to be stored in a file.
  Options without_passwords() const;

 private:
  const Option& declared(std::string_view name) const;

  std::vector<Option> declared_;
  std::map<std::string, Value, std::less<>> values_;
};

/// A value as a user would type it.
std::string to_text(const Option::Value& value);
/// A value without the passwords of the URIs in it.
Option::Value value_without_passwords(const Option::Value& value);

}  // namespace lambdaml
