#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "integration/process.h"

namespace lambdaml::servers {

/// The smallest Ceph that serves S3: one monitor, one OSD that holds its objects in memory, one
/// gateway, all of them on 127.0.0.1 and without authentication among each other.
class Ceph {
 public:
  /// Starts all three in `folder`, which must be empty, and waits until the gateway answers: some
  /// 3 s. The user `access_key` may do anything. Throws what Process and await_answer() throw.
  Ceph(const std::filesystem::path& folder, const std::string& access_key,
       const std::string& secret_key);

  int port() const { return port_; }
  void stop_gateway() { gateway_.reset(); }
  void start_gateway();
  Process& gateway() { return *gateway_; }

  /// A program of it that is not on this machine; empty when all are.
  static std::string missing_program();

 private:
  void write_config() const;

  std::filesystem::path folder_;
  int monitor_port_;
  int port_;
  std::unique_ptr<Process> monitor_, osd_, gateway_;
};

}  // namespace lambdaml::servers
