#include <set>

#include <gmock/gmock.h>

#include "lambdaml/storage/decorators.h"
#include "lambdaml/storage/s3/digest.h"
#include "lambdaml/storage/testing/conformance.h"
#include "lambdaml/storage/testing/scripted_s3.h"

namespace lambdaml::storage::s3 {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

std::string page_of(const std::vector<std::string>& keys, const std::string& next) {
  std::string out = "<ListBucketResult><EncodingType>url</EncodingType>";
  for (const std::string& key : keys)
    out += "<Contents><Key>" + key + "</Key><Size>1</Size></Contents>";
  if (!next.empty())
    out += "<IsTruncated>true</IsTruncated><NextContinuationToken>" + next +
           "</NextContinuationToken>";
  return out + "</ListBucketResult>";
}

TEST_F(S3, ListsGoOnFromPageToPage) {
  ScriptedServer server(Script{{.body = page_of({"a%20b", "folder%2F", "c//d"}, "to+ken")},
                               {.body = page_of({"e", "A"}, "")}});
  const auto meter = std::make_shared<Meter>();
  const auto store = with_meter(open(server), meter);
  EXPECT_THAT(store->list(""),
              ElementsAre(Entry{"A", 1}, Entry{"a b", 1}, Entry{"c//d", 1}, Entry{"e", 1}));
  EXPECT_EQ(meter->usage().list.requests, 2U);
  EXPECT_EQ(server.requests()[0].target, "/bucket?encoding-type=url&list-type=2&prefix=");
  EXPECT_THAT(server.requests()[1].target, HasSubstr("continuation-token=to%2Bken&"));
}

TEST_F(S3, KeysOfOthersAreListedReadAndRemoved) {
  const std::string longest(1024, 'k');
  ScriptedServer server([&](const ScriptedRequest& heard) -> ScriptedAnswer {
    if (heard.target.find("list-type=2") != std::string::npos)
      return {.body = page_of({"a//b", "%2Fc", longest}, "")};
    if (heard.method == "GET") return object(heard, "value");
    return {.status = heard.method == "HEAD" ? 200 : 204};
  });
  const auto store = open(server);
  std::vector<std::string> keys;
  for (const Entry& entry : store->list("")) keys.push_back(entry.key);
  EXPECT_THAT(keys, ElementsAre("/c", "a//b", longest));
  for (const std::string& key : keys) {
    EXPECT_EQ(store->load(key)->text(), "value");
    EXPECT_EQ(store->load_range(key, 1, 2)->text(), "al");
    EXPECT_TRUE(store->exists(key));
    store->remove(key);
    // What every store can hold is what this program writes.
    EXPECT_THROW(store->save(key, {}), Error);
  }
  const Object object = open_object(Uri::parse("s3://bucket/x//y/a//b?endpoint=" + server.url()));
  EXPECT_EQ(object.store->load(object.key)->text(), "value");
  EXPECT_EQ(server.requests().back().target, "/bucket/x//y/a//b");
  EXPECT_THROW(store->load(longest + "k"), Error);
}

TEST_F(S3, WhatAListLeavesOutIsSaid) {
  ScriptedServer server(Script{{.body = page_of({"a%01b", "folder%2F", "x%2F..%2Fy", "c"}, "")}});
  testing::internal::CaptureStderr();
  EXPECT_THAT(open(server)->list(""), ElementsAre(Entry{"c", 1}));
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              testing::AllOf(HasSubstr("3 keys are left out"), HasSubstr("s3://bucket")));
}

TEST_F(S3, AListInACircleEnds) {
  ScriptedServer server(Script{{.body = page_of({"a"}, "again")}});
  EXPECT_EQ(thrown_by([&] { open(server)->list(""); }).first, Code::data_corrupt);
}

