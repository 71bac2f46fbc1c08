#include "lambdaml/aws/bucket_request.h"

#include <algorithm>
#include <utility>

#include "lambdaml/aws/sigv4.h"

namespace lambdaml::aws {

bool names_bucket_in_path(std::string_view bucket, bool is_at_aws) {
  const bool is_label = bucket.size() <= 63 && std::ranges::all_of(bucket, [](char c) {
                          return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
                        });
  return !is_at_aws || !is_label;
}

Request bucket_request(const Client& client, std::string method, std::string_view bucket,
                       std::string_view key, bool in_path) {
  Request out;
  out.method = std::move(method);
  out.path = in_path ? "/" + std::string(bucket) : std::string();
  if (!key.empty() || !in_path) out.path.append("/").append(encode_path(key));
  if (!in_path) out.host = std::string(bucket) + "." + client.host();
  return out;
}

}  // namespace lambdaml::aws
