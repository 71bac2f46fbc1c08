#include "lambdaml/storage/s3/express.h"

#include <chrono>

#include "lambdaml/aws/environment.h"
#include "lambdaml/base/clock.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/log.h"
#include "lambdaml/storage/s3/answers.h"

namespace lambdaml::storage::s3 {
namespace {

/// How long a session lasts, by the documentation. Its Expiration is a time of
/// another clock.
constexpr auto kSession = std::chrono::seconds(300);
constexpr auto kReserve = std::chrono::seconds(60);

}  // namespace

std::string express_endpoint(const Address& address) {
  const aws::Place place = aws::find_place("s3", address.region, address.endpoint);
  if (place.endpoint.custom) return place.endpoint.url();
  return fmt::format("https://s3express-{}.{}.amazonaws.com", address.zone, place.region);
}

Session::Session(std::string bucket, aws::ClientOptions options)
    : bucket_(std::move(bucket)), client_(std::move(options)) {}

aws::Credentials Session::get() {
  const std::lock_guard lock(mutex_);
  if (!lent_ || time_now() >= renew_at_) {
    try {
      begin();
    } catch (const Error& error) {
      if (!lent_ || error.code() != Code::unavailable || time_now() >= ends_at_) throw;
      log::debug("s3://{}: the session is not renewed yet: {}", bucket_, error.what());
    }
  }
  return *lent_;
}

aws::Credentials Session::renew(const aws::Credentials& stale) {
  const std::lock_guard lock(mutex_);
  if (!lent_ || *lent_ == stale) begin();
  return *lent_;
}

/// A zone that does not exist has no endpoint.
aws::Response Session::send(const aws::Request& request, const std::string& what) {
  try {
    return client_.call(request, what);
  } catch (const Error& error) {
    const std::string why = error.what();
    if (why.find("resolve host") != std::string::npos)
      fail(error.code(),
           "{}; is there such a zone in {}? The bucket's name says it: NAME--ZONE-ID--x-s3; "
           "AWS_REGION "
           "sets the region",
           why, client_.region());
    throw;
  }
}

void Session::begin() {
  const std::string what = fmt::format("s3://{}: CreateSession", bucket_);
  const TimePoint begun = time_now();
  aws::Request request = request_;
  request.query = {{"session", ""}};
  const aws::Response answer = send(request, what);
  if (!answer.ok()) {
    const Fault fault = parse_fault(answer.body.text());
    const bool forbidden = answer.status == 401 || answer.status == 403;
    const bool absent = fault.code == "NoSuchBucket";
    fail(forbidden ? Code::permission_denied
         : absent  ? Code::not_found
                   : Code::internal,
         "{}: {}: {} (HTTP {}){}", client_.endpoint(), what,
         fault.code.empty() ? "no session" : fault.code, answer.status,
         forbidden ? "; allow s3express:CreateSession for the bucket"
         : absent  ? "; make the directory bucket, or set AWS_REGION to its region"
                   : "");
  }
  lent_ = parse_session(answer.body.text());
  ends_at_ = begun + kSession;
  renew_at_ = ends_at_ - kReserve;
}

}  // namespace lambdaml::storage::s3
