#include "lambdaml/storage/s3/address.h"

#include <algorithm>

#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"

namespace lambdaml::storage::s3 {
namespace {

/// The names that S3 gives out today, and those with capitals and underscores that it once did.
bool is_bucket(const std::string& name) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_';
  };
  return name.size() >= 3 && name.size() <= 255 && std::ranges::all_of(name, allowed) &&
         name.front() != '.' && name.front() != '-' && name.find("..") == std::string::npos;
}

}  // namespace

Address parse_address(const Uri& uri) {
  if (uri.host.find('@') != std::string::npos)
    fail(Code::invalid_argument,
         "{}: credentials do not belong into the URI: set AWS_ACCESS_KEY_ID and "
         "AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
         uri.display());
  if (uri.host.empty())
    fail(Code::invalid_argument, "{}: name a bucket: s3://bucket[/prefix]", uri.display());
  if (uri.port)
    fail(Code::invalid_argument,
         "{}: a bucket has no port; another server is named by AWS_ENDPOINT_URL_S3 or "
         "?endpoint=http://host:port",
         uri.display());
  if (!is_bucket(uri.host))
    fail(Code::invalid_argument, "{}: '{}' cannot be a bucket's name", uri.display(),
         printable(uri.host));
  Address out{.bucket = uri.host, .prefix = uri.path, .region = {}, .endpoint = {}};
  for (const auto& [name, value] : uri.query) {
    if (name == "region") {
      out.region = value;
    } else if (name == "endpoint") {
      out.endpoint = value;
    } else if (name == "addressing" && value == "path") {
      out.addressing = Address::Addressing::path;
    } else if (name == "addressing" && value == "virtual") {
      out.addressing = Address::Addressing::virtual_host;
    } else if (name == "addressing") {
      fail(Code::invalid_argument, "{}: addressing is path or virtual", uri.display());
    } else {
      fail(Code::invalid_argument, "{}: unknown option '{}'{}", uri.display(), printable(name),
           did_you_mean(name, {"region", "endpoint", "addressing"}));
    }
  }
  return out;
}

}  // namespace lambdaml::storage::s3
