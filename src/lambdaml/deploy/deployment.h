#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "lambdaml/aws/lambda/lambda_client.h"
#include "lambdaml/deploy/plan.h"

/// Making, changing and deleting functions, so that a second run changes nothing.
namespace lambdaml::deploy {

struct DeployOptions {
  std::string zip;       ///< a file; at most one of zip and image
  std::string image;     ///< URI in a registry
  std::string function;  ///< empty: lambdaml-HANDLER
  /// worker, trigger, tuner, or all: one function each. Empty: as it is, worker for a new one.
  std::string handler;
  std::string role;
  std::string code_bucket;  ///< s3://bucket[/prefix], by which the zip goes; needed above 50 MB
  std::optional<int> memory_mb, timeout_s, ephemeral_mb;
  std::vector<std::string> environment;  ///< NAME=VALUE
  std::string architecture;              ///< x86_64 or arm64; empty: as it is, this machine's
  std::vector<std::string> subnets, security_groups;
  std::optional<int> reserved_concurrency, retries, max_event_age_s;
  bool dry_run = false;
  std::string version;  ///< for the tag
  double wait_s = 300;  ///< for a function to become active
};

struct Deployed {
  std::string function;
  std::string arn;     ///< empty after a dry run that would make it
  std::string action;  ///< created, updated, unchanged, would create, would update
  std::vector<Change> changes;
};

/// Says what is being done; may be empty.
using Say = std::function<void(const std::string&)>;

/// Checks everything that can be checked, then makes or updates the functions and waits until they
/// can be called. With dry_run it only reads. Costs 1 request a function that is as it should be
/// (2 with retries or max_event_age_s), about 5 for a new one. Throws invalid_argument (before any
/// request, for what is out of range), not_found (no zip), already_exists (a function of that name
/// that is not ours), and what LambdaClient throws; an update that was begun is finished by the
/// next run.
std::vector<Deployed> deploy(aws::LambdaClient& client, const DeployOptions& options,
                             const Say& say = {});

struct DestroyOptions {
  std::vector<std::string> names = {};
  bool all = false;  ///< every function that carries our tag, instead of names
  bool dry_run = false;
};

struct Destroyed {
  std::vector<std::string> deleted;  ///< or what would be
  std::vector<std::string> absent;   ///< named, and not there
  std::vector<std::string> left;     ///< with `all`: not ours
};

/// Deletes functions of ours. Looks at all first: a name that is not ours is invalid_argument, and
/// nothing is deleted. 2 requests a function, with `all` also 1 for every other one.
Destroyed destroy(aws::LambdaClient& client, const DestroyOptions& options, const Say& say = {});

}  // namespace lambdaml::deploy
