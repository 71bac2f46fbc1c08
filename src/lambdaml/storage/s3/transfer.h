#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/base/bytes.h"
#include "lambdaml/storage/s3/bucket.h"

/// Uploads and downloads values, large ones in parallel parts.
namespace lambdaml::storage::s3 {

/// Larger values are uploaded in parts; the first download request also fetches this much.
inline constexpr std::size_t kOneRequestBytes = 16U << 20U;
/// The size of a part, unless that would need more than 10,000 parts.
inline constexpr std::size_t kPartBytes = 8U << 20U;
/// The limit of a single PUT.
inline constexpr std::uint64_t kLargestPut = 5ULL << 30U;

/// PUT of a whole value with its checksums; `value` must outlive it.
aws::Request put_request(const Bucket& bucket, std::string_view key, Bytes value);
/// Sends such requests. A server that does not know kServerChecksumHeader gets them once more
/// without it, and later ones at once without.
std::vector<aws::Response> put_all(Bucket& bucket, std::span<const aws::Request> puts,
                                   std::string_view what);
aws::Response put(Bucket& bucket, const aws::Request& request, std::string_view what);

/// Saves a value in parts: ⌈n / part⌉ + 2 requests. After an error the upload is aborted (one more
/// request), so that no parts remain to be billed.
void upload_in_parts(Bucket& bucket, std::string_view key, Bytes value);

/// GET of the object's first kOneRequestBytes.
aws::Request get_request(const Bucket& bucket, std::string_view key);

/// Completes the download that get_request() began: sends further requests for a longer value, and
/// starts again if the value is replaced meanwhile. Returns nullopt if there is no object. Throws
/// data_corrupt if the checksum fails twice.
std::optional<Buffer> finish_get(Bucket& bucket, std::string_view key, aws::Response first);

/// The part [begin, begin + bytes) of the object, cut at its end; nullopt if there is no object.
/// One request.
std::optional<Buffer> get_part(Bucket& bucket, std::string_view key, std::uint64_t begin,
                               std::uint64_t bytes);

}  // namespace lambdaml::storage::s3
