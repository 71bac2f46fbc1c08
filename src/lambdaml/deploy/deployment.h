#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "lambdaml/aws/lambda/lambda_client.h"
#include "lambdaml/deploy/plan.h"
#include "lambdaml/deploy/starts.h"

/// Creating, updating and deleting functions, idempotently.
namespace lambdaml::deploy {

struct DeployOptions {
  std::string zip;       ///< a file; at most one of zip and image
  std::string image;     ///< URI in a registry
  std::string function;  ///< empty: lambdaml-HANDLER
  /// worker, trigger, tuner, predict, or all: one function each (predict only with a model). Empty:
  /// unchanged, worker for a new one.
  std::string handler;
  /// The path or URI of the model that the handler predict predicts with; a new one needs it.
  std::string model;
  std::string role;
  std::string code_bucket;  ///< s3://bucket[/prefix] for uploading the zip; needed above 50 MB
  std::optional<int> memory_mb, timeout_s, ephemeral_mb;
  std::vector<std::string> environment;  ///< NAME=VALUE
  std::string architecture;              ///< x86_64 or arm64; empty: unchanged or this machine's
  std::vector<std::string> subnets, security_groups;
  std::string file_system;  ///< ARN=/mnt/NAME, or kNone; empty: unchanged
  std::optional<int> reserved_concurrency, retries, max_event_age_s;
  Starts starts;  ///< jobs that start by themselves; with the handler trigger (or all)
  bool dry_run = false;
  std::string version;  ///< for the tag
  double wait_s = 300;  ///< for a function to become active
};

struct Deployed {
  std::string function;
  std::string arn;     ///< empty after a dry run that would create it
  std::string action;  ///< created, updated, unchanged, would create, would update
  std::vector<Change> changes;
};

/// As `lambdaml deploy --json` prints it: function, arn, action, and changes (field, from, to).
nlohmann::ordered_json to_json(const Deployed& deployed);

/// Receives progress messages; may be empty.
using Say = std::function<void(const std::string&)>;

/// Checks everything that can be checked, then creates or updates the functions and waits until
/// they can be called. With dry_run it only reads. Costs 1 request per unchanged function (2 with
/// retries or max_event_age_s), about 5 for a new one. Throws invalid_argument (before any request,
/// for values out of range), not_found (no zip), already_exists (a function of that name that this
/// program did not create), and what LambdaClient throws; an interrupted update is completed by the
/// next run.
std::vector<Deployed> deploy(aws::LambdaClient& client, const DeployOptions& options,
                             const Say& say = {});

struct DestroyOptions {
  std::vector<std::string> names = {};
  bool all = false;  ///< every function with our tag, instead of names
  bool dry_run = false;
};

struct Destroyed {
  std::vector<std::string> deleted;  ///< in a dry run, those that would be
  std::vector<std::string> absent;   ///< named but not found
  std::vector<std::string> left;     ///< with `all`: not ours
  std::vector<std::string> rules;    ///< of EventBridge, which go with their functions
  std::vector<std::string> notes;    ///< what else stays and why, a line each
};

/// Deletes functions that this program created. Checks all of them first: for a name that is not
/// ours it throws invalid_argument and deletes nothing. Rules that start jobs (starts.h) are
/// deleted before their function. 2 requests per function; with `all` also 1 for every other
/// function.
Destroyed destroy(aws::LambdaClient& client, const DestroyOptions& options, const Say& say = {});

}  // namespace lambdaml::deploy
