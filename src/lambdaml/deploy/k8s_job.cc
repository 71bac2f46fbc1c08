#include "lambdaml/deploy/k8s_job.h"

#include <algorithm>
#include <cctype>

#include <nlohmann/json.hpp>

#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/text.h"
#include "lambdaml/storage/registry.h"

namespace lambdaml::deploy {
namespace {

/// A JSON string is a YAML string whatever it holds.
std::string quoted(const std::string& text) { return json_text(nlohmann::json(text)); }

/// RFC 1123, as Kubernetes wants the names of Jobs and Secrets.
void require_name(const char* flag, const std::string& name) {
  const auto is_inner = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  };
  if (!name.empty() && name.size() <= 63 && std::ranges::all_of(name, is_inner) &&
      name.front() != '-' && name.back() != '-')
    return;
  fail(Code::invalid_argument,
       "package --k8s: {} '{}': a name of Kubernetes has up to 63 of a-z, 0-9 and '-', not at its "
       "ends",
       flag, printable(name));
}

void check(const K8sJob& job) {
  require_name("--name", job.name);
  if (!job.secret.empty()) require_name("--secret", job.secret);
  for (const auto& [name, value] : job.environment)
    if (name.empty() || std::isdigit(static_cast<unsigned char>(name[0])) ||
        !std::ranges::all_of(name, [](unsigned char c) {
          return std::isalnum(c) || c == '_' || c == '-' || c == '.';
        }))
      fail(Code::invalid_argument,
           "package --k8s: --env {}: a variable's name has letters, digits, '_', '-' and '.'",
           printable(name));
  if (job.image.empty())
    fail(Code::invalid_argument,
         "package --k8s: name the workers' image with --image (lambdaml package --oci makes one)");
  if (job.events.empty())
    fail(Code::invalid_argument,
         "package --k8s: say with --events where the workers find their events, as in lambdaml "
         "train --platform array");
  const Uri place = storage::resolve(job.events);
  // The manifest has no volumes.
  if (storage::reach_of(place) != Reach::anywhere || storage::local_file(place))
    fail(Code::invalid_argument,
         "package --k8s: --events {}: pods cannot reach it; give the URI of a storage service",
         place.display());
  if (!place.host.empty() && place.host.find('@') != std::string::npos)
    fail(Code::invalid_argument,
         "package --k8s: --events {}: its password would stand in the manifest; use a store with "
         "credentials of its own, by --secret",
         place.display());
}

}  // namespace

std::string manifest_of(const K8sJob& job) {
  check(job);
  std::string text = fmt::format(R"(# Made by lambdaml package --k8s. First or afterwards:
#   lambdaml train --platform array --workers {0} --events {1} …
apiVersion: batch/v1
kind: Job
metadata:
  name: {2}
spec:
  completionMode: Indexed
  completions: {0}
  # Workers wait for each other, so all must run at once.
  parallelism: {0}
  backoffLimit: {3}
  template:
    spec:
      restartPolicy: OnFailure
      containers:
      - name: worker
        image: {4}
        args: [worker]
)",
                                 job.workers, storage::resolve(job.events).text(), quoted(job.name),
                                 job.workers * job.retries, quoted(job.image));
  text += "        env:\n";
  const auto add = [&](const std::string& name, const std::string& value) {
    text += fmt::format("        - name: {}\n          value: {}\n", quoted(name), quoted(value));
  };
  add("LAMBDAML_EVENTS", storage::resolve(job.events).text());
  for (const auto& [name, value] : job.environment) add(name, value);
  if (!job.secret.empty())
    text += fmt::format("        envFrom:\n        - secretRef:\n            name: {}\n",
                        quoted(job.secret));
  if (job.memory_mb > 0)
    text += fmt::format(
        "        resources:\n          requests:\n            memory: {0}Mi\n          limits:\n"
        "            memory: {0}Mi\n",
        job.memory_mb);
  return text;
}

}  // namespace lambdaml::deploy
