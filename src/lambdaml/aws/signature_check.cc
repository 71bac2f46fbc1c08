#include "lambdaml/aws/signature_check.h"

#include <algorithm>
#include <cctype>
#include <ctime>
#include <iterator>
#include <variant>

#include <fmt/format.h>

#include "lambdaml/base/text.h"
#include "lambdaml/base/uri.h"

namespace lambdaml::aws {
namespace {

using std::chrono::system_clock;

constexpr std::chrono::minutes kSkew{5};

std::string in_lower_case(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

/// All values of that name, joined as they are signed; nullopt if there are none.
std::optional<std::string> value_of(const Headers& headers, std::string_view name) {
  std::optional<std::string> out;
  for (const auto& [known, value] : headers)
    if (in_lower_case(known) == name) out = out ? *out + "," + value : value;
  return out;
}

/// The parsed header Authorization, and the time that it is for.
struct Claim {
  std::string access_key;
  std::string date, region, service, end;  ///< the credential's scope
  std::vector<std::string> signed_headers;
  std::string signature;
  std::string time;  ///< x-amz-date
};

Refusal incomplete(std::string_view what) {
  return {400, "IncompleteSignatureException",
          fmt::format("The header Authorization is not complete: {}.", what)};
}

std::variant<Claim, Refusal> claim_in(const Headers& headers) {
  const std::optional<std::string> text = value_of(headers, "authorization");
  if (!text)
    return Refusal{403, "MissingAuthenticationTokenException", "Missing Authentication Token."};
  const std::string start = std::string(kSignatureAlgorithm) + " ";
  if (!text->starts_with(start))
    return incomplete(fmt::format("it does not begin with {}", kSignatureAlgorithm));
  Claim claim;
  for (const std::string& part : split(std::string_view(*text).substr(start.size()), ',')) {
    const std::string_view pair = trim(part);
    const std::size_t equals = std::min(pair.find('='), pair.size());
    const std::string_view name = pair.substr(0, equals);
    const std::string_view value = pair.substr(std::min(equals + 1, pair.size()));
    if (name == "Credential") {
      const std::vector<std::string> scope = split(value, '/');
      if (scope.size() != 5)
        return incomplete("Credential is not KEY/DATE/REGION/SERVICE/aws4_request");
      claim.access_key = scope[0];
      claim.date = scope[1];
      claim.region = scope[2];
      claim.service = scope[3];
      claim.end = scope[4];
    } else if (name == "SignedHeaders") {
      claim.signed_headers = split(value, ';');
    } else if (name == "Signature") {
      claim.signature = value;
    }
  }
  if (claim.access_key.empty() || claim.signed_headers.empty() || claim.signature.empty())
    return incomplete("it needs Credential, SignedHeaders and Signature");
  claim.time = value_of(headers, "x-amz-date").value_or("");
  return claim;
}

std::optional<WallTime> parse_stamp(const std::string& text) {
  std::tm utc{};
  const char* rest = ::strptime(text.c_str(), "%Y%m%dT%H%M%SZ", &utc);
  if (rest == nullptr || *rest != '\0') return std::nullopt;
  const auto time = system_clock::from_time_t(::timegm(&utc));
  if (time_stamp(time) != text) return std::nullopt;
  return time;
}

Refusal wrong_signature(std::string message) {
  return {403, "InvalidSignatureException", std::move(message)};
}

std::optional<Refusal> check_time(const std::string& text, WallTime now) {
  const auto time = parse_stamp(text);
  if (!time) return incomplete("X-Amz-Date is no time as in 20130524T000000Z");
  if (*time < now - kSkew)
    return wrong_signature(fmt::format("Signature expired: {} is now earlier than {} ({} - 5 min.)",
                                       text, time_stamp(now - kSkew), time_stamp(now)));
  if (*time > now + kSkew)
    return wrong_signature(
        fmt::format("Signature not yet current: {} is still later than {} ({} + 5 min.)", text,
                    time_stamp(now + kSkew), time_stamp(now)));
  return std::nullopt;
}

/// A header that the signature leaves out could be changed unnoticed, so all that matter must be
/// signed.
std::optional<Refusal> check_signed_headers(const Claim& claim, const Headers& headers) {
  const auto is_signed = [&](std::string_view name) {
    return std::ranges::find(claim.signed_headers, name) != claim.signed_headers.end();
  };
  for (std::string_view needed : {"host", "x-amz-date"})
    if (!is_signed(needed))
      return wrong_signature(fmt::format("'{}' must be a 'SignedHeader'.", needed));
  for (const auto& header : headers)
    if (const std::string name = in_lower_case(header.first);
        name.starts_with("x-amz-") && !is_signed(name))
      return wrong_signature(fmt::format("'{}' must be a 'SignedHeader'.", printable(name, 60)));
  if (!std::ranges::is_sorted(claim.signed_headers) || claim.signed_headers.size() > headers.size())
    return incomplete("SignedHeaders are not the sorted names of headers");
  return std::nullopt;
}

bool equal_in_constant_time(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  unsigned difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    difference |= static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i]);
  return difference == 0;
}

/// Sorted and encoded as signed, however the client sent them.
std::string canonical_query(std::string_view sent) {
  Query query;
  for (const std::string& pair : split(sent, '&')) {
    if (pair.empty()) continue;
    const std::size_t equals = std::min(pair.find('='), pair.size());
    query.emplace_back(percent_decoded_leniently(std::string_view(pair).substr(0, equals)),
                       percent_decoded_leniently(
                           std::string_view(pair).substr(std::min(equals + 1, pair.size()))));
  }
  return encode_query(query);
}

}  // namespace

