#include "lambdaml/storage/s3/address.h"

#include <algorithm>

#include "lambdaml/base/error.h"
#include "lambdaml/base/text.h"
#include "lambdaml/storage/s3/spread.h"

namespace lambdaml::storage::s3 {
namespace {

/// Bucket names that S3 accepts today, and older ones with capitals and underscores.
bool is_bucket(const std::string& name) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_';
  };
  return name.size() >= 3 && name.size() <= 255 && std::ranges::all_of(name, allowed) &&
         name.front() != '.' && name.front() != '-' && name.find("..") == std::string::npos;
}

/// The zone in a directory bucket's name; empty for other names.
std::string zone_in(std::string_view bucket) {
  constexpr std::string_view kEnd = "--x-s3";
  if (!bucket.ends_with(kEnd)) return {};
  bucket.remove_suffix(kEnd.size());
  const std::size_t at = bucket.rfind("--");
  return at == std::string_view::npos ? std::string() : std::string(bucket.substr(at + 2));
}

}  // namespace

std::vector<Option> address_options() {
  return {
      {.name = "region",
       .default_value = std::string(),
       .help = "the bucket's region; by default from the AWS variables and files"},
      {.name = "endpoint",
       .default_value = std::string(),
       .help = "the server, as http://host:port; by default from the AWS variables and files"},
      {.name = "addressing",
       .default_value = std::string(),
       .help = "how requests name the bucket; by default virtual at AWS, path elsewhere",
       .choices = {"path", "virtual"}},
      {.name = "anonymous", .default_value = false, .help = "sign no requests: for public buckets"},
      {.name = "prefixes",
       .default_value = std::int64_t{1},
       .help = "spread keys over that many prefixes at the top of the bucket, for a bucket "
               "that is partitioned by them",
       .minimum = 1,
       .maximum = kMostPrefixes},
      {.name = "rate",
       .default_value = 0.0,
       .help = "requests per second that all workers together send to a prefix; 0: what S3 "
               "takes at AWS, elsewhere as many as are not refused",
       .minimum = 0,
       .maximum = 1e6}};
}

Address parse_address(const Uri& uri, const Options& options) {
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
  Address out{.bucket = uri.host,
              .prefix = uri.path,
              .region = options.text("region"),
              .endpoint = options.text("endpoint")};
  if (const std::string& how = options.text("addressing"); !how.empty())
    out.addressing = how == "path" ? Address::Addressing::path : Address::Addressing::virtual_host;
  out.anonymous = options.flag("anonymous");
  out.prefixes = options.integer("prefixes");
  out.rate = options.real("rate");
  out.zone = zone_in(out.bucket);
  if (uri.host.ends_with("--x-s3") && out.zone.empty())
    fail(Code::invalid_argument, "{}: a directory bucket's name is NAME--ZONE-ID--x-s3",
         uri.display());
  if (!out.zone.empty() && out.anonymous)
    fail(Code::invalid_argument, "{}: a directory bucket cannot be public: without anonymous=1",
         uri.display());
  return out;
}

}  // namespace lambdaml::storage::s3
