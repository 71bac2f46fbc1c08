#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "lambdaml/base/formats/metrics_text.h"
#include "lambdaml/faas/sandbox/function_pool.h"

namespace lambdaml::faas::emulator {

using nlohmann::json;

/// The functions of one account: the operations of the AWS Lambda service API as calls, without
/// HTTP. Throws ServiceError where AWS would refuse. Used by the loop's thread only.
class LambdaService {
 public:
  LambdaService(boost::asio::io_context& loop, EmulatorSettings settings);
  LambdaService(const LambdaService&) = delete;

  /// The functions' environment besides their own variables.
  sandbox::Variables& inherited() { return host_.inherited; }

  json create(const json& request);
  json get(const std::string& name);
  json configuration(const std::string& name);
  json update_code(const std::string& name, const json& request);
  json update_configuration(const std::string& name, const json& request);
  void remove(const std::string& name);
  json list(const std::string& marker, std::size_t most);
  /// One page, as there is only $LATEST; empty after any marker.
  json list_versions(const std::string& name, const std::string& marker);

  json put_concurrency(const std::string& name, const json& request);
  json concurrency(const std::string& name);
  void delete_concurrency(const std::string& name);
  /// With `keep`, settings that the request omits stay unchanged (Update); otherwise they become
  /// the defaults (Put).
  json put_event_config(const std::string& name, const json& request, bool keep);
  json event_config(const std::string& name);
  void delete_event_config(const std::string& name);
  /// One page, as there is only $LATEST; empty after any marker.
  json list_event_configs(const std::string& name, const std::string& marker);
  std::map<std::string, std::string>& tags(const std::string& name);
  json account_settings() const;

  /// `name` may be a name, or a partial or full ARN, with or without `:$LATEST`. Throws 404, and
  /// with `ready` 409 for a function that is Pending.
  sandbox::FunctionPool& function(const std::string& name, bool ready = false);

  /// The functions for Prometheus.
  MetricsText metrics() const;

  /// Ends all processes.
  void stop();

 private:
  std::string name_in(const std::string& text) const;
  std::string arn_of(const std::string& name) const;
  void read_code(const json& code, sandbox::FunctionConfig& config);
  sandbox::FunctionPool& updatable(const std::string& name, const json& request);
  json begin_update(sandbox::FunctionPool& function, sandbox::FunctionConfig config);
  json describe(const sandbox::FunctionPool& function) const;

  sandbox::Host host_;
  std::string region_;
  std::unique_ptr<sandbox::CodeFolder> folder_;
  std::map<std::string, std::shared_ptr<sandbox::FunctionPool>> functions_;
  std::vector<std::weak_ptr<sandbox::FunctionPool>> deleted_;  ///< their last events may run on
};

}  // namespace lambdaml::faas::emulator
