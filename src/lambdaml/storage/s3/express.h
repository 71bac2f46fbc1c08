#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "lambdaml/aws/client.h"
#include "lambdaml/aws/credentials.h"
#include "lambdaml/storage/s3/address.h"

/// S3 Express One Zone: buckets in one zone that answer in milliseconds ("Directory buckets",
/// Amazon S3 User Guide). They speak S3's protocol with exceptions:
/// - They have endpoints of their own, per zone.
/// - Requests are signed with the credentials of a session, which lasts five minutes, so that they
///   need not be authorized one by one; its token has a header of its own.
/// - Lists are in no order, and of whole folders only: their prefix ends in `/`.
/// - There is no MD5, neither as a checksum of requests nor in ETags.
namespace lambdaml::storage::s3 {

/// The endpoint of a directory bucket at AWS, unless the address or the AWS variables and files
/// name another.
std::string express_endpoint(const Address& address);

/// The credentials of a bucket's session: begun on first use, and again a minute before it ends.
/// While the service does not answer, the old one is used to its end. Errors: permission_denied
/// (with what to allow), not_found (no such bucket) and those of aws::Client.
class Session final : public aws::CredentialsProvider {
 public:
  /// `options` are those of the bucket's client, without a provider.
  Session(std::string bucket, aws::ClientOptions options);

  /// The bucket's GET, which becomes CreateSession; call before the first use.
  void send_to(aws::Request request) { request_ = std::move(request); }

  aws::Credentials get() override;
  aws::Credentials renew(const aws::Credentials& stale) override;

 private:
  void begin();
  aws::Response send(const aws::Request& request, const std::string& what);

  const std::string bucket_;
  aws::Client client_;
  aws::Request request_;
  std::mutex mutex_;
  std::optional<aws::Credentials> lent_;
  TimePoint renew_at_{}, ends_at_{};
};

}  // namespace lambdaml::storage::s3
