#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace lambdaml::deploy {

/// Workers as the tasks of a Kubernetes Indexed Job.
struct K8sJob {
  std::string name = "lambdaml";  ///< of the Job
  std::string image;              ///< what `lambdaml package --oci` wrote, in a registry
  std::int64_t workers = 1;
  std::string events;          ///< the --events of `lambdaml train --platform array`
  std::int64_t memory_mb = 0;  ///< of each worker; 0: no limit
  int retries = 2;             ///< of each worker
  std::string secret;          ///< whose values are the workers' environment; empty: none
  std::map<std::string, std::string> environment;
};

/// The manifest, YAML. All tasks run at once (parallelism = completions), because workers wait for
/// each other. Throws invalid_argument for a name that Kubernetes refuses, without an image, and
/// for a place that the pods cannot reach.
std::string manifest_of(const K8sJob& job);

}  // namespace lambdaml::deploy
