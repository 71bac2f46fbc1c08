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

/// The limit of an answer's body unless a request says otherwise, and of every unsuccessful answer:
/// services answer with a kilobyte or two.
inline constexpr std::size_t kMostAnswerBytes = 1U << 20U;

/// A request. Views must live as long as the call.
struct Request {
  std::string method = "GET";
  /// Percent-encoded once, as sent, beginning with `/`: see encode_path() in sigv4.h.
  std::string path = "/";
  Query query = {};
  /// Without host, x-amz-date, x-amz-security-token and authorization, which the client adds.
  Headers headers = {};
  Bytes body = {};
  /// Replaces the endpoint's host, e.g. by a bucket's; empty: the endpoint's. Scheme and port are
  /// always the endpoint's.
  std::string host = {};
  /// Where to put the body of a 2xx answer if that is known in advance (a part of a large object).
  /// Empty: in a new Buffer. An answer of any other length is data_corrupt.
  std::span<std::byte> into = {};
  /// The limit of a 2xx answer's body without `into`. A longer body, by its Content-Length or as it
  /// arrives, is data_corrupt and takes no memory beyond the limit.
  std::size_t most_bytes = kMostAnswerBytes;
  /// For the caller, to recognize the request in ClientOptions::on_sent; never sent.
  int tag = 0;
};

/// An answer, whatever its status.
struct Response {
  int status = 0;
  std::string method;  ///< of the request
  Headers headers;     ///< names in lower case
  Buffer body;
  /// How often the request was sent until this answer came. Above 1, an earlier try may have taken
  /// effect although its answer was lost.
  int tries = 0;

  bool ok() const { return status >= 200 && status < 300; }
  /// The first header of that name (in lower case); empty when there is none.
  std::string_view header(std::string_view name) const;
  /// Whether a header's name begins so (in lower case). A service's answers carry marks such as
  /// `x-amz-request-id`; an answer without them comes from elsewhere, e.g. a proxy or a captive
  /// portal.
  bool has_header_like(std::string_view beginning) const;
};

/// Whether the status is a fault of the server that may pass. Not 501 and 505: it will not learn
/// what it does not support.
inline bool is_server_fault(int status) { return status >= 500 && status != 501 && status != 505; }

}  // namespace lambdaml::aws
