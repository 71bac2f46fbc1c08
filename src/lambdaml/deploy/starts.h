#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lambdaml/deploy/plan.h"

/// Jobs that start by themselves: rules of Amazon EventBridge that call a trigger function with a
/// job, by a schedule or for each new object in S3. A rule belongs to the function whose name its
/// own begins with, and carries the tag kManagedTag; rules without it are never changed.
namespace lambdaml::deploy {

/// The functions' tag that says which rules they have: "schedule", "upload", both, or "none".
inline constexpr std::string_view kStartsTag = "lambdaml:starts";
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

  /// Compares; some 4 requests for each rule, and one for the bucket. Throws already_exists (a rule
  /// of that name that is not ours), not_found (no such bucket), permission_denied.
  std::vector<Change> look(const Starts& wanted);
  /// Makes it so, after look(). `arn` is the function's. Afterwards tags() are for the function.
  void apply(aws::LambdaClient& client, const std::string& arn);
  std::map<std::string, std::string> tags() const;

  /// Deletes both rules if they are there, and has the bucket send no more events if a rule made it
  /// send them. Returns the names of the deleted rules.
  std::vector<std::string> remove();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lambdaml::deploy
