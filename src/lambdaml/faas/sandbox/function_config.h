#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "lambdaml/faas/sandbox/zip_file.h"

namespace lambdaml::faas::sandbox {

using nlohmann::json;

/// A function's configuration, as set by CreateFunction and the updates.
struct FunctionConfig {
  std::string name;
  std::string arn;
  std::string role;
  std::string runtime = "provided.al2023";
  std::string handler = "bootstrap";
  std::string description;
  int timeout_s = 3;
  int memory_mb = 128;
  int ephemeral_mb = 512;
  std::string architecture = "x86_64";
  std::map<std::string, std::string> variables;
  // Kept, without an effect here.
  std::string tracing = "PassThrough";
  std::vector<std::string> subnets, security_groups;
  std::string revision;
  std::string last_modified;
  /// For a function without a zip: the program to start, whose memory limit applies to malloc.
  std::filesystem::path executable;
  // Of the code.
  std::shared_ptr<const CodeFolder> code;
  std::string code_sha256;
  std::size_t code_bytes = 0;
};

/// How often and for how long asynchronous events are retried.
struct EventInvokeConfig {
  int retries = 2;      ///< MaximumRetryAttempts
  int age_s = 21'600;   ///< MaximumEventAgeInSeconds
  double modified = 0;  ///< seconds of the epoch
};

/// Applies the settings in the request body and leaves the others unchanged; sets a new revision.
/// Throws ServiceError for what AWS refuses or this service does not support, and json::exception
/// for values of wrong types.
void read_config(const json& request, FunctionConfig& config);
/// Throws ServiceError (412) if the request names another revision.
void check_revision(const json& request, const FunctionConfig& config);
/// `before` with the request's settings applied.
EventInvokeConfig read_event_invoke_config(const json& request, EventInvokeConfig before);
json to_json(const EventInvokeConfig& config, const std::string& arn);
/// The configuration without the states.
json to_json(const FunctionConfig& config);

double epoch_seconds();

}  // namespace lambdaml::faas::sandbox
