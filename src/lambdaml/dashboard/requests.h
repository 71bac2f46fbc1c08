#pragma once

#include <map>
#include <string>
#include <string_view>

#include "lambdaml/faas/sandbox/http_server.h"

namespace lambdaml::dashboard {

/// A request's target in its parts.
struct Target {
  std::string path;
  std::map<std::string, std::string> query;  ///< decoded

  /// The value of that name; empty if there is none.
  const std::string& at(const std::string& name) const;
};

Target target_of(std::string_view target);

/// Replies with the headers that all of the dashboard's have: nothing is cached, and no page
/// elsewhere shows or learns anything.
faas::sandbox::HttpReply reply_with(int status, const char* type, std::string body);
faas::sandbox::HttpReply page_reply(int status, std::string body);
faas::sandbox::HttpReply json_reply(int status, std::string body);
/// {"error": message}
faas::sandbox::HttpReply error_reply(int status, const std::string& message);
/// The reply for an exception: one line without secrets.
faas::sandbox::HttpReply reply_for(const std::exception& error);

}  // namespace lambdaml::dashboard
