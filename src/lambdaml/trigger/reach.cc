#include "lambdaml/trigger/reach.h"

#include "lambdaml/aws/lambda/lambda_client.h"
#include "lambdaml/base/error.h"
#include "lambdaml/job/job.h"
#include "lambdaml/storage/storage.h"

namespace lambdaml::trigger {
namespace {

/// A Lambda service on this machine: its functions see this machine's files.
bool service_is_here() {
  const std::string endpoint = aws::LambdaClient().endpoint();
  return endpoint.find("://127.0.0.1") != std::string::npos ||
         endpoint.find("://localhost") != std::string::npos;
}

}  // namespace

bool is_within_reach(const Options& options, const std::string& uri) {
  return !job::is_remote(options) || outlives_function(Uri::parse(uri));
}

bool outlives_function(const Uri& place) {
  if (place.scheme == "memory") return false;
  return place.scheme != "file" || service_is_here();
}

void require_reach(Options& options) {
  if (!job::is_remote(options)) return;
  if (options.text("function").empty())
    fail(Code::invalid_argument,
         "the platform {} runs a deployed function: name it with --function (lambdaml deploy makes "
         "one)",
         options.text("platform"));
  const auto require = [&](const char* name) {
    if (!is_within_reach(options, options.text(name)))
      fail(Code::invalid_argument,
           "{} {}: functions on other machines cannot reach it; give a storage service, as in "
           "--{} s3://BUCKET/PREFIX",
           name, Uri::parse(options.text(name)).display(), name);
  };
  require("channel");
  if (options.text("checkpoint").empty()) {
    const Uri channel = Uri::parse(options.text("channel"));
    if (!storage::open_plain(channel)->capabilities().durable)
      fail(
          Code::invalid_argument,
          "channel {}: it can lose what it holds, and checkpoints must not be lost; say where they "
          "go with --checkpoint s3://BUCKET/PREFIX",
          channel.display());
    options.set("checkpoint", Option::Value((channel / "checkpoints").text()), "checkpoint");
  }
  require("checkpoint");
}

}  // namespace lambdaml::trigger
