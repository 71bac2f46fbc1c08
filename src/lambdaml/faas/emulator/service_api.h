#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "lambdaml/aws/signature_check.h"
#include "lambdaml/faas/emulator/lambda_service.h"
#include "lambdaml/faas/sandbox/http_server.h"

namespace lambdaml::faas::emulator {

/// The AWS Lambda service API as a function of requests, without sockets: signatures and routing in
/// front of a LambdaService. Used by the loop's thread only.
class ServiceApi {
 public:
  /// Requests must be signed with one of the keys; without keys no signature is needed.
  ServiceApi(LambdaService& service, std::vector<aws::Credentials> keys);

  /// Decides by a request's head how large its body may be, or why the request is refused.
  sandbox::HttpServer::Admission admit(const sandbox::HttpRequest& head) const;
  sandbox::HttpReply refuse_large(const sandbox::HttpRequest& head) const;
  /// Answers a complete request, now or when the function that it invokes has ended.
  void serve(std::shared_ptr<sandbox::Exchange> exchange);

  struct Target;

 private:
  void invoke(const std::shared_ptr<sandbox::Exchange>& exchange, const Target& target);
  sandbox::HttpReply route(const Target& target, const sandbox::HttpRequest& request);
  sandbox::HttpReply route_functions(const Target& target, const sandbox::HttpRequest& request);
  sandbox::HttpReply route_tags(const Target& target, const sandbox::HttpRequest& request);

  LambdaService& service_;
  std::optional<aws::SignatureCheck> check_;
};

}  // namespace lambdaml::faas::emulator
