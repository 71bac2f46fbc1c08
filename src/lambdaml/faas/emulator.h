#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "lambdaml/aws/sigv4.h"

/// A Lambda service on this machine: the AWS Lambda service API on loopback, before processes that
/// speak the Runtime API.
namespace lambdaml::faas {

struct EmulatorSettings {
  std::uint16_t port = 0;            ///< of 127.0.0.1; 0 picks a free one
  double retry_delay_s = 60;         ///< before an asynchronous event's second try; doubles
  double idle_s = 300;               ///< an environment without an event for so long is ended
  int concurrency = 1000;            ///< events that run at once, of all functions
  bool deliver_twice = false;        ///< each asynchronous event, as AWS may
  std::filesystem::path log_folder;  ///< logs go to LOG_FOLDER/FUNCTION/; empty: to stderr
  /// Requests must be signed with one of them; none: requests need no signature.
  std::vector<aws::Credentials> keys;
  /// What functions find in their environment to sign with; absent: what this process has in its
  /// own.
  std::optional<aws::Credentials> function_keys;
  /// The bytes of a zip that a function is created from by bucket and key; throws what tells why
  /// not. Empty: functions come as zips in the request only.
  std::function<std::string(const std::string& bucket, const std::string& key)> fetch_code;
};

/// Runs from its making until its destruction, in a thread of its own. Leaves no process and no
/// folder.
class Emulator {
 public:
  virtual ~Emulator() = default;
  virtual std::uint16_t port() const = 0;
};

}  // namespace lambdaml::faas
