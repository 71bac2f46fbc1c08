#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/aws/lambda/lambda_function.h"

/// The changes of a deployment: the wanted state compared with the existing one, field by field.
namespace lambdaml::deploy {

/// The tag of functions that this program created, with the value "true"; only such functions are
/// changed or deleted.
inline constexpr std::string_view kManagedTag = "lambdaml:managed";
/// The version that created it.
inline constexpr std::string_view kVersionTag = "lambdaml:version";

/// The wanted state of one function. Missing or empty fields stay unchanged.
struct Wanted {
  std::string name;
  aws::FunctionSettings settings;  ///< the environment is merged into the existing one
  std::string code_sha256;         ///< of the zip; empty: no zip
  std::string code_text;           ///< description of the code: "lambdaml.zip, 12 MB"
  std::string image_uri;
  std::string architecture;
  std::string version;
  std::optional<int> reserved_concurrency;
  aws::EventInvokeConfig events;
};

/// One changed field. Values that may be secret are already replaced.
struct Change {
  std::string field;
  std::string from;  ///< empty: there was none
  std::string to;
  bool operator==(const Change&) const = default;
};

/// What to do to one function; nothing if `changes` is empty.
struct Plan {
  bool create = false;
  bool code = false;               ///< whether to send the code
  aws::FunctionSettings settings;  ///< to send; all nullopt: nothing
  std::string architecture;        ///< of the code to send
  std::map<std::string, std::string> tags;
  std::optional<int> reserved_concurrency;
  std::optional<aws::EventInvokeConfig> events;
  std::vector<Change> changes;
};

/// Compares; sends nothing. `there` is nullopt for a function to be created; `events` is the
/// present configuration of its asynchronous events. Throws already_exists (it exists, but is not
/// ours), invalid_argument (a new function without a role or code, a zip for a function made from
/// an image or vice versa, a merged environment above 4 KB).
Plan make_plan(const Wanted& wanted, const std::optional<aws::FunctionDescription>& there,
               const aws::EventInvokeConfig& events);

bool is_ours(const aws::FunctionDescription& function);

/// An environment variable's value for display, or "(hidden)" if its name or form suggests a
/// secret.
std::string shown(std::string_view name, std::string_view value);

}  // namespace lambdaml::deploy
