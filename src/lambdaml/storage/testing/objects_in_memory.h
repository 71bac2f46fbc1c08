#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lambdaml/aws/testing/scripted_server.h"

namespace lambdaml::storage {

/// For tests: what S3 answers about the objects of one bucket, which lie in memory; a directory
/// bucket's sessions too. For the handler of a ScriptedServer, which adds what S3 does not do on
/// request.
class ObjectsInMemory {
 public:
  explicit ObjectsInMemory(const std::string& bucket) : root_("/" + bucket) {}

  aws::ScriptedAnswer answer(const aws::ScriptedRequest& heard) {
    if (heard.target.ends_with("?session="))
      return {.body =
                  "<CreateSessionResult><Credentials><AccessKeyId>ASIAEXAMPLE</AccessKeyId>"
                  "<SecretAccessKey>SECRETEXAMPLE</SecretAccessKey>"
                  "<SessionToken>TOKENEXAMPLE</SessionToken></Credentials></CreateSessionResult>"};
    if (heard.method == "PUT") {
      objects_[heard.target] = heard;
      return {};
    }
    if (heard.method == "DELETE") {
      objects_.erase(heard.target);
      return {.status = 204};
    }
    if (heard.method == "POST") {  // DeleteObjects
      constexpr std::string_view kBegin = "<Key>";
      for (std::size_t at = 0; (at = heard.body.find(kBegin, at)) != std::string::npos;) {
        at += kBegin.size();
        objects_.erase(root_ + "/" + heard.body.substr(at, heard.body.find('<', at) - at));
      }
      return {.body = "<DeleteResult/>"};
    }
    if (heard.target.starts_with(root_ + "?")) return list(heard.target);
    const auto at = objects_.find(heard.target);
    if (at == objects_.end())
      return {.status = 404, .body = "<Error><Code>NoSuchKey</Code></Error>"};
    std::vector<std::pair<std::string, std::string>> metadata;
    for (const auto& [name, value] : at->second.headers)
      if (name.starts_with("x-amz-meta-")) metadata.emplace_back(name, value);
    return {.headers = std::move(metadata), .body = at->second.body};
  }

 private:
  /// Whole; as a directory bucket's, in no order that means something.
  aws::ScriptedAnswer list(const std::string& target) const {
    constexpr std::string_view kPrefix = "prefix=";
    std::string prefix;
    if (const std::size_t at = target.find(kPrefix); at != std::string::npos)
      prefix = target.substr(at + kPrefix.size(), target.find('&', at) - at - kPrefix.size());
    for (std::size_t at; (at = prefix.find("%2F")) != std::string::npos;)
      prefix.replace(at, 3, "/");
    std::string body = "<ListBucketResult>";
    for (const auto& [place, put] : objects_)
      if (const std::string key = place.substr(root_.size() + 1); key.starts_with(prefix))
        body += "<Contents><Key>" + key + "</Key><Size>" + std::to_string(put.body.size()) +
                "</Size></Contents>";
    return {.body = body + "</ListBucketResult>"};
  }

  const std::string root_;
  std::map<std::string, aws::ScriptedRequest> objects_;
};

}  // namespace lambdaml::storage
