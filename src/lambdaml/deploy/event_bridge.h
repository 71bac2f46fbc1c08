#pragma once

#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>
#include <pugixml.hpp>

#include "lambdaml/aws/client.h"

namespace lambdaml::deploy {

/// The API of Amazon EventBridge: JSON by POST, the operation in a header.
class EventBridge {
 public:
  /// The answer, an object; nullopt for ResourceNotFoundException. Throws invalid_argument (no
  /// region, or refused with a reason), permission_denied (naming the permission), unavailable,
  /// data_corrupt.
  std::optional<nlohmann::json> find(const char* operation, const nlohmann::json& input);
  /// As find(); throws not_found.
  nlohmann::json call(const char* operation, const nlohmann::json& input);

  /// A rule, other than `except`, that may take events of S3 about that bucket; empty without one.
  /// One request for 100 rules.
  std::string rule_for(const std::string& bucket, const std::string& except);

 private:
  aws::Client& client();
  std::optional<aws::Client> client_;
};

/// Whether a bucket tells EventBridge of its objects. S3 replaces the whole configuration of a
/// bucket's notifications, so the rest is sent back as it was.
class BucketEvents {
 public:
  explicit BucketEvents(std::string bucket) : bucket_(std::move(bucket)) {}

  /// Reads the configuration. Throws not_found (no such bucket), invalid_argument (in another
  /// region), permission_denied, data_corrupt.
  bool are_on();
  /// After are_on().
  void turn(bool on);

 private:
  pugi::xml_node root() const { return document_.document_element(); }
  std::string send(const char* method, const std::string& body, const char* operation);

  const std::string bucket_;
  aws::Client client_{{.service = "s3"}};
  pugi::xml_document document_;
};

}  // namespace lambdaml::deploy
