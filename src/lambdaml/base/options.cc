#include "lambdaml/base/options.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <initializer_list>

#include "lambdaml/base/error.h"
#include "lambdaml/base/secrets.h"
#include "lambdaml/base/text.h"

namespace lambdaml {
namespace {

std::string canonical(std::string_view name) {
  std::string out(name);
  std::replace(out.begin(), out.end(), '-', '_');
  return out;
}

std::string type_name(const Option& option) {
  switch (type_of(option)) {
    case OptionType::flag:
      return "true or false";
    case OptionType::integer:
      return "a whole number";
    case OptionType::real:
      return option.words.empty() ? "a number" : "a number or " + join(option.words, " or ");
    case OptionType::text:
      return "a text";
  }
  return "";
}

bool is_word(const Option& option, std::string_view text) {
  return std::ranges::find(option.words, text) != option.words.end();
}

/// YAML 1.1's words for a truth value, and 1 and 0; in any case, as people write them.
std::optional<bool> to_flag(std::string_view text) {
  const auto is_one_of = [&](std::initializer_list<std::string_view> words) {
    return std::ranges::any_of(words, [&](std::string_view word) {
      return std::ranges::equal(text, word, [](char a, char b) {
        return std::tolower(static_cast<unsigned char>(a)) == b;
      });
    });
  };
  if (is_one_of({"true", "yes", "on", "y", "1"})) return true;
  if (is_one_of({"false", "no", "off", "n", "0"})) return false;
  return {};
}

/// Converts `value` to the option's type if that is lossless. `name` is the name or alias that the
/// user gave, for messages.
Option::Value conform(const Option& option, Option::Value value, std::string_view name,
                      std::string_view where) {
  const OptionType type = type_of(option);
  if (value.index() == static_cast<std::size_t>(type)) return value;
  if (type == OptionType::real) {
    if (const auto* whole = std::get_if<std::int64_t>(&value)) return static_cast<double>(*whole);
    if (const auto* text = std::get_if<std::string>(&value);
        text != nullptr && is_word(option, *text))
      return value;
  }
  if (type == OptionType::integer)
    if (const auto* real = std::get_if<double>(&value);
        real != nullptr && *real == std::floor(*real) && std::abs(*real) < 9e15)
      return static_cast<std::int64_t>(*real);
  fail(Code::invalid_argument, "{}: {} wants {}, not '{}'", where, name, type_name(option),
       without_secrets(to_text(value)));
}

/// The names that may be meant by an unknown value: this option's, or else another option's.
std::string hint_for_value(const std::string& text, const Option& option,
                           const std::vector<Option>& declared) {
  constexpr std::string_view kGeneric[] = {"none", "auto", "yes", "no"};
  std::vector<std::string> owners;
  if (nearest(text, option.choices).empty() &&
      std::ranges::find(kGeneric, text) == std::end(kGeneric))
    for (const Option& other : declared)
      if (std::ranges::find(other.choices, text) != other.choices.end())
        owners.push_back(flag_of(other.name));
  if (owners.size() == 1) return fmt::format(", did you mean '{} {}'?", owners.front(), text);
  return did_you_mean(text, option.choices);
}

/// `declared`: all options, for hints.
void check_range(const Option& option, const Option::Value& value, std::string_view name,
                 std::string_view where, const std::vector<Option>& declared) {
  double number = 0;
  if (const auto* whole = std::get_if<std::int64_t>(&value))
    number = static_cast<double>(*whole);
  else if (const auto* real = std::get_if<double>(&value))
    number = *real;
  else {
    const auto* text = std::get_if<std::string>(&value);
    if (text != nullptr && is_word(option, *text)) return;
    if (text != nullptr)
      for (const std::string& choice : option.open_choices)
        if (text->starts_with(choice + ":")) return;
    if (text != nullptr && !option.choices.empty() &&
        std::find(option.choices.begin(), option.choices.end(), *text) == option.choices.end())
      fail(Code::invalid_argument, "{}: unknown value '{}' of {}{}", where, without_secrets(*text),
           name, hint_for_value(*text, option, declared));
    return;
  }
  if (!std::isfinite(number))
    fail(Code::invalid_argument, "{}: {} must be a finite number", where, name);
  if (option.minimum && number < *option.minimum)
    fail(Code::invalid_argument, "{}: {} must be at least {}, not {}", where, name, *option.minimum,
         number);
  if (option.above && number <= *option.above)
    fail(Code::invalid_argument, "{}: {} must be above {}, not {}", where, name, *option.above,
         number);
  if (option.maximum && number > *option.maximum)
    fail(Code::invalid_argument, "{}: {} must be at most {}, not {}", where, name, *option.maximum,
         number);
}

}  // namespace

OptionType type_of(const Option& option) {
  static_assert(std::is_same_v<std::variant_alternative_t<2, Option::Value>, double>);
  if (!option.words.empty()) return OptionType::real;
  return static_cast<OptionType>(option.default_value.index());
}

std::string flag_of(std::string_view name) {
  std::string out = "--" + std::string(name);
  std::replace(out.begin(), out.end(), '_', '-');
  return out;
}

std::string to_text(const Option::Value& value) {
  struct Printer {
    std::string operator()(bool v) const { return v ? "true" : "false"; }
    std::string operator()(std::int64_t v) const { return std::to_string(v); }
    std::string operator()(double v) const { return fmt::format("{}", v); }
    std::string operator()(const std::string& v) const { return v; }
  };
  return std::visit(Printer{}, value);
}

Option::Value value_without_passwords(const Option::Value& value) {
  const auto* text = std::get_if<std::string>(&value);
  return text == nullptr ? value : Option::Value(without_passwords(*text));
}

Options Options::without_passwords() const {
  Options out = *this;
  for (auto& [name, value] : out.values_) value = value_without_passwords(value);
  return out;
}

Options::Options(std::vector<Option> declared) : declared_(std::move(declared)) {}

const Option* Options::find(std::string_view name) const {
  const std::string wanted = canonical(name);
  for (const Option& option : declared_) {
    if (option.name == wanted) return &option;
    for (const std::string& alias : option.aliases)
      if (alias == wanted) return &option;
  }
  return nullptr;
}

const Option& Options::declared(std::string_view name) const {
  if (const Option* option = find(name)) return *option;
  fail(Code::internal, "option '{}' is not declared", name);
}

namespace {

/// `yes` or `no` of another spelling, where those are choices.
std::string as_choice(const Option& option, std::string_view text) {
  const auto is_choice = [&](std::string_view word) {
    return std::ranges::find(option.choices, word) != option.choices.end();
  };
  const std::optional<bool> flag = to_flag(text);
  if (!flag || is_choice(text) || !is_choice("yes") || !is_choice("no")) return std::string(text);
  return *flag ? "yes" : "no";
}

}  // namespace

void Options::parse(std::string_view name, std::string_view text, std::string_view where) {
  const Option* option = find(name);
  if (option == nullptr) {
    std::vector<std::string> names;
    for (const Option& known : declared_) names.push_back(known.name);
    // Suggest aliases only if no proper name is near: they are the original system's names.
    if (nearest(canonical(name), names).empty())
      for (const Option& known : declared_)
        names.insert(names.end(), known.aliases.begin(), known.aliases.end());
    const std::string hint = did_you_mean(canonical(name), names);
    fail(Code::invalid_argument, "{}: unknown option '{}'{}", where, printable(name),
         hint.empty() ? "; lambdaml options lists all" : hint);
  }
  const auto wrong = [&] {
    fail(Code::invalid_argument, "{}: {} wants {}, not '{}'", where, canonical(name),
         type_name(*option), without_secrets(text));
  };
  switch (type_of(*option)) {
    case OptionType::flag:
      if (const auto flag = to_flag(text)) return set(name, Value(*flag), where);
      wrong();
      break;
    case OptionType::integer:
      if (const auto whole = to_integer(text)) return set(name, Value(*whole), where);
      if (const auto real = to_real(text)) return set(name, Value(*real), where);
      wrong();
      break;
    case OptionType::real:
      if (const auto real = to_real(text)) return set(name, Value(*real), where);
      if (is_word(*option, text)) return set(name, Value(std::string(text)), where);
      wrong();
      break;
    case OptionType::text:
      set(name, Value(as_choice(*option, text)), where);
  }
}

void Options::set(std::string_view name, Value value, std::string_view where) {
  const Option* option = find(name);
  if (option == nullptr) return parse(name, {}, where);  // throws: unknown
  const std::string called = canonical(name);
  value = conform(*option, std::move(value), called, where);
  check_range(*option, value, called, where, declared_);
  values_[option->name] = std::move(value);
}

bool Options::is_set(std::string_view name) const {
  return values_.find(declared(name).name) != values_.end();
}

const Options::Value& Options::value(std::string_view name) const {
  const Option& option = declared(name);
  const auto it = values_.find(option.name);
  return it == values_.end() ? option.default_value : it->second;
}

bool Options::flag(std::string_view name) const {
  if (const auto* v = std::get_if<bool>(&value(name))) return *v;
  fail(Code::internal, "option '{}' is no flag", name);
}

std::int64_t Options::integer(std::string_view name) const {
  if (const auto* v = std::get_if<std::int64_t>(&value(name))) return *v;
  fail(Code::internal, "option '{}' is no integer", name);
}

double Options::real(std::string_view name) const {
  if (const auto* v = std::get_if<double>(&value(name))) return *v;
  fail(Code::internal, "option '{}' is no real number", name);
}

std::optional<double> Options::real_unless_word(std::string_view name) const {
  if (const auto* v = std::get_if<double>(&value(name))) return *v;
  if (!declared(name).words.empty()) return {};
  fail(Code::internal, "option '{}' is no real number", name);
}

const std::string& Options::text(std::string_view name) const {
  if (const auto* v = std::get_if<std::string>(&value(name))) return *v;
  fail(Code::internal, "option '{}' is no text", name);
}

}  // namespace lambdaml
