#include "lambdaml/job/job_file.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <limits>
#include <set>

#include <nlohmann/json.hpp>
#include <yaml-cpp/yaml.h>

#include "lambdaml/base/environment.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/files.h"
#include "lambdaml/base/formats/yaml.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/secrets.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/uri.h"

namespace lambdaml::job {
namespace {

void set_from_yaml(const YAML::Node& node, const std::string& what, Options& options,
                   std::string_view section) {
  if (!node.IsDefined() || node.IsNull()) return;
  if (!node.IsMap())
    fail(Code::invalid_argument,
         "{}: a job file is a map from option names to values; data are given with --data", what);
  std::set<std::string_view> seen;
  for (const auto& pair : node) {
    const std::string where = fmt::format("{}:{}", what, pair.first.Mark().line + 1);
    if (!pair.first.IsScalar()) fail(Code::invalid_argument, "{}: a key must be a name", where);
    const std::string& key = pair.first.Scalar();
    if (!section.empty() && key == section) continue;
    if (!pair.second.IsScalar() && !pair.second.IsNull())
      fail(Code::invalid_argument, "{}: {} must be one value, not a list or a map", where,
           printable(key));
    const Option* option = options.find(key);
    if (option != nullptr && !seen.insert(option->name).second)
      fail(Code::invalid_argument, "{}: {} occurs twice; remove one", where, option->name);
    // Nothing, as in `until:` or `until: null`, leaves the option as it is.
    if (pair.second.IsNull() && option != nullptr) continue;
    options.parse(key, pair.second.Scalar(), where);
  }
}

/// A value that JSON and YAML can hold: a path of other bytes as its URI (base/uri.h).
Option::Value in_utf8(const Option& option, const Option::Value& value) {
  const auto* text = std::get_if<std::string>(&value);
  if (text == nullptr || is_utf8(*text)) return value;
  for (const std::string& choice : option.open_choices)
    if (text->starts_with(choice + ":"))
      return choice + ":" + utf8_path(std::string_view(*text).substr(choice.size() + 1));
  return utf8_path(*text);
}

bool is_among(Values which, const Option& option, const Options& options) {
  switch (which) {
    case Values::given:
      return options.is_set(option.name);
    case Values::deciding:
      return !option.execution_only;
    case Values::all:
      break;
  }
  return true;
}

}  // namespace

void read_job_text(std::string_view text, const std::string& what, Options& options,
                   std::string_view section) {
  try {
    set_from_yaml(load_yaml(text, what), what, options, section);
  } catch (const YAML::Exception& error) {
    fail(Code::invalid_argument, "{}:{}: {}", what, error.mark.line + 1, printable(error.msg));
  }
}

void read_job_file(const std::string& path, Options& options, std::string_view section) {
  const std::optional<Buffer> bytes = read_file(path);
  if (!bytes) fail(Code::not_found, "job file {}: no such file", without_secrets(path));
  read_job_text(bytes->text(), path, options, section);
}

void read_environment(Options& options, std::string_view prefix) {
  for (const Option& option : options.declared()) {
    if (option.name == "test_data")
      continue;  // LAMBDAML_TEST_DATA is the folder of this project's tests
    std::string name = std::string(prefix) + option.name;
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return std::toupper(c); });
    if (const std::optional<std::string> text = environment_variable(name.c_str()))
      options.parse(option.name, *text, name);
  }
}

std::string to_yaml(const Options& options, Values which) {
  YAML::Emitter out;
  out << YAML::BeginMap;
  for (const Option& option : options.declared()) {
    if (!is_among(which, option, options)) continue;
    const Option::Value value = in_utf8(option, options.value(option.name));
    out << YAML::Key << option.name << YAML::Value;
    if (const auto* text = std::get_if<std::string>(&value))
      out << YAML::DoubleQuoted << *text;
    else
      out << to_text(value);
  }
  out << YAML::EndMap;
  return std::string(out.c_str()) + "\n";
}

nlohmann::json to_json(const Options& options, Values which) {
  nlohmann::json object = nlohmann::json::object();
  for (const Option& option : options.declared())
    if (is_among(which, option, options))
      std::visit([&](const auto& value) { object[option.name] = value; },
                 in_utf8(option, options.value(option.name)));
  return object;
}

namespace {

bool is_beyond_int64(const nlohmann::json& value) {
  return value.is_number_unsigned() &&
         value.get<std::uint64_t>() > std::uint64_t{std::numeric_limits<std::int64_t>::max()};
}

}  // namespace

void from_json(const nlohmann::json& object, const std::string& what, Options& options) {
  if (!object.is_object()) fail(Code::invalid_argument, "{}: options must be a JSON object", what);
  for (const auto& [key, value] : object.items()) {
    if (value.is_boolean())
      options.set(key, value.get<bool>(), what);
    else if (value.is_number_integer() && !is_beyond_int64(value))
      options.set(key, value.get<std::int64_t>(), what);
    else if (value.is_number())
      options.set(key, value.get<double>(), what);
    else if (value.is_string())
      options.set(key, value.get<std::string>(), what);
    else
      fail(Code::invalid_argument, "{}: {} must be a text, a number, true or false", what,
           printable(key));
  }
}

}  // namespace lambdaml::job
