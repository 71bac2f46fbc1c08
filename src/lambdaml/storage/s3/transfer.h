#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "lambdaml/base/bytes.h"
#include "lambdaml/storage/s3/bucket.h"

/// Values up and down, large ones in parts that travel at the same time.
namespace lambdaml::storage::s3 {

/// Values above this go up in parts; a first request takes as much down.
inline constexpr std::size_t kOneRequestBytes = 16U << 20U;
/// A part, unless 10,000 of them are too few.
inline constexpr std::size_t kPartBytes = 8U << 20U;
/// The most of one PUT.
inline constexpr std::uint64_t kLargestPut = 5ULL << 30U;

/// PUT of a whole value with its checksum; `value` must outlive it.
aws::Request put_request(const Bucket& bucket, std::string_view key, Bytes value);

/// Saves a value in parts: ⌈n / part⌉ + 2 requests. What fails is aborted (one more), so that no
/// parts are left to be paid for.
void upload_in_parts(Bucket& bucket, std::string_view key, Bytes value);

/// GET of the object's first kOneRequestBytes.
aws::Request get_request(const Bucket& bucket, std::string_view key);

/// The value that the answer to get_request() begins: with further requests when it is longer, and
/// again from the beginning when it is replaced meanwhile. Absent when there is none. Throws
/// data_corrupt when what came twice does not fit its checksum.
std::optional<Buffer> finish_get(Bucket& bucket, std::string_view key, aws::Response first);

/// The part [begin, begin + bytes) of the object, cut at its end; nullopt when there is none. One
/// request.
std::optional<Buffer> get_part(Bucket& bucket, std::string_view key, std::uint64_t begin,
                               std::uint64_t bytes);

}  // namespace lambdaml::storage::s3
