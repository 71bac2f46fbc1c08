#pragma once

#include <string>
#include <string_view>

#include "lambdaml/aws/sigv4.h"
#include "lambdaml/storage/redis/address.h"

namespace lambdaml::storage::redis {

/// The password with which a user logs in by AWS's identity service instead of one of its own
/// ("Authenticating with IAM", ElastiCache and MemoryDB user guides): a presigned request without
/// its scheme, valid for 15 minutes, for new connections only. A connection lasts 12 hours at most.
std::string iam_token(const Address& address, const aws::Credentials& credentials,
                      std::string_view region, WallTime now);

}  // namespace lambdaml::storage::redis