std::optional<Refusal> SignatureCheck::check_head(const ReceivedRequest& request,
                                                  WallTime now) const {
  const auto claim_or = claim_in(request.headers);
  if (const auto* refusal = std::get_if<Refusal>(&claim_or)) return *refusal;
  const Claim& claim = std::get<Claim>(claim_or);
  const auto key = std::ranges::find(accepted_, claim.access_key, &Credentials::access_key);
  const auto token = value_of(request.headers, "x-amz-security-token");
  if (key == accepted_.end() || (token && *token != key->session_token))
    return Refusal{403, "UnrecognizedClientException",
                   "The security token included in the request is invalid."};
  if (claim.service != service_)
    return wrong_signature(
        fmt::format("Credential should be scoped to correct service: '{}'.", service_));
  if (claim.end != "aws4_request")
    return wrong_signature("Credential should be scoped with a valid terminator: 'aws4_request'.");
  if (auto refusal = check_time(claim.time, now)) return refusal;
  if (claim.date != claim.time.substr(0, 8))
    return wrong_signature("The date of Credential is not that of X-Amz-Date.");
  return check_signed_headers(claim, request.headers);
}

std::optional<Refusal> SignatureCheck::check(const ReceivedRequest& request, Bytes body,
                                             WallTime now) const {
  if (auto refusal = check_head(request, now)) return refusal;
  const Claim claim = std::get<Claim>(claim_in(request.headers));
  const auto key = std::ranges::find(accepted_, claim.access_key, &Credentials::access_key);

  Headers headers;
  for (const std::string& name : claim.signed_headers)
    headers.emplace_back(name, value_of(request.headers, name).value_or(""));
  const std::string payload_hash = sha256_hex(body);
  const auto told = value_of(request.headers, "x-amz-content-sha256");
  if (told && *told != payload_hash)
    return wrong_signature("X-Amz-Content-Sha256 is not the SHA-256 of the body.");

  const std::size_t mark = std::min(request.target.find('?'), request.target.size());
  const std::string query =
      canonical_query(request.target.substr(std::min(mark + 1, request.target.size())));
  const Scope scope{claim.time, claim.region, claim.service};
  const std::string expected =
      signature_of({request.method, request.target.substr(0, mark), query, headers, payload_hash},
                   scope, signing_key(key->secret_key, scope));
  if (!equal_in_constant_time(expected, claim.signature))
    return wrong_signature(
        "The request signature we calculated does not match the signature you provided. Check your "
        "AWS Secret Access Key and signing method.");
  return std::nullopt;
}

}  // namespace lambdaml::aws
