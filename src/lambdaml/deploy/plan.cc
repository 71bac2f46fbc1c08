#include "lambdaml/deploy/plan.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"

namespace lambdaml::deploy {
namespace {

constexpr std::size_t kMaxEnvironmentBytes = 4096;
constexpr int kDefaultMemory_mb = 1769;
constexpr int kDefaultTimeout_s = 900;

#if defined(__aarch64__)
constexpr std::string_view kOwnArchitecture = "arm64";
#else
constexpr std::string_view kOwnArchitecture = "x86_64";
#endif

std::string text_of(const std::string& value) { return value; }
std::string text_of(int value) { return std::to_string(value); }
std::string text_of(const std::vector<std::string>& value) { return join(value, ", "); }

template <class T>
std::string text_of(const std::optional<T>& value) {
  return value ? text_of(*value) : std::string();
}

std::optional<std::vector<std::string>> sorted(std::optional<std::vector<std::string>> names) {
  if (names) std::ranges::sort(*names);
  return names;
}

/// Collects the differences.
class Comparison {
 public:
  explicit Comparison(std::vector<Change>& changes) : changes_(changes) {}

  /// Whether `wanted` differs from the present value; if so, sets `out`.
  template <class T>
  bool field(const char* name, const std::optional<T>& there, const std::optional<T>& wanted,
             std::optional<T>& out) {
    if (!wanted || (there && *there == *wanted)) return false;
    changes_.push_back({name, text_of(there), text_of(wanted)});
    out = wanted;
    return true;
  }

