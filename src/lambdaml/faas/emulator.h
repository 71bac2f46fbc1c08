#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "lambdaml/aws/sigv4.h"
#include "lambdaml/base/formats/metrics_text.h"

/// A Lambda service on this machine: the AWS Lambda service API on loopback, in front of processes
/// that speak the Runtime API.
namespace lambdaml::faas {

struct EmulatorSettings {
  std::uint16_t port = 0;            ///< of 127.0.0.1; 0 picks a free one
  double retry_delay_s = 60;         ///< before an asynchronous event's second attempt; doubles
  double idle_s = 300;               ///< ends environments that are idle for this long
  int concurrency = 1000;            ///< events running at a time, over all functions
  bool deliver_twice = false;        ///< deliver each asynchronous event twice, as AWS may
  std::filesystem::path log_folder;  ///< logs go to LOG_FOLDER/FUNCTION/; empty: to stderr
  /// Requests must be signed with one of them; if empty, no signature is needed.
  std::vector<aws::Credentials> keys;
  /// The credentials in the functions' environment; nullopt: those of this process's environment.
  std::optional<aws::Credentials> function_keys;
  /// Fetches a zip by bucket and key for a function to be created; throws if it cannot. Empty:
  /// functions can only be created from zips within the request.
  std::function<std::string(const std::string& bucket, const std::string& key)> fetch_code;
};

/// Runs in a thread of its own from construction to destruction, which leaves no process and no
/// folder behind.
class Emulator {
 public:
  virtual ~Emulator() = default;
  virtual std::uint16_t port() const = 0;
  /// Its functions and their events in numbers. Thread-safe.
  virtual MetricsText metrics() = 0;
};

}  // namespace lambdaml::faas
