#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "integration/process.h"

namespace lambdaml::servers {

/// A Slurm of one node on this machine: munged, slurmctld and slurmd, which offers more processors
/// than there are. Its commands find it by SLURM_CONF. Destruction ends its jobs.
class Slurm {
 public:
  static constexpr int kProcessors = 16;

  /// The program that is missing; empty if Slurm can be started.
  static std::string missing();

  /// Starts it in `folder` and waits until the node takes jobs: some 3 s. Throws what Process
  /// throws, and unavailable with the daemons' last lines.
  explicit Slurm(const std::filesystem::path& folder);
  ~Slurm();

  /// "SLURM_CONF=PATH".
  std::string environment() const;
  /// What a command of Slurm prints, e.g. "squeue --noheader". Throws internal if it fails.
  std::string run(const std::string& command) const;
  /// The process of the task with that rank, or 0.
  pid_t process_of(int rank) const;

 private:
  void write_configuration() const;

  const std::filesystem::path folder_;
  const int controller_port_, node_port_;
  std::unique_ptr<Process> munged_, controller_, node_;
};

}  // namespace lambdaml::servers