 private:
  std::vector<Change>& changes_;
};

void compare_environment(const std::string& name, const aws::FunctionSettings& there,
                         const aws::FunctionSettings& wanted, Plan& plan) {
  if (!wanted.environment) return;
  const std::map<std::string, std::string> before =
      there.environment.value_or(std::map<std::string, std::string>());
  std::map<std::string, std::string> merged = before;
  for (const auto& [key, value] : *wanted.environment) {
    const auto at = before.find(key);
    merged[key] = value;
    if (at != before.end() && at->second == value) continue;
    plan.changes.push_back({"environment." + key,
                            at == before.end() ? std::string() : shown(key, at->second),
                            shown(key, value)});
  }
  if (merged == before) return;
  std::size_t bytes = 0;
  for (const auto& [key, value] : merged) bytes += key.size() + value.size();
  if (bytes > kMaxEnvironmentBytes)
    fail(Code::invalid_argument,
         "deploying '{}': its environment would have {} bytes, Lambda takes {}; shorten --env "
         "values, or keep them in storage",
         name, human_count(bytes), human_count(kMaxEnvironmentBytes));
  plan.settings.environment = std::move(merged);
}

void compare_network(const aws::FunctionSettings& there, const aws::FunctionSettings& wanted,
                     Plan& plan) {
  Comparison comparison(plan.changes);
  const bool other_subnets = comparison.field("subnets", sorted(there.subnets),
                                              sorted(wanted.subnets), plan.settings.subnets);
  const bool other_groups =
      comparison.field("security_groups", sorted(there.security_groups),
                       sorted(wanted.security_groups), plan.settings.security_groups);
  if (!other_subnets && !other_groups) return;
  // The two must be sent together, or the service resets the other one.
  if (!plan.settings.subnets) plan.settings.subnets = there.subnets;
  if (!plan.settings.security_groups) plan.settings.security_groups = there.security_groups;
}

/// Of file systems, which are all sent.
void compare_mounts(const aws::FunctionSettings& there, const aws::FunctionSettings& wanted,
                    Plan& plan) {
  using Mounts = std::vector<std::string>;
  Comparison(plan.changes)
      .field("file_systems", std::optional(there.file_systems.value_or(Mounts())),
             wanted.file_systems, plan.settings.file_systems);
}

void compare_code(const Wanted& wanted, const aws::FunctionDescription& there, Plan& plan) {
  const bool is_image = there.package_type == "Image";
  if (!wanted.image_uri.empty() != is_image &&
      !(wanted.image_uri.empty() && wanted.code_sha256.empty()))
    fail(Code::invalid_argument,
         "deploying '{}': it was made from {} and cannot take {}; destroy it first, or choose "
         "another --function",
         wanted.name, is_image ? "an image" : "a zip", is_image ? "a zip" : "an image");
  const bool other_code =
      is_image ? !wanted.image_uri.empty() && wanted.image_uri != there.image_uri
               : !wanted.code_sha256.empty() && wanted.code_sha256 != there.code_sha256;
  const bool other_machine =
      !wanted.architecture.empty() && wanted.architecture != there.architecture;
  if (other_machine) {
    if (wanted.image_uri.empty() && wanted.code_sha256.empty())
      fail(Code::invalid_argument,
           "deploying '{}': --arch {} needs code of that architecture; give --zip or --image",
           wanted.name, wanted.architecture);
    plan.changes.push_back({"architecture", there.architecture, wanted.architecture});
  }
  if (other_code)
    plan.changes.push_back(
        {"code", is_image ? there.image_uri : "sha256 " + there.code_sha256,
         is_image ? wanted.image_uri
                  : fmt::format("sha256 {} ({})", wanted.code_sha256, wanted.code_text)});
  plan.code = other_code || other_machine;
  // If it were not sent, the service would set x86_64.
  plan.architecture = wanted.architecture.empty() ? there.architecture : wanted.architecture;
}

void plan_creation(const Wanted& wanted, Plan& plan) {
  if (wanted.image_uri.empty() && wanted.code_sha256.empty())
    fail(Code::invalid_argument,
         "deploying '{}': there is no such function yet, and a new one needs its code; give --zip "
         "(see `lambdaml package`) or --image",
         wanted.name);
  if (!wanted.settings.role || wanted.settings.role->empty())
    fail(Code::invalid_argument,
         "deploying '{}': a new function needs a role to run with; give --role ARN (`sam deploy "
         "-t deploy/template.yaml` makes one: its output WorkerRoleArn)",
         wanted.name);
  plan.create = true;
  plan.code = true;
  plan.architecture =
      wanted.architecture.empty() ? std::string(kOwnArchitecture) : wanted.architecture;
  plan.changes.push_back({"code", "",
                          wanted.image_uri.empty()
                              ? fmt::format("sha256 {} ({})", wanted.code_sha256, wanted.code_text)
                              : wanted.image_uri});
  plan.changes.push_back({"architecture", "", plan.architecture});
}

bool contains_any(std::string text, std::initializer_list<std::string_view> words) {
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return std::ranges::any_of(
      words, [&](std::string_view word) { return text.find(word) != std::string::npos; });
}

}  // namespace

bool is_ours(const aws::FunctionDescription& function) {
  const auto at = function.tags.find(std::string(kManagedTag));
  return at != function.tags.end() && at->second == "true";
}

std::string shown(std::string_view name, std::string_view value) {
  const bool secret =
      contains_any(std::string(name), {"SECRET", "TOKEN", "PASS", "KEY", "CREDENTIAL", "AUTH"}) ||
      value.find('@') != std::string_view::npos || value.starts_with("AKIA") ||
      value.starts_with("ASIA");
  return secret ? "(hidden)" : printable(value);
}

Plan make_plan(const Wanted& wanted, const std::optional<aws::FunctionDescription>& there,
               const aws::EventInvokeConfig& events) {
  if (there && !is_ours(*there))
    fail(Code::already_exists,
         "deploying '{}': a function of that name is there and was not made by lambdaml (it has no "
         "tag {}); choose another --function, or give it that tag with the value true",
         wanted.name, kManagedTag);
  Plan plan;
  aws::FunctionSettings target = wanted.settings;
  if (there) {
    compare_code(wanted, *there, plan);
  } else {
    plan_creation(wanted, plan);
    if (!target.handler) target.handler = "worker";
    if (!target.memory_mb) target.memory_mb = kDefaultMemory_mb;
    if (!target.timeout_s) target.timeout_s = kDefaultTimeout_s;
  }
  const aws::FunctionSettings before = there ? there->settings : aws::FunctionSettings();
  // An image has an entry point; its command names the handler to run.
  const bool is_image = there ? there->package_type == "Image" : !wanted.image_uri.empty();
  if (is_image) target.command = std::exchange(target.handler, std::nullopt);
  Comparison comparison(plan.changes);
  comparison.field("role", before.role, target.role, plan.settings.role);
  comparison.field("handler", before.handler, target.handler, plan.settings.handler);
  comparison.field("command", before.command, target.command, plan.settings.command);
  comparison.field("memory_mb", before.memory_mb, target.memory_mb, plan.settings.memory_mb);
  comparison.field("timeout_s", before.timeout_s, target.timeout_s, plan.settings.timeout_s);
  comparison.field("ephemeral_mb", before.ephemeral_mb, target.ephemeral_mb,
                   plan.settings.ephemeral_mb);
  compare_environment(wanted.name, before, target, plan);
  compare_network(before, target, plan);
  compare_mounts(before, target, plan);
  comparison.field("reserved_concurrency", there ? there->reserved_concurrency : std::nullopt,
                   wanted.reserved_concurrency, plan.reserved_concurrency);
  aws::EventInvokeConfig changed;
  const bool other_retries =
      comparison.field("retries", events.retries, wanted.events.retries, changed.retries);
  const bool other_age = comparison.field("max_event_age_s", events.max_age_s,
                                          wanted.events.max_age_s, changed.max_age_s);
  // Values that are not sent would be reset to the default.
  if (other_retries || other_age)
    plan.events = {changed.retries ? changed.retries : events.retries,
                   changed.max_age_s ? changed.max_age_s : events.max_age_s};
  const std::map<std::string, std::string> tags = {{std::string(kManagedTag), "true"},
                                                   {std::string(kVersionTag), wanted.version}};
  for (const auto& [key, value] : tags) {
    const auto at = there ? there->tags.find(key) : tags.end();
    const bool same = there && at != there->tags.end() && at->second == value;
    if (value.empty() || same) continue;
    plan.tags[key] = value;
    plan.changes.push_back(
        {"tag " + key, there && at != there->tags.end() ? at->second : "", value});
  }
  return plan;
}

}  // namespace lambdaml::deploy
