#include "lambdaml/storage/s3/transfer.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "lambdaml/base/interrupt.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/text.h"
#include "lambdaml/storage/s3/answers.h"
#include "lambdaml/storage/s3/digest.h"
#include "lambdaml/storage/s3/lacking.h"

namespace lambdaml::storage::s3 {
namespace {

constexpr std::uint64_t kMostParts = 10'000;
/// How often a value is loaded again that is replaced or damaged meanwhile.
constexpr int kAttempts = 4;
/// S3's own limit is lower; an answer that claims more does not get the memory.
constexpr std::uint64_t kLargestObject = 100ULL << 40U;

std::string range(std::uint64_t begin, std::uint64_t end) {
  return fmt::format("bytes={}-{}", begin, end - 1);
}

/// "bytes 0-99/1234": where the part begins, and the length of the object.
struct Range {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::uint64_t total = 0;
};
std::optional<Range> parse_range(std::string_view text) {
  constexpr std::string_view kUnit = "bytes ";
  if (!text.starts_with(kUnit)) return {};
  text.remove_prefix(kUnit.size());
  const std::size_t dash = text.find('-');
  const std::size_t slash = text.find('/');
  if (dash == std::string_view::npos || slash == std::string_view::npos || dash > slash) return {};
  const auto first = to_integer(text.substr(0, dash));
  const auto last = to_integer(text.substr(dash + 1, slash - dash - 1));
  const auto total = to_integer(text.substr(slash + 1));
  if (!first || !last || !total || *first < 0 || *last < *first || *total <= *last) return {};
  return Range{static_cast<std::uint64_t>(*first), static_cast<std::uint64_t>(*last) + 1,
               static_cast<std::uint64_t>(*total)};
}

[[noreturn]] void fail_corrupt(const Bucket& bucket, std::string_view key, std::string_view why) {
  fail(Code::data_corrupt, "s3://{}: loading '{}': {}", bucket.name(), key, why);
}

bool is_absence(const aws::Response& answer) {
  return answer.status == 404 && parse_fault(answer.body.text()).code == "NoSuchKey";
}

void count_bytes(const Bucket& bucket, std::uint64_t bytes) {
  if (bucket.meter() != nullptr) bucket.meter()->count_get(0, bytes);
}

/// Those that refuse a checksum of XXH3.
Lacking& lacks_checksums() {
  static Lacking lacking;
  return lacking;
}
bool lacks_checksum(const aws::Response& answer) {
  if (answer.status == 501) return true;
  if (answer.status != 400) return false;
  const std::string code = parse_fault(answer.body.text()).code;
  return code == "InvalidRequest" || code == "InvalidArgument";
}

/// Fetches everything after the first part. False if the object was changed or removed meanwhile.
bool fetch_rest(Bucket& bucket, std::string_view key, std::string_view etag, std::size_t begin,
                std::span<std::byte> place) {
  const std::string what = what_for("loading", key);
  std::vector<aws::Request> parts;
  for (std::size_t at = begin; at < place.size(); at += kPartBytes) {
    const std::size_t end = std::min(place.size(), at + kPartBytes);
    aws::Request part = bucket.request("GET", key);
    part.headers = {{"range", range(at, end)}};
    if (!etag.empty()) part.headers.emplace_back("if-match", etag);
    part.into = place.subspan(at, end - at);
    parts.push_back(std::move(part));
  }
  const std::vector<aws::Response> answers = bucket.call_all(parts, what);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const aws::Response& answer = answers[i];
    if (answer.status == 412 || answer.status == 416 || is_absence(answer)) return false;
    bucket.need_ok(answer, what);
    const std::optional<Range> got = parse_range(answer.header("content-range"));
    if (answer.status != 206 || !got || got->begin != begin + i * kPartBytes)
      fail_corrupt(bucket, key, "a part was answered with another");
    count_bytes(bucket, parts[i].into.size());
  }
  return true;
}

}  // namespace

aws::Request put_request(const Bucket& bucket, std::string_view key, Bytes value) {
  aws::Request put = bucket.request("PUT", key);
  put.headers = {{"content-type", "application/octet-stream"},
                 {std::string(kChecksumHeader), checksum_text(value)}};
  if (!lacks_checksums().contains(bucket.server()))
    put.headers.emplace_back(kServerChecksumHeader, server_checksum(value));
  bucket.add_pace(put);
  put.body = value;
  return put;
}

std::vector<aws::Response> put_all(Bucket& bucket, std::span<const aws::Request> puts,
                                   std::string_view what) {
  std::vector<aws::Response> answers = bucket.call_all(puts, what);
  for (std::size_t i = 0; i < puts.size(); ++i) {
    aws::Request plain = puts[i];
    if (!lacks_checksum(answers[i]) || std::erase_if(plain.headers, [](const auto& header) {
                                         return header.first == kServerChecksumHeader;
                                       }) == 0)
      continue;
    answers[i] = bucket.call(plain, what);
    lacks_checksums().add(bucket.server());
  }
  return answers;
}

aws::Response put(Bucket& bucket, const aws::Request& request, std::string_view what) {
  return std::move(put_all(bucket, {&request, 1}, what).front());
}