TEST_F(S3, KeysAreRemovedByTheThousand) {
  ScriptedServer server(Script{{.body = "<DeleteResult/>"}});
  const auto meter = std::make_shared<Meter>();
  const auto store = with_meter(open(server), meter);
  store->remove_all({});
  EXPECT_THAT(server.requests(), SizeIs(0)) << "a request to delete nothing is an error to S3";
  std::vector<std::string> keys;
  for (int i = 0; i < 2001; ++i) keys.push_back(fmt::format("k{}", i));
  store->remove_all(keys);
  const auto heard = server.requests();
  ASSERT_THAT(heard, SizeIs(3));
  EXPECT_EQ(meter->usage().remove.requests, 3U);
  std::size_t named = 0;
  for (const ScriptedRequest& request : heard) {
    EXPECT_EQ(request.target, "/bucket?delete=");
    EXPECT_EQ(request.header("content-md5"), content_md5(as_bytes(request.body)));
    for (std::size_t at = 0; (at = request.body.find("<Key>", at)) != std::string::npos; ++at)
      ++named;
  }
  EXPECT_EQ(named, keys.size());
}

TEST_F(S3, AKeyThatIsNotRemovedIsSaid) {
  const std::vector<std::string> keys = {"a", "b"};
  for (const auto& [name, code] : {std::pair("AccessDenied", Code::permission_denied),
                                   std::pair("InternalError", Code::unavailable)}) {
    ScriptedServer server(Script{
        {.body = fmt::format("<DeleteResult><Error><Key>gone</Key><Code>NoSuchKey</Code></Error>"
                             "<Error><Key>b</Key><Code>{}</Code></Error></DeleteResult>",
                             name)}});
    const auto [found, message] = thrown_by([&] { open(server)->remove_all(keys); });
    EXPECT_EQ(found, code);
    EXPECT_THAT(message, HasSubstr("'b'"));
  }
}

TEST_F(S3, WithoutMultiObjectDeletionKeysAreRemovedSingly) {
  for (const ScriptedAnswer& refusal :
       {fault(501, "NotImplemented"), fault(405, "MethodNotAllowed"), fault(400, "InvalidArgument"),
        fault(400, "Odd"), fault(404, "NoSuchKey"), fault(404, ""), fault(501, ""),
        ScriptedAnswer{.status = 501, .body = "nope", .marked = false}}) {
    std::set<std::string> there = {"/bucket/a", "/bucket/b", "/bucket/c%20d", "/bucket/e"};
    ScriptedServer server([&](const ScriptedRequest& heard) -> ScriptedAnswer {
      if (heard.method == "POST") return refusal;
      if (heard.method == "DELETE") there.erase(heard.target);
      return {.status = 204};
    });
    const auto store = open(server);
    store->remove_all(std::vector<std::string>{"a", "b", "absent"});
    EXPECT_EQ(there, (std::set<std::string>{"/bucket/c%20d", "/bucket/e"}));
    store->remove_all(std::vector<std::string>{"c d", "e"});
    open(server)->remove_all(std::vector<std::string>{"a", "b"});
    EXPECT_THAT(there, SizeIs(0));
    EXPECT_EQ(std::ranges::count(server.requests(), "POST", &ScriptedRequest::method), 1)
        << "the refusal is asked once";
  }
}

TEST_F(S3, OfABucketThatIsNotThereNothingIsRemoved) {
  ScriptedServer server(Script{fault(404, "NoSuchBucket")});
  const auto [code, message] = thrown_by([&] {
    open(server)->remove_all(std::vector<std::string>{"a", "b"});
  });
  EXPECT_EQ(code, Code::not_found);
  EXPECT_THAT(server.requests(), SizeIs(1));
}

TEST_F(S3, AKeyThatIsNotRemovedSinglyIsSaid) {
  ScriptedServer server([&](const ScriptedRequest& heard) -> ScriptedAnswer {
    if (heard.method == "POST") return fault(501, "NotImplemented");
    return heard.target == "/bucket/b" ? fault(403, "AccessDenied") : ScriptedAnswer{.status = 204};
  });
  const auto [code, message] = thrown_by([&] {
    open(server)->remove_all(std::vector<std::string>{"a", "b"});
  });
  EXPECT_EQ(code, Code::permission_denied);
  EXPECT_THAT(message, HasSubstr("'b'"));
}

}  // namespace
}  // namespace lambdaml::storage::s3
