#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/storage/storage.h"

/// The XML that S3 answers with ("Amazon S3 API Reference"). What comes over the network is not
/// trusted: anything may be missing. What is not the document that it should be throws unavailable,
/// for it was cut on its way or comes from elsewhere; what is wrong within it throws data_corrupt.
namespace lambdaml::storage::s3 {

/// "loading 'KEY'": what a request is for, in messages.
std::string what_for(std::string_view verb, std::string_view key);

/// What an error's body says; all empty when it is none of S3's.
struct Fault {
  std::string code;     ///< "NoSuchKey"
  std::string message;  ///< for people, may be empty
  std::string region;   ///< where the bucket is, when that is what is wrong
};
Fault parse_fault(std::string_view xml);

/// One page of ListObjectsV2.
struct Page {
  std::vector<Entry> entries;
  std::string next;  ///< the token of the page that follows; empty on the last
};
Page parse_page(std::string_view xml);

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

/// Percent-decoding, with `+` for a blank, as `encoding-type=url` encodes keys. Absent when a `%`
/// is not followed by two hexadecimal digits.
std::optional<std::string> decode_key(std::string_view text);

}  // namespace lambdaml::storage::s3
