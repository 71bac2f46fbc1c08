#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/aws/lambda/lambda_function.h"

/// What a deployment would change: wanted against what is there, field by field.
namespace lambdaml::deploy {

/// The tag that what we make carries, with the value "true"; only such functions are changed or
/// deleted.
inline constexpr std::string_view kManagedTag = "lambdaml:managed";
/// The version that made it.
inline constexpr std::string_view kVersionTag = "lambdaml:version";

/// How one function should be. What is absent or empty is left as it is.
struct Wanted {
  std::string name;
  aws::FunctionSettings settings;  ///< the environment is merged into the one that is there
  std::string code_sha256;         ///< of the zip; empty: no zip
  std::string code_text;           ///< what the code is, for people: "lambdaml.zip, 12 MB"
  std::string image_uri;
  std::string architecture;
  std::string version;
  std::optional<int> reserved_concurrency;
  aws::EventInvokeConfig events;
};

/// One field that changes. Values that may be secret are already replaced.
struct Change {
  std::string field;
  std::string from;  ///< empty: there was none
  std::string to;
  bool operator==(const Change&) const = default;
};

/// What is to be done to one function; nothing when `changes` is empty.
struct Plan {
  bool create = false;
  bool code = false;               ///< the code is to be sent
  aws::FunctionSettings settings;  ///< to be sent; all absent: nothing
  std::string architecture;        ///< of the code that is to be sent
  std::map<std::string, std::string> tags;
  std::optional<int> reserved_concurrency;
  std::optional<aws::EventInvokeConfig> events;
  std::vector<Change> changes;
};

/// Compares; sends nothing. `there` is absent for a function that is to be made, `events` is how
/// its asynchronous events are configured now. Throws already_exists (there, but not ours),
/// invalid_argument (a new one without a role or code, a zip for a function made from an image or
/// the other way round, an environment above 4 KB once it is merged).
Plan make_plan(const Wanted& wanted, const std::optional<aws::FunctionDescription>& there,
               const aws::EventInvokeConfig& events);

bool is_ours(const aws::FunctionDescription& function);

/// What may be shown of an environment variable: the value, or "(hidden)" where its name or form
/// says that it is secret.
std::string shown(std::string_view name, std::string_view value);

}  // namespace lambdaml::deploy
