#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lambdaml/base/bytes.h"

namespace lambdaml::aws {

using Headers = std::vector<std::pair<std::string, std::string>>;
/// Names and values before encoding, in any order.
using Query = std::vector<std::pair<std::string, std::string>>;

/// The most bytes of an answer's body where a request does not say otherwise, and of an answer that
/// is no success: services answer with a kilobyte or two.
inline constexpr std::size_t kMostAnswerBytes = 1U << 20U;

/// What is asked. Views live as long as the call.
struct Request {
  std::string method = "GET";
  /// Encoded once, as it is sent, beginning with `/`: see encode_path() in sigv4.h.
  std::string path = "/";
  Query query = {};
  /// Without host, x-amz-date, x-amz-security-token and authorization, which the client adds.
  Headers headers = {};
  Bytes body = {};
  /// Instead of the endpoint's own host, e.g. a bucket's; empty: the endpoint's. Scheme and port
  /// stay the endpoint's.
  std::string host = {};
  /// Where the body of a 2xx answer goes, when its place is known before (a part of a large
  /// object). Empty: into a Buffer of its own. An answer that does not fit exactly is data_corrupt.
  std::span<std::byte> into = {};
  /// The most bytes that the body of a 2xx answer may have without `into`. Whoever answers decides
  /// how much it sends: what is longer, by its Content-Length or as it comes, is data_corrupt, and
  /// takes no memory beyond this.
  std::size_t most_bytes = kMostAnswerBytes;
  /// The caller's own, to know the request again in ClientOptions::on_sent; never sent.
  int tag = 0;
};

/// What was answered, whatever its status.
struct Response {
  int status = 0;
  Headers headers;  ///< names in lower case
  Buffer body;
  /// How often the request was sent until this answer came. Above 1, an earlier try may have been
  /// carried out although nobody heard of it.
  int tries = 0;

  bool ok() const { return status >= 200 && status < 300; }
  /// The first header of that name (in lower case); empty when there is none.
  std::string_view header(std::string_view name) const;
  /// Whether a header's name begins so (in lower case). A service's answers bear marks of it, such
  /// as `x-amz-request-id`; one without comes from somewhere else: a proxy, a captive portal.
  bool has_header_like(std::string_view beginning) const;
};

}  // namespace lambdaml::aws
