#include "lambdaml/storage/redis/iam.h"

#include <algorithm>
#include <cctype>

namespace lambdaml::storage::redis {

std::string iam_token(const Address& address, const aws::Credentials& credentials,
                      std::string_view region, WallTime now) {
  constexpr int kExpires_s = 900;
  const std::size_t colon = address.iam.find(':');
  const std::string kind = address.iam.substr(0, colon);
  // Caches are named in lower case, whatever they were called.
  std::string cache = address.iam.substr(colon + 1);
  std::ranges::transform(cache, cache.begin(), [](unsigned char c) { return std::tolower(c); });
  aws::Query query = {{"Action", "connect"}, {"User", address.user}};
  if (kind == "serverless") query.emplace_back("ResourceType", "ServerlessCache");
  const std::string time = aws::time_stamp(now);
  const aws::Scope scope{time, region, kind == "memorydb" ? "memorydb" : "elasticache"};
  return cache + "/?" + aws::presigned_query(cache, "/", query, scope, credentials, kExpires_s);
}

}  // namespace lambdaml::storage::redis
