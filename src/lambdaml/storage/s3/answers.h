#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/aws/sigv4.h"
#include "lambdaml/storage/storage.h"

/// Parses S3's XML replies ("Amazon S3 API Reference"). Replies are untrusted. A reply that is not
/// the expected document throws unavailable, because it was cut off or comes from elsewhere; wrong
/// contents throw data_corrupt.
namespace lambdaml::storage::s3 {

/// "loading 'KEY'": the purpose of a request, for messages.
std::string what_for(std::string_view verb, std::string_view key);

/// The contents of an error's body; all empty if it is not S3's.
struct Fault {
  std::string code;     ///< "NoSuchKey"
  std::string message;  ///< for people, may be empty
  std::string region;   ///< the bucket's region, if the request used another
};
Fault parse_fault(std::string_view xml);

/// Whether the text is the document of a successful answer.
bool is_result(std::string_view xml);

/// One page of ListObjectsV2.
struct Page {
  std::vector<Entry> entries;
  std::string next;  ///< the token of the next page; empty on the last
};
Page parse_page(std::string_view xml);

/// The credentials in CreateSessionResult.
aws::Credentials parse_session(std::string_view xml);

/// UploadId of InitiateMultipartUploadResult.
std::string parse_upload_id(std::string_view xml);

/// Why a key was not deleted.
struct NotDeleted {
  std::string key;
  Fault fault;
};
std::vector<NotDeleted> parse_not_deleted(std::string_view xml);

/// The bodies of DeleteObjects (quiet) and CompleteMultipartUpload; `etags` in the order of parts.
std::string delete_request(std::span<const std::string> keys);
std::string complete_request(std::span<const std::string> etags);

/// Percent-decoding with `+` for a blank, as `encoding-type=url` encodes keys. Returns nullopt if a
/// `%` is not followed by two hexadecimal digits.
std::optional<std::string> decode_key(std::string_view text);

}  // namespace lambdaml::storage::s3
