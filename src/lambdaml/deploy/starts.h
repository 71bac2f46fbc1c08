#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lambdaml/deploy/plan.h"

namespace lambdaml::aws {
class LambdaClient;
}

/// Jobs that start by themselves: rules of Amazon EventBridge that call a trigger function with a
/// job, by a schedule or for each new object in S3. A rule belongs to the function whose name its
/// own begins with, and carries the tag kManagedTag; rules without it are never changed.
namespace lambdaml::deploy {

/// The functions' tag that says which rules may call them: "schedule", "upload", both, or "none";
/// kChanging while that changes.
inline constexpr std::string_view kStartsTag = "lambdaml:starts";
inline constexpr std::string_view kChanging = "changing";
/// A value that removes a rule.
inline constexpr std::string_view kNone = "none";

/// What is wanted; empty: unchanged.
struct Starts {
  std::string schedule;   ///< cron(…) or rate(…), or kNone
  std::string on_upload;  ///< s3://BUCKET/PREFIX, or kNone: for each new object whose key begins so
  std::string job;        ///< what the trigger takes, one JSON object
  bool empty() const { return schedule.empty() && on_upload.empty() && job.empty(); }
};

/// Checks all that can be checked without a request. Throws invalid_argument: for a schedule that
/// EventBridge refuses, a place that is no bucket, a job that is missing, too long for a rule
/// (8,192 bytes), out of the functions' reach, or writes where its own uploads start it.
void check_starts(const Starts& starts, const std::string& function);

/// The rules of one function.
class StartRules {
 public:
  /// Sends nothing. Throws invalid_argument (no region).
  explicit StartRules(std::string function);
  StartRules(const StartRules&) = delete;
  StartRules& operator=(const StartRules&) = delete;
  ~StartRules();

  /// Compares; some 4 requests for each rule, and one for the bucket. `tagged` is the value of the
  /// function's tag kStartsTag, empty without one: a rule that it does not name may not call the
  /// function. Throws already_exists (a rule of that name that is not ours), not_found (no such
  /// bucket), permission_denied.
  std::vector<Change> look(const Starts& wanted, const std::string& tagged);
  /// Makes it so, after look(). `arn` is the function's. Afterwards tags() are for the function.
  void apply(aws::LambdaClient& client, const std::string& arn);
  std::map<std::string, std::string> tags() const;

  /// Of the rules that are there.
  std::vector<std::string> names();
  /// Deletes both rules if they are there. A bucket that sends events because of a rule sends none
  /// any more, unless another rule takes them. Returns the names of the deleted rules.
  std::vector<std::string> remove();
  /// What apply() and remove() left behind and why, a line each.
  const std::vector<std::string>& notes() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lambdaml::deploy
