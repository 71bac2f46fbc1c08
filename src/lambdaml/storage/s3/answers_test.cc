#include "lambdaml/storage/s3/answers.h"

#include <gmock/gmock.h>

#include "lambdaml/storage/s3/digest.h"

namespace lambdaml::storage::s3 {
namespace {

using testing::ElementsAre;
using testing::SizeIs;

TEST(S3Answers, AFaultIsRead) {
  const Fault fault = parse_fault(
      "<?xml version=\"1.0\"?>\n<Error><Code>PermanentRedirect</Code><Message>Use\nthe other"
      "</Message><Region>eu-west-1</Region></Error>");
  EXPECT_EQ(fault.code, "PermanentRedirect");
  EXPECT_EQ(fault.message.find('\n'), std::string::npos);
  EXPECT_EQ(fault.region, "eu-west-1");
  for (const char* other : {"", "<html><Code>x</Code></html>", "<Error><Code>x", "not XML", "<a/>"})
    EXPECT_EQ(parse_fault(other).code, "") << other;
}

TEST(S3Answers, APageIsRead) {
  const Page page = parse_page(
      "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
      "<EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>"
      "<NextContinuationToken>a+b/==</NextContinuationToken>"
      "<Contents><Key>a%2Bb+c%C3%A9/d</Key><Size>5368709121</Size></Contents>"
      "<Contents><Key>e</Key><Size>0</Size></Contents></ListBucketResult>");
  EXPECT_THAT(page.entries, ElementsAre(Entry{"a+b cé/d", 5368709121}, Entry{"e", 0}));
  EXPECT_EQ(page.next, "a+b/==");
  // A server that does not know encoding-type says nothing of it.
  const Page plain = parse_page(
      "<ListBucketResult><IsTruncated>false</IsTruncated><NextContinuationToken>x"
      "</NextContinuationToken><Contents><Key>a+b%20&amp;</Key><Size>1</Size></Contents>"
      "</ListBucketResult>");
  EXPECT_THAT(plain.entries, ElementsAre(Entry{"a+b%20&", 1}));
  EXPECT_EQ(plain.next, "");
}

TEST(S3Answers, WhatIsNoPageIsRefused) {
  const auto with = [](const std::string& inside) {
    return "<ListBucketResult>" + inside + "</ListBucketResult>";
  };
  const auto code_of = [](const std::string& xml) {
    try {
      parse_page(xml);
    } catch (const Error& error) {
      return error.code();
    }
    ADD_FAILURE() << xml;
    return Code::internal;
  };
  // Cut, or from elsewhere: to be asked for again.
  for (const char* xml : {"", "{}", "<Error/>", "<ListBucketResult><Contents>", "<html>Hello"})
    EXPECT_EQ(code_of(xml), Code::unavailable) << xml;
  for (const std::string& xml :
       {with("<IsTruncated>true</IsTruncated>"), with("<Contents><Key>a</Key></Contents>"),
        with("<Contents><Key>a</Key><Size>-1</Size></Contents>"),
        with("<Contents><Key>a</Key><Size>99999999999999999999</Size></Contents>"),
        with("<EncodingType>url</EncodingType><Contents><Key>%4</Key><Size>1</Size></Contents>"),
        with("<EncodingType>url</EncodingType><Contents><Key>%zz</Key><Size>1</Size></Contents>")})
    EXPECT_EQ(code_of(xml), Code::data_corrupt) << xml;
}

TEST(S3Answers, UploadsAndDeletions) {
  EXPECT_EQ(parse_upload_id("<InitiateMultipartUploadResult><UploadId>2~x</UploadId>"
                            "</InitiateMultipartUploadResult>"),
            "2~x");
  EXPECT_THROW(parse_upload_id("<InitiateMultipartUploadResult/>"), Error);
  EXPECT_TRUE(parse_not_deleted("<DeleteResult/>").empty());
  const auto left = parse_not_deleted(
      "<DeleteResult><Deleted><Key>a</Key></Deleted><Error><Key>b</Key><Code>AccessDenied</Code>"
      "</Error></DeleteResult>");
  ASSERT_THAT(left, SizeIs(1));
  EXPECT_EQ(left[0].key, "b");
  EXPECT_EQ(left[0].fault.code, "AccessDenied");
  EXPECT_EQ(delete_request(std::vector<std::string>{"a<&>\"'", "é"}),
            "<?xml version=\"1.0\"?><Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
            "<Object><Key>a&lt;&amp;&gt;\"'</Key></Object><Object><Key>é</Key></Object>"
            "<Quiet>true</Quiet></Delete>");
  EXPECT_EQ(complete_request(std::vector<std::string>{"\"x\""}),
            "<?xml version=\"1.0\"?><CompleteMultipartUpload "
            "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Part><PartNumber>1</PartNumber>"
            "<ETag>\"x\"</ETag></Part></CompleteMultipartUpload>");
}

TEST(S3Answers, DigestsAreThePublishedOnes) {
  // RFC 1321, A.5: MD5("abc") = 900150983cd24fb0d6963f7d28e17f72.
  EXPECT_EQ(content_md5(as_bytes("abc")), "kAFQmDzST7DWlj99KOF/cg==");
  const auto whole = [](std::string_view value, aws::Headers headers) {
    aws::Response answer;
    answer.headers = std::move(headers);
    return is_whole(as_bytes(value), answer, true);
  };
  const std::string abc = "\"900150983cd24fb0d6963f7d28e17f72\"";
  EXPECT_TRUE(whole("abc", {{"etag", abc}}));
  EXPECT_FALSE(whole("abd", {{"etag", abc}}));
  EXPECT_TRUE(whole("abd", {{"etag", abc}, {"x-amz-server-side-encryption", "aws:kms"}}));
  EXPECT_TRUE(
      whole("abd", {{"etag", abc}, {"x-amz-server-side-encryption-customer-algorithm", "AES256"}}));
  EXPECT_FALSE(whole("abd", {{"etag", abc}, {"x-amz-server-side-encryption", "AES256"}}));
  EXPECT_TRUE(whole("abd", {{"etag", "\"900150983cd24fb0d6963f7d28e17f72-2\""}}));
  EXPECT_TRUE(whole("abd", {}));
  const std::string sum = checksum_text(as_bytes("abc"));
  EXPECT_EQ(sum, "78af5f94892f3950");  // xxhsum -H3 of the same bytes
  EXPECT_TRUE(whole("abc", {{std::string(kChecksumHeader), sum}, {"etag", "\"other\""}}));
  EXPECT_FALSE(whole("abd", {{std::string(kChecksumHeader), sum}}));
}

}  // namespace
}  // namespace lambdaml::storage::s3
