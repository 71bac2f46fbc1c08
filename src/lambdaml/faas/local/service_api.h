#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "lambdaml/aws/signature_check.h"
#include "lambdaml/faas/local/http_server.h"
#include "lambdaml/faas/local/lambda_service.h"

namespace lambdaml::faas::local {

/// The AWS Lambda service API on requests, without sockets: signatures and routes before a
/// LambdaService. Belongs to the loop's thread.
class ServiceApi {
 public:
  /// Requests must be signed with one of the keys; without keys they need no signature.
  ServiceApi(LambdaService& service, std::vector<aws::Credentials> keys);

  /// What the head of a request tells: how large its body may be, or why it is refused.
  HttpServer::Admission admit(const HttpRequest& head) const;
  HttpReply refuse_large(const HttpRequest& head) const;
  /// Answers a whole request, now or when the function that it invokes has ended.
  void serve(std::shared_ptr<Exchange> exchange);

  struct Target;

 private:
  void invoke(const std::shared_ptr<Exchange>& exchange, const Target& target);
  HttpReply route(const Target& target, const HttpRequest& request);
  HttpReply route_functions(const Target& target, const HttpRequest& request);
  HttpReply route_tags(const Target& target, const HttpRequest& request);

  LambdaService& service_;
  std::optional<aws::SignatureCheck> check_;
};

}  // namespace lambdaml::faas::local
