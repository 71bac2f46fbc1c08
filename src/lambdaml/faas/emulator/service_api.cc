#include "lambdaml/faas/emulator/service_api.h"

#include <algorithm>
#include <chrono>
#include <optional>

#include <fmt/format.h>

#include "lambdaml/base/clock.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/formats/base64.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/text.h"
#include "lambdaml/base/uri.h"
#include "lambdaml/faas/sandbox/service_error.h"

namespace lambdaml::faas::emulator {

/// A parsed request target.
struct ServiceApi::Target {
  explicit Target(std::string_view text) {
    const std::size_t mark = text.find('?');
    for (const std::string& part : split(text.substr(0, mark), '/'))
      if (!part.empty()) path.push_back(percent_decoded_leniently(part));
    if (mark == std::string_view::npos) return;
    for (const std::string& pair : split(text.substr(mark + 1), '&')) {
      const std::size_t equals = pair.find('=');
      query.emplace_back(
          percent_decoded_leniently(pair.substr(0, equals)),
          equals == std::string::npos ? "" : percent_decoded_leniently(pair.substr(equals + 1)));
    }
  }
  std::string value(std::string_view name) const {
    for (const auto& [key, value] : query)
      if (key == name) return value;
    return {};
  }
  std::vector<std::string> path;
  std::vector<std::pair<std::string, std::string>> query;
};

namespace {

using Target = ServiceApi::Target;

/// A request with a zip of 50 MB in base64, as AWS allows.
constexpr std::size_t kMostRequest = 70'167'211;
constexpr std::size_t kMostSynchronous = 6'291'556;
constexpr std::size_t kMostAsynchronous = 1u << 20;
constexpr std::size_t kMostListed = 50;

sandbox::HttpReply reply_of(int status, const json& body) {
  return {status, json_text(body), {{"Content-Type", "application/json"}}};
}

sandbox::HttpReply reply_of(const sandbox::ServiceError& error) {
  json body = {{"Type", error.status < 500 ? "User" : "Service"}, {"Message", error.what()}};
  if (!error.reason.empty()) {
    body["Reason"] = error.reason;
    body["message"] = error.what();
  }
  sandbox::HttpReply out = reply_of(error.status, body);
  out.headers.emplace_back("X-Amzn-ErrorType", error.type);
  if (error.status == 429) out.headers.emplace_back("Retry-After", "1");
  return out;
}

sandbox::ServiceError too_large(std::size_t most) {
  return {
      413, "RequestTooLargeException",
      fmt::format("Request must be smaller than {} bytes for the InvokeFunction operation", most)};
}

json body_of(const sandbox::HttpRequest& request) {
  json body = request.body.empty() ? json::object() : parse_json(request.body);
  if (!body.is_object())
    throw sandbox::ServiceError(400, "InvalidRequestContentException",
                                "Could not parse request body into json");
  return body;
}

/// How many items the page of a list may have. Throws for a MaxItems that is not 1 to `most`.
std::size_t page_size(const Target& target, std::int64_t most) {
  const std::string wanted = target.value("MaxItems");
  const auto items = to_integer(wanted.empty() ? "50" : wanted);
  if (!items || *items < 1 || *items > most)
    throw sandbox::invalid_parameter(fmt::format("MaxItems must be 1 to {}.", most));
  return std::min(static_cast<std::size_t>(*items), kMostListed);
}

void answer(sandbox::Exchange& exchange, sandbox::HttpReply reply) {
  reply.headers.emplace_back("x-amzn-RequestId", new_request_id());
  exchange.reply(std::move(reply));
}

bool is_invocation(const Target& target) {
  return target.path.size() == 4 && target.path[0] == "2015-03-31" &&
         target.path[1] == "functions" && target.path[3] == "invocations";
}

/// Whether the request may contain a zip.
bool is_about_code(const Target& target) {
  return target.path.size() >= 2 && target.path[1] == "functions" &&
         (target.path.size() == 2 || (target.path.size() == 4 && target.path[3] == "code"));
}

/// AWS's message, followed by where to set the keys.
sandbox::HttpReply reply_of(const aws::Refusal& refusal) {
  return reply_of(sandbox::ServiceError(
      refusal.status, refusal.type,
      refusal.message + " This service takes the keys that `lambdaml emulate` found in its "
                        "environment or printed at its start."));
}

}  // namespace

ServiceApi::ServiceApi(LambdaService& service, std::vector<aws::Credentials> keys)
    : service_(service) {
  if (!keys.empty()) check_.emplace("lambda", std::move(keys));
}

sandbox::HttpServer::Admission ServiceApi::admit(const sandbox::HttpRequest& head) const {
  sandbox::HttpServer::Admission out;
  out.body_bytes = is_about_code(Target(head.target)) ? kMostRequest : kMostSynchronous;
  if (!check_) return out;
  if (const auto refusal = check_->check_head({head.method, head.target, head.headers}, wall_now()))
    out.refusal = reply_of(*refusal);
  return out;
}

sandbox::HttpReply ServiceApi::refuse_large(const sandbox::HttpRequest& head) const {
  return reply_of(is_about_code(Target(head.target))
                      ? sandbox::ServiceError(
                            413, "RequestTooLargeException",
                            fmt::format("Request must be smaller than {} bytes", kMostRequest))
                      : too_large(kMostSynchronous));
}

void ServiceApi::serve(std::shared_ptr<sandbox::Exchange> exchange) {
  sandbox::HttpReply refusal;
  try {
    const sandbox::HttpRequest& request = exchange->request;
    if (check_)
      if (const auto wrong = check_->check({request.method, request.target, request.headers},
                                           as_bytes(request.body), wall_now()))
        return answer(*exchange, reply_of(*wrong));
    const Target target(request.target);
    if (is_invocation(target)) return invoke(exchange, target);
    return answer(*exchange, route(target, request));
  } catch (const sandbox::ServiceError& error) {
    refusal = reply_of(error);
  } catch (const json::exception& error) {
    refusal = reply_of(
        sandbox::ServiceError(400, "SerializationException", printable(error.what(), 300)));
  } catch (const std::exception& error) {
    refusal =
        reply_of(sandbox::ServiceError(500, "ServiceException", printable(error.what(), 500)));
  }
  answer(*exchange, std::move(refusal));
}

void ServiceApi::invoke(const std::shared_ptr<sandbox::Exchange>& exchange, const Target& target) {
  sandbox::HttpRequest& request = exchange->request;
  if (request.method != "POST")
    throw sandbox::ServiceError(405, "MethodNotAllowedException", "Not a POST.");
  const std::string type(request.header("X-Amz-Invocation-Type"));
  const bool is_event = type == "Event";
  if (!type.empty() && !is_event && type != "RequestResponse" && type != "DryRun")
    throw sandbox::invalid_parameter(fmt::format("No invocation type: '{}'.", printable(type)));
  const std::size_t most = is_event ? kMostAsynchronous : kMostSynchronous;
  if (request.body.size() > most) throw too_large(most);
  std::string name = target.path[2];
  if (const std::string qualifier = target.value("Qualifier"); !qualifier.empty())
    name += ":" + qualifier;
  sandbox::FunctionPool& function = service_.function(name, true);
  if (type == "DryRun") return answer(*exchange, {204});
  if (request.body.empty()) request.body = "{}";
  if (!json::accept(request.body))
    throw sandbox::ServiceError(400, "InvalidRequestContentException",
                                "Could not parse request body into json: the payload is no JSON");
  std::string id = new_request_id();
  if (is_event) {
    function.enqueue(id, std::move(request.body));
    return exchange->reply({202, {}, {{"x-amzn-RequestId", id}}});
  }
  const bool tail = request.header("X-Amz-Log-Type") == "Tail";
  function.invoke(id, std::move(request.body), [exchange, tail, id](sandbox::InvokeAnswer result) {
    sandbox::HttpReply reply{200, std::move(result.body), {{"Content-Type", "application/json"}}};
    reply.headers.emplace_back("x-amzn-RequestId", id);
    reply.headers.emplace_back("X-Amz-Executed-Version", "$LATEST");
    if (result.is_error) reply.headers.emplace_back("X-Amz-Function-Error", "Unhandled");
    if (tail)
      reply.headers.emplace_back("X-Amz-Log-Result", encode_base64(as_bytes(result.log_tail)));
    exchange->reply(std::move(reply));
  });
}

sandbox::HttpReply ServiceApi::route(const Target& target, const sandbox::HttpRequest& request) {
  const auto& path = target.path;
  if (path.size() >= 2 && path[1] == "functions") return route_functions(target, request);
  if (path.size() >= 3 && path[0] == "2017-03-31" && path[1] == "tags")
    return route_tags(target, request);
  if (path.size() == 2 && path[1] == "account-settings" && request.method == "GET")
    return reply_of(200, service_.account_settings());
  throw sandbox::ServiceError(404, "UnknownOperationException", "No such operation here.");
}

sandbox::HttpReply ServiceApi::route_functions(const Target& target,
                                               const sandbox::HttpRequest& request) {
  const auto& path = target.path;
  const std::string& verb = request.method;
  if (path.size() == 2) {
    if (verb == "POST") return reply_of(201, service_.create(body_of(request)));
    if (verb == "GET")
      return reply_of(200, service_.list(target.value("Marker"), page_size(target, 10'000)));
  }
  if (path.size() == 3) {
    if (verb == "GET") return reply_of(200, service_.get(path[2]));
    if (verb == "DELETE") {
      service_.remove(path[2]);
      return {204};
    }
  }
  if (path.size() == 5 && path[3] == "event-invoke-config" && path[4] == "list" && verb == "GET") {
    page_size(target, 50);
    return reply_of(200, service_.list_event_configs(path[2], target.value("Marker")));
  }
  const std::string what = path.size() == 4 ? path[3] : "";
  if (what == "versions" && verb == "GET") {
    page_size(target, 10'000);
    return reply_of(200, service_.list_versions(path[2], target.value("Marker")));
  }
  if (what == "configuration" && verb == "GET")
    return reply_of(200, service_.configuration(path[2]));
  if (what == "configuration" && verb == "PUT")
    return reply_of(200, service_.update_configuration(path[2], body_of(request)));
  if (what == "code" && verb == "PUT")
    return reply_of(200, service_.update_code(path[2], body_of(request)));
  if (what == "concurrency" && verb == "PUT")
    return reply_of(200, service_.put_concurrency(path[2], body_of(request)));
  if (what == "concurrency" && verb == "GET") return reply_of(200, service_.concurrency(path[2]));
  if (what == "concurrency" && verb == "DELETE") {
    service_.delete_concurrency(path[2]);
    return {204};
  }
  if (what == "event-invoke-config" && verb == "GET")
    return reply_of(200, service_.event_config(path[2]));
  if (what == "event-invoke-config" && (verb == "PUT" || verb == "POST"))
    return reply_of(200, service_.put_event_config(path[2], body_of(request), verb == "POST"));
  if (what == "event-invoke-config" && verb == "DELETE") {
    service_.delete_event_config(path[2]);
    return {204};
  }
  throw sandbox::ServiceError(404, "UnknownOperationException", "No such operation here.");
}

sandbox::HttpReply ServiceApi::route_tags(const Target& target,
                                          const sandbox::HttpRequest& request) {
  auto& tags = service_.tags(target.path[2]);
  if (request.method == "GET") return reply_of(200, {{"Tags", tags}});
  if (request.method == "POST") {
    const std::map<std::string, std::string> added = body_of(request).at("Tags");
    for (const auto& [key, value] : added) tags[key] = value;
  } else {
    for (const auto& [key, value] : target.query)
      if (key == "tagKeys") tags.erase(value);
  }
  return {204};
}

}  // namespace lambdaml::faas::emulator