void upload_in_parts(Bucket& bucket, std::string_view key, Bytes value) {
  const std::string what = what_for("saving", key);
  aws::Request begin = bucket.request("POST", key);
  begin.query = {{"uploads", ""}};
  begin.headers = {{"content-type", "application/octet-stream"},
                   {std::string(kChecksumHeader), checksum_text(value)}};
  const aws::Response begun = bucket.call(begin, what);
  bucket.need_ok(begun, what);
  const std::string id = bucket.read(begun, what, parse_upload_id);
  try {
    const std::size_t part_bytes =
        std::max<std::size_t>(kPartBytes, (value.size() + kMostParts - 1) / kMostParts);
    std::vector<aws::Request> parts;
    for (std::size_t at = 0; at < value.size(); at += part_bytes) {
      aws::Request part = bucket.request("PUT", key);
      part.query = {{"partNumber", std::to_string(parts.size() + 1)}, {"uploadId", id}};
      part.body = value.subspan(at, std::min(part_bytes, value.size() - at));
      parts.push_back(std::move(part));
    }
    std::vector<std::string> etags;
    for (const aws::Response& answer : bucket.call_all(parts, what)) {
      bucket.need_ok(answer, what);
      etags.emplace_back(answer.header("etag"));
    }
    const std::string body = complete_request(etags);
    aws::Request complete = bucket.request("POST", key);
    complete.query = {{"uploadId", id}};
    complete.headers = {{"content-type", "application/xml"}};
    complete.body = as_bytes(body);
    const aws::Response completed = bucket.call(complete, what);
    // S3 may send the status before it joins the parts, and then fail.
    const Fault fault = parse_fault(completed.body.text());
    // An attempt whose answer was lost has completed it.
    const bool done_before = fault.code == "NoSuchUpload" && completed.tries > 1;
    if (!done_before && (!completed.ok() || !fault.code.empty()))
      bucket.fail_fault(completed.status, fault.code, fault.message, fault.region, what);
  } catch (const Error&) {
    try {
      const Tidying tidying;
      aws::Request abort = bucket.request("DELETE", key);
      abort.query = {{"uploadId", id}};
      bucket.need_ok(bucket.call(abort, "aborting an upload"), "aborting an upload");
    } catch (const Error& error) {
      log::debug("s3://{}: parts of '{}' are left over: {}", bucket.name(), key, error.what());
    }
    throw;
  }
}

aws::Request get_request(const Bucket& bucket, std::string_view key) {
  aws::Request get = bucket.request("GET", key);
  get.headers = {{"range", range(0, kOneRequestBytes)}};
  get.most_bytes = kOneRequestBytes;
  return get;
}

std::optional<Buffer> get_part(Bucket& bucket, std::string_view key, std::uint64_t begin,
                               std::uint64_t bytes) {
  const std::string what = what_for("loading", key);
  bytes = std::min(bytes, kLargestObject);
  begin = std::min(begin, kLargestObject);
  aws::Request get = bucket.request("GET", key);
  // HTTP cannot express an empty range.
  get.headers = {{"range", range(begin, begin + std::max<std::uint64_t>(bytes, 1))}};
  get.most_bytes = std::max<std::uint64_t>(bytes, kOneRequestBytes);
  aws::Response answer = bucket.call(get, what);
  if (is_absence(answer)) return {};
  if (answer.status == 416) return Buffer();  // it begins behind the end
  bucket.need_ok(answer, what);
  count_bytes(bucket, answer.body.size());
  // A server that ignores the range answers 200 with the whole value.
  if (answer.status != 206) return Buffer(part_of_value(answer.body, begin, bytes));
  const std::optional<Range> got = parse_range(answer.header("content-range"));
  if (!got || got->begin != begin || got->end - got->begin != answer.body.size())
    fail_corrupt(bucket, key, "the answer is not the part that was asked for");
  answer.body.truncate(bytes);
  return std::move(answer.body);
}

std::optional<Buffer> finish_get(Bucket& bucket, std::string_view key, aws::Response first) {
  const std::string what = what_for("loading", key);
  bool damaged = false;
  for (int attempt = 1; attempt <= kAttempts; ++attempt) {
    if (attempt > 1) first = bucket.call(get_request(bucket, key), what);
    if (is_absence(first)) return {};
    if (first.status == 416) return Buffer();  // a range of nothing: the object is empty
    bucket.need_ok(first, what);
    count_bytes(bucket, first.body.size());
    Buffer value = std::move(first.body);
    if (first.status == 206) {
      const std::optional<Range> got = parse_range(first.header("content-range"));
      if (!got || got->begin != 0 || got->end != value.size() || got->total > kLargestObject)
        fail_corrupt(bucket, key, "the answer is not the part that was asked for");
      if (got->total > value.size()) {
        Buffer whole;
        try {
          whole = Buffer(got->total);
        } catch (const std::bad_alloc&) {
          fail(Code::resource_exhausted, "s3://{}: loading '{}': there is no memory for {}",
               bucket.name(), key, human_bytes(got->total));
        }
        std::memcpy(whole.data(), value.data(), value.size());
        const std::size_t there = value.size();
        value = Buffer();
        if (!fetch_rest(bucket, key, first.header("etag"), there, {whole.data(), whole.size()}))
          continue;
        value = std::move(whole);
      }
    }
    if (is_whole(value, first, !bucket.is_express())) return value;
    if (std::exchange(damaged, true))
      fail_corrupt(bucket, key, "the bytes do not fit their checksum, also when loaded again");
  }
  fail(Code::unavailable, "s3://{}: {}: it was replaced again and again meanwhile", bucket.name(),
       what);
}

}  // namespace lambdaml::storage::s3
