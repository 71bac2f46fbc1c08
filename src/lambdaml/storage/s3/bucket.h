#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/aws/client.h"
#include "lambdaml/aws/pace.h"
#include "lambdaml/base/error.h"
#include "lambdaml/storage/meter.h"
#include "lambdaml/storage/s3/address.h"
#include "lambdaml/storage/s3/express.h"

namespace lambdaml::storage::s3 {

/// Requests to one bucket, and their errors. Thread-safe after count_into().
class Bucket {
 public:
  Bucket(Address address, std::shared_ptr<Patience> patience);

  const std::string& name() const { return address_.bucket; }
  const std::string& endpoint() const { return client_.endpoint(); }
  /// Endpoint and bucket, for what is remembered of servers (lacking.h).
  std::string server() const { return endpoint() + "/" + name(); }
  /// Whether it is a directory bucket (express.h).
  bool is_express() const { return !address_.zone.empty(); }
  /// How fast requests are sent. Workers agree on it by metadata of the values that they exchange
  /// (add_pace()), which costs nothing.
  aws::Pace& pace() const { return *pace_; }
  /// Writes per second that the bucket is known to take.
  double writes_per_s() const;
  /// Adds to a PUT what readers of the value should know about the pace.
  void add_pace(aws::Request& put) const;

  /// Counts every request by its kind; callers count the bytes that they read.
  void count_into(std::shared_ptr<Meter> meter) { meter_ = std::move(meter); }
  Meter* meter() const { return meter_.get(); }

  /// A request for an object, or for the bucket itself if there is no key.
  aws::Request request(std::string method, std::string_view key = {}) const;

  aws::Response call(const aws::Request& request, std::string_view what) {
    return std::move(call_all({&request, 1}, what).front());
  }
  /// Follows temporary redirections (307), as S3 gives them for new buckets.
  std::vector<aws::Response> call_all(std::span<const aws::Request> requests,
                                      std::string_view what);

  /// Throws the error of an unsuccessful answer: permission_denied, not_found (no such bucket),
  /// invalid_argument (another region, a bad key), resource_exhausted, unavailable or internal; the
  /// message names the endpoint, the operation and the bucket.
  [[noreturn]] void fail_answer(const aws::Response& response, std::string_view what) const;
  void need_ok(const aws::Response& response, std::string_view what) const {
    if (!response.ok()) fail_answer(response, what);
  }
  /// Whether an unsuccessful answer means that the server does not know the request, so that
  /// another one may do.
  bool is_unsupported(const aws::Response& response) const;
  /// The same for the error of one key in a batch, or in the body of a successful answer.
  [[noreturn]] void fail_fault(int status, std::string_view code, std::string_view message,
                               std::string_view region, std::string_view what) const;
  /// Whether it answers a HEAD by 404 without any mark of S3, whose fault would be in the body that
  /// such an answer does not have: a GET tells more.
  static bool is_bare_absence(const aws::Response& response);
  /// Runs a parser on an answer; its errors are prefixed with the endpoint and the operation.
  template <class Parser>
  auto read(const aws::Response& answer, std::string_view what, Parser&& parser) const {
    try {
      return parser(answer.body.text());
    } catch (const Error&) {
      rethrow_with(fmt::format("{}: {}", client_.endpoint(), describe(what)));
    }
  }

 private:
  struct Meaning {
    Code code;
    std::string advice;
  };
  aws::ClientOptions client_options(std::shared_ptr<Patience> patience) const;
  /// S3's own, if it is at AWS, or the address's.
  aws::Pace::Limits limits() const;
  bool is_at_aws() const;
  void hear_pace(const aws::Response& answer) const;
  /// The host of a redirection that may be followed; empty: it may not.
  std::string redirected_host(const aws::Response& answer) const;
  Meaning meaning_of(int status, std::string_view code, std::string_view region) const;
  std::string describe(std::string_view what) const;
  void count(const aws::Request& request) const;

  Address address_;
  std::shared_ptr<Meter> meter_;
  std::shared_ptr<aws::Pace> pace_;
  std::shared_ptr<Session> session_;  ///< of a directory bucket
  aws::Client client_;
  bool in_path_;
};

}  // namespace lambdaml::storage::s3
