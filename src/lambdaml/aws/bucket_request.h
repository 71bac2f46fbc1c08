#pragma once

#include <string>
#include <string_view>

#include "lambdaml/aws/client.h"

namespace lambdaml::aws {

/// Whether requests name a bucket in their path rather than in the host name: at endpoints that are
/// not AWS's, and for a name that is no single host label, such as one with dots, which no
/// certificate covers.
bool names_bucket_in_path(std::string_view bucket, bool is_at_aws);

/// A request to S3 for a key of a bucket, or for the bucket itself (an empty key), without query
/// and body. Sends nothing.
Request bucket_request(const Client& client, std::string method, std::string_view bucket,
                       std::string_view key, bool in_path);

}  // namespace lambdaml::aws
