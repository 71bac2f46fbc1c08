#include <atomic>
#include <map>
#include <mutex>
#include <set>

#include <gmock/gmock.h>

#include "lambdaml/storage/decorators.h"
#include "lambdaml/storage/s3/digest.h"
#include "lambdaml/storage/s3/transfer.h"
#include "lambdaml/storage/testing/conformance.h"
#include "lambdaml/storage/testing/scripted_s3.h"

namespace lambdaml::storage::s3 {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

constexpr std::size_t kLarge = kOneRequestBytes + 2 * kPartBytes + 12345;

TEST_F(S3, LargeValuesComeInParts) {
  const Buffer value = noise(kLarge, 1);
  int changes = 1;
  ScriptedServer server([&](const ScriptedRequest& heard) -> ScriptedAnswer {
    // The object is replaced once while its parts are being fetched.
    if (!heard.header("if-match").empty() && changes-- > 0) return fault(412, "PreconditionFailed");
    EXPECT_THAT(heard.header("if-match"), testing::AnyOf("", "\"tag\""));
    return object(heard, value.text(),
                  {{"etag", "\"tag\""}, {std::string(kChecksumHeader), checksum_text(value)}});
  });
  const auto meter = std::make_shared<Meter>();
  const auto store = with_meter(open(server), meter);
  EXPECT_TRUE(std::ranges::equal(store->load("key")->view(), value.view()));
  EXPECT_THAT(server.requests(), SizeIs(2 * (1 + 3)));
  EXPECT_EQ(meter->usage().get.requests, 8U);
  EXPECT_GE(meter->usage().get.bytes, value.size());
}

class S3Upload : public S3 {
 protected:
  /// Answers as S3 does to an upload in parts; `meddle` may answer instead.
  std::unique_ptr<ScriptedServer> server(
      std::function<std::optional<ScriptedAnswer>(const ScriptedRequest&)> meddle) {
    return std::make_unique<ScriptedServer>(
        [this, meddle = std::move(meddle)](const ScriptedRequest& heard) -> ScriptedAnswer {
          if (auto answer = meddle(heard)) return *answer;
          if (heard.target.ends_with("?uploads="))
            return {.body =
                        "<InitiateMultipartUploadResult><UploadId>id+1</UploadId>"
                        "</InitiateMultipartUploadResult>"};
          if (heard.method == "PUT") {
            const std::size_t at = heard.target.find("partNumber=") + 11;
            const int number = std::stoi(heard.target.substr(at));
            parts_[number] = heard.body;
            return {.headers = {{"etag", fmt::format("\"e{}\"", number)}}};
          }
          if (heard.method == "DELETE") {
            aborted_ = true;
            return {.status = 204};
          }
          completed_ = heard.body;
          return {.body = "<CompleteMultipartUploadResult/>"};
        });
  }
  std::map<int, std::string> parts_;
  std::atomic<bool> aborted_{false};
  std::string completed_;
  const Buffer value_ = noise(kLarge, 2);
};

TEST_F(S3Upload, LargeValuesGoInParts) {
  const auto s3 = server([](const ScriptedRequest& heard) -> std::optional<ScriptedAnswer> {
    EXPECT_EQ(heard.header("authorization").find("AKIDEXAMPLE") == std::string::npos, false);
    return {};
  });
  const auto meter = std::make_shared<Meter>();
  with_meter(open(*s3), meter)->save("key", value_);
  std::string whole;
  for (const auto& [number, bytes] : parts_) whole += bytes;
  EXPECT_TRUE(whole == value_.text());
  EXPECT_THAT(completed_, HasSubstr("<PartNumber>5</PartNumber><ETag>\"e5\"</ETag>"));
  EXPECT_FALSE(aborted_);
  EXPECT_EQ(s3->requests()[0].header(kChecksumHeader), checksum_text(value_));
  EXPECT_EQ(meter->usage().put.requests, 7U);
  EXPECT_EQ(meter->usage().put.bytes, value_.size());
}

TEST_F(S3Upload, AFailedPartEndsIt) {
  const auto s3 = server([](const ScriptedRequest& heard) -> std::optional<ScriptedAnswer> {
    if (heard.target.find("partNumber=2&") != std::string::npos) return fault(403, "AccessDenied");
    return {};
  });
  EXPECT_EQ(thrown_by([&] { open(*s3)->save("key", value_); }).first, Code::permission_denied);
  EXPECT_TRUE(aborted_);
  EXPECT_EQ(completed_, "");
}

TEST_F(S3Upload, ASuccessThatTurnsOutAFailureIsOne) {
  const auto s3 = server([](const ScriptedRequest& heard) -> std::optional<ScriptedAnswer> {
    if (heard.method == "POST" && heard.target.find("uploadId") != std::string::npos)
      return fault(200, "InternalError");
    return {};
  });
  EXPECT_EQ(thrown_by([&] { open(*s3)->save("key", value_); }).first, Code::unavailable);
  EXPECT_TRUE(aborted_);
}

TEST_F(S3Upload, CompletedByATryWhoseAnswerWasLost) {
  int completions = 0;
  const auto s3 = server([&](const ScriptedRequest& heard) -> std::optional<ScriptedAnswer> {
    if (heard.method != "POST" || heard.target.find("uploadId") == std::string::npos) return {};
    if (completions++ == 0) return ScriptedAnswer{.reset = true};
    return fault(404, "NoSuchUpload");
  });
  EXPECT_NO_THROW(open(*s3)->save("key", value_));
  EXPECT_FALSE(aborted_);
}

}  // namespace
}  // namespace lambdaml::storage::s3
