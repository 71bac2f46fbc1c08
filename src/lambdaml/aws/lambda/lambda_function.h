#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "lambdaml/base/bytes.h"

/// Functions as the AWS Lambda service API describes them.
namespace lambdaml::aws {

/// The settings of a function. nullopt: unchanged, or the service's default for a new function.
struct FunctionSettings {
  std::optional<std::string> role = {};     ///< ARN of the role it runs with
  std::optional<std::string> handler = {};  ///< of a zip
  std::optional<std::string> command = {};  ///< of an image, the arguments of its entry point
  std::optional<int> memory_mb = {};        ///< 128 to 10,240
  std::optional<int> timeout_s = {};        ///< 1 to 900
  std::optional<int> ephemeral_mb = {};     ///< of /tmp, 512 to 10,240
  /// The whole set; at most 4 KB of names and values.
  std::optional<std::map<std::string, std::string>> environment = {};
  std::optional<std::vector<std::string>> subnets = {};
  std::optional<std::vector<std::string>> security_groups = {};
  /// What is mounted, "ARN=PATH": access points of EFS or S3 Files, at /mnt/….
  std::optional<std::vector<std::string>> file_systems = {};

  bool operator==(const FunctionSettings&) const = default;
};

/// Exactly one of: the bytes of a zip (at most 50 MB), an object in S3, or an image.
struct FunctionCode {
  Bytes zip = {};  ///< a view that lives as long as the call
  std::string s3_bucket = {};
  std::string s3_key = {};
  std::string image_uri = {};
  std::string architecture = {};  ///< "x86_64" or "arm64"; empty: unchanged, x86_64 for a new one
};

/// What the service says about a function.
struct FunctionDescription {
  std::string name;
  std::string arn;
  std::string runtime;       ///< empty for an image
  std::string package_type;  ///< "Zip" or "Image"
  std::string architecture;
  FunctionSettings settings;  ///< as far as the service reports them
  std::string code_sha256;    ///< base64, of the zip; of an image its digest
  std::string image_uri;      ///< only from get_function(), of an image
  std::int64_t code_bytes = 0;
  std::string state;                        ///< Pending, Active, Inactive, Failed
  std::string update;                       ///< of the last update: InProgress, Successful, Failed
  std::string reason;                       ///< why the state or the update is not as it should be
  std::string last_change;                  ///< as the service writes it
  std::map<std::string, std::string> tags;  ///< only from get_function()
  std::optional<int> reserved_concurrency;  ///< only from get_function()
};

/// What happens to an asynchronous event that fails.
struct EventInvokeConfig {
  std::optional<int> retries = {};    ///< 0 to 2, after the first attempt
  std::optional<int> max_age_s = {};  ///< 60 to 21,600; older events are dropped
  bool operator==(const EventInvokeConfig&) const = default;
};

/// Limits of the account in the region.
struct AccountSettings {
  int concurrency = 0;             ///< events that may run at the same time
  int unreserved_concurrency = 0;  ///< of these, not reserved for a function
};

}  // namespace lambdaml::aws
