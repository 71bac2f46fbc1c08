#include <atomic>

#include <gmock/gmock.h>
#include <zlib.h>

#include "lambdaml/aws/testing/scoped_environment.h"
#include "lambdaml/aws/testing/scripted_server.h"
#include "lambdaml/aws/testing/thrown_by.h"
#include "lambdaml/base/service/answers.h"
#include "lambdaml/base/text.h"
#include "lambdaml/storage/dynamodb/item.h"
#include "lambdaml/storage/dynamodb/reply.h"
#include "lambdaml/storage/meter.h"
#include "lambdaml/storage/testing/conformance.h"

/// What no real server says when it is asked to. The conformance suite against one is in
/// tests/integration.
namespace lambdaml::storage::dynamodb {
namespace {

using aws::ScriptedAnswer;
using aws::ScriptedRequest;
using aws::thrown_by;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

ScriptedAnswer answer(const std::string& body, int status = 200) {
  const auto sum = ::crc32_z(0, reinterpret_cast<const Bytef*>(body.data()), body.size());
  return {.status = status, .headers = {{"x-amz-crc32", std::to_string(sum)}}, .body = body};
}

ScriptedAnswer problem(const std::string& type, const std::string& message = "") {
  return answer(R"({"__type":"com.amazonaws.dynamodb.v20120810#)" + type + R"(","message":")" +
                    message + "\"}",
                400);
}

std::string item(std::string_view key, std::string_view value, std::string_view name = "key") {
  std::string out;
  append_item(out, name, key, as_bytes(value));
  return out;
}
std::string key_of(std::string_view key, std::string_view name = "key") {
  std::string out;
  append_key(out, name, key);
  return out;
}
ScriptedAnswer one_item(const std::string& item) { return answer(R"({"Item":)" + item + "}"); }

std::string operation(const ScriptedRequest& request) {
  const std::string target = request.header("x-amz-target");
  return target.substr(target.find('.') + 1);
}

constexpr const char* kTable = R"({"Table":{"TableStatus":"ACTIVE",
  "KeySchema":[{"AttributeName":"key","KeyType":"HASH"}],
  "AttributeDefinitions":[{"AttributeName":"key","AttributeType":"S"}]}})";

/// A service that knows its table; the rest comes from the script.
class DynamoDb : public testing::Test {
 protected:
  std::shared_ptr<Storage> open_on(aws::Script script, const std::string& options = "") {
    return open_on(
        [script = std::move(script), next = std::size_t{0}](const ScriptedRequest&) mutable {
          return script[std::min(next++, script.size() - 1)];
        },
        options);
  }
  std::shared_ptr<Storage> open_on(aws::ScriptedServer::Handler handler,
                                   const std::string& options = "") {
    server_ = std::make_unique<aws::ScriptedServer>(
        [handler = std::move(handler)](const ScriptedRequest& request) {
          if (operation(request) == "DescribeTable") return answer(kTable);
          return handler(request);
        });
    auto store = open_plain(Uri::parse("dynamodb://table?endpoint=" + server_->url() + options));
    store->count_into(meter_);
    return store;
  }

  /// What was asked but DescribeTable.
  std::vector<std::string> operations() const {
    std::vector<std::string> out;
    for (const ScriptedRequest& request : server_->requests())
      if (operation(request) != "DescribeTable") out.push_back(operation(request));
    return out;
  }
  std::vector<std::string> bodies() const {
    std::vector<std::string> out;
    for (const ScriptedRequest& request : server_->requests())
      if (operation(request) != "DescribeTable") out.push_back(request.body);
    return out;
  }

  aws::ScopedEnvironment environment_{aws::ScopedEnvironment::with_keys()};
  std::unique_ptr<aws::ScriptedServer> server_;
  std::shared_ptr<Meter> meter_ = std::make_shared<Meter>();
};

TEST_F(DynamoDb, AsksAgainWhenItIsThrottled) {
  for (const char* type : {"ProvisionedThroughputExceededException", "ThrottlingException",
                           "RequestLimitExceeded", "InternalServerError"}) {
    meter_ = std::make_shared<Meter>();
    const auto store = open_on({problem(type), problem(type), answer("{}")});
    store->save("key", as_bytes("value"));
    EXPECT_THAT(operations(), ElementsAre("PutItem", "PutItem", "PutItem"));
    EXPECT_EQ(meter_->usage().put.requests, 3U) << "all that were sent";
    EXPECT_EQ(meter_->usage().put.bytes, 5U);
    EXPECT_EQ(meter_->usage().write_units, 1) << "one was carried out";
  }
}

TEST_F(DynamoDb, IsUnavailableWhenItIsThrottledToTheEnd) {
  const auto store = open_on({problem("ThrottlingException", "Rate exceeded")});
  const Error error = thrown_by([&] { store->load("some/key"); });
  EXPECT_EQ(error.code(), Code::unavailable);
  EXPECT_THAT(error.what(),
              AllOf(HasSubstr(server_->url()), HasSubstr("GetItem of 'some/key'"),
                    HasSubstr("table 'table'"), HasSubstr("ThrottlingException: Rate exceeded")));
}

/// What the sender of a function's event could otherwise read of a place that the function reaches.
TEST_F(DynamoDb, AFunctionRepeatsNoAnswerOfAnEndpointThatItsEventNames) {
  const auto message_of = [&](aws::ScriptedAnswer answer) {
    const auto store = open_on({std::move(answer)});
    set_repeats_answers(false);
    const std::string message = thrown_by([&] { store->load("key"); }).what();
    set_repeats_answers(true);
    return message;
  };
  EXPECT_THAT(message_of(problem("ValidationException", "inner secret")),
              AllOf(HasSubstr("ValidationException"), Not(HasSubstr("secret"))));
  EXPECT_THAT(message_of(problem("an inner secret", "")), Not(HasSubstr("secret")));
  for (const int status : {200, 400, 404, 500})
    EXPECT_THAT(message_of({.status = status, .body = "<html>inner secret</html>"}),
                AllOf(HasSubstr("http://"), Not(HasSubstr("secret"))))
        << status;
}

TEST_F(DynamoDb, WhatAServerDoesNotSupportIsFinal) {
  for (const auto& refusal : {aws::ScriptedAnswer{.status = 501, .body = "{}"},
                              aws::ScriptedAnswer{.status = 501, .body = "no", .marked = false},
                              problem("UnknownOperationException", "")}) {
    const auto store = open_on({refusal});
    EXPECT_EQ(thrown_by([&] { store->load("key"); }).code(), Code::invalid_argument);
    EXPECT_THAT(operations(), testing::SizeIs(1)) << "it was tried again";
  }
}

TEST_F(DynamoDb, WritesAgainWhatWasNotProcessed) {
  const auto store = open_on({
      answer(R"({"UnprocessedItems":{"table":[{"PutRequest":{"Item":)" + item("b", "2") +
             R"(}},{"PutRequest":{"Item":)" + item("c", "3") +
             R"(}}]},"ConsumedCapacity":[{"TableName":"table","CapacityUnits":7}]})"),
      answer(R"({"UnprocessedItems":{}})"),
  });
  store->save_all(std::vector<Item>{
      {"a", as_bytes("old")}, {"b", as_bytes("2")}, {"c", as_bytes("3")}, {"a", as_bytes("1")}});
  ASSERT_THAT(operations(), ElementsAre("BatchWriteItem", "BatchWriteItem"));
  EXPECT_THAT(bodies()[0], AllOf(HasSubstr(item("a", "1")), HasSubstr(item("b", "2")),
                                 Not(HasSubstr(item("a", "old")))))
      << "the last of a key that is there twice";
  EXPECT_THAT(bodies()[1], AllOf(HasSubstr(item("b", "2")), HasSubstr(item("c", "3")),
                                 Not(HasSubstr(item("a", "1")))));
  EXPECT_EQ(meter_->usage().put.requests, 2U);
  EXPECT_EQ(meter_->usage().write_units, 7 + 2) << "told, and then computed";
}

TEST_F(DynamoDb, RemovesAgainWhatWasNotProcessed) {
  const auto store = open_on(
      {answer(R"({"UnprocessedItems":{"table":[{"DeleteRequest":{"Key":)" + key_of("b") + "}}]}}"),
       answer("{}")});
  store->remove_all(std::vector<std::string>{"a", "b", "a"});
  ASSERT_THAT(operations(), ElementsAre("BatchWriteItem", "BatchWriteItem"));
  EXPECT_THAT(bodies()[1], AllOf(HasSubstr(key_of("b")), Not(HasSubstr(key_of("a")))));
  EXPECT_EQ(meter_->usage().remove.requests, 2U);
  EXPECT_EQ(meter_->usage().put.requests, 0U);
}

TEST_F(DynamoDb, GivesUpWhatIsNeverProcessed) {
  const auto store =
      open_on({answer(R"({"UnprocessedItems":{"table":[{"DeleteRequest":{"Key":)" + key_of("a") +
                      R"(}},{"DeleteRequest":{"Key":)" + key_of("b") + "}}]}}")});
  const Error error = thrown_by([&] { store->remove_all(std::vector<std::string>{"a", "b"}); });
  EXPECT_EQ(error.code(), Code::unavailable) << error.what();
  EXPECT_LE(operations().size(), 10U);
}

TEST_F(DynamoDb, TakesNoKeyThatWasNotProcessedForAbsent) {
  const auto store = open_on({
      answer(R"({"Responses":{"table":[)" + item("a", "1") +
             R"(]},"UnprocessedKeys":{"table":{"ConsistentRead":true,"Keys":[)" + key_of("b") +
             "]}}}"),
      answer(R"({"Responses":{"table":[)" + item("b", "2") + R"(]},"UnprocessedKeys":{}})"),
  });
  const std::vector<std::string> keys = {"a", "b"};
  const std::vector<Buffer> values = store->load_all(keys, Deadline::in(0));
  EXPECT_EQ(values[0].text(), "1");
  EXPECT_EQ(values[1].text(), "2");
  ASSERT_THAT(operations(), ElementsAre("BatchGetItem", "BatchGetItem"));
  EXPECT_THAT(bodies()[0], HasSubstr(R"("ConsistentRead":true)"));
  EXPECT_THAT(bodies()[1], Not(HasSubstr(key_of("a"))));
  EXPECT_EQ(meter_->usage().get.requests, 2U);
  EXPECT_EQ(meter_->usage().get.bytes, 2U);
}

/// DynamoDB says so of more than 16 MB, or 1 MB of a partition.
TEST_F(DynamoDb, AsksForAsManyAsAReplyHasRoomFor) {
  constexpr std::size_t kRoom = 3;
  const std::string value(400'000, 'x');
  std::vector<std::string> keys;
  for (int i = 0; i < 10; ++i) keys.push_back(fmt::format("k{}", i));
  const auto store = open_on([&](const ScriptedRequest& request) {
    std::vector<std::string> items, left;
    for (const std::string& key : keys)
      if (request.body.find(key_of(key)) != std::string::npos)
        items.size() < kRoom ? items.push_back(item(key, value)) : left.push_back(key_of(key));
    return answer(R"({"Responses":{"table":[)" + join(items, ",") +
                  R"(]},"UnprocessedKeys":{"table":{"Keys":[)" + join(left, ",") + "]}}}");
  });
  const std::vector<std::optional<Buffer>> values = store->load_present(keys);
  for (const auto& one : values) EXPECT_TRUE(one && one->text() == value);
  EXPECT_THAT(operations(), testing::SizeIs(4)) << "of ten keys, and then of three, three and one";
  EXPECT_EQ(meter_->usage().get.requests, 4U);
}

TEST_F(DynamoDb, GivesUpFullRepliesThatBringNothingNew) {
  const std::string value(400'000, 'x');
  std::string items, left;
  for (const char* key : {"a", "b", "c"}) {
    items += (items.empty() ? "" : ",") + item(key, value);
    left += (left.empty() ? "" : ",") + key_of(key);
  }
  const auto store =
      open_on({answer(R"({"Responses":{"table":[)" + items +
                      R"(]},"UnprocessedKeys":{"table":{"Keys":[)" + left + "]}}}")});
  const std::vector<std::string> keys{"a", "b", "c"};
  EXPECT_EQ(thrown_by([&] { store->load_present(keys); }).code(), Code::unavailable);
  EXPECT_LE(operations().size(), 10U);
}

TEST_F(DynamoDb, PollsOneMissingKeyAndFetchesTheOthersWhenItIsThere) {
  std::atomic<int> looks{0};
  const auto store = open_on([&](const ScriptedRequest& request) {
    if (operation(request) == "BatchGetItem")
      return answer(R"({"Responses":{"table":[)" + item("c", "3") + "," + item("a", "1") + "]}}");
    return ++looks < 4 ? answer("{}") : one_item(item("b", "2"));
  });
  const std::vector<std::string> keys = {"b", "a", "c", "b"};
  const std::vector<Buffer> values = store->load_all(keys, Deadline::in(60));
  EXPECT_THAT(operations(),
              ElementsAre("GetItem", "GetItem", "GetItem", "GetItem", "BatchGetItem"));
  EXPECT_EQ(values[0].text(), "2");
  EXPECT_EQ(values[1].text(), "1");
  EXPECT_EQ(values[2].text(), "3");
  EXPECT_EQ(values[3].text(), "2");
  EXPECT_EQ(meter_->usage().read_units, 6);
}

TEST_F(DynamoDb, LooksOnceWhenTheDeadlineHasPassed) {
  const auto store = open_on({answer(R"({"Responses":{"table":[]}})")});
  const std::vector<std::string> keys = {"b", "a"};
  try {
    store->load_all(keys, Deadline::in(0));
    FAIL() << "found what is not there";
  } catch (const MissingKeys& missing) {
    EXPECT_THAT(missing.keys(), ElementsAre("b", "a"));
  }
  EXPECT_THAT(operations(), ElementsAre("BatchGetItem"));
}

TEST_F(DynamoDb, AsksAgainForAReplyThatWasDamaged) {
  ScriptedAnswer damaged = one_item(item("key", "value"));
  damaged.body.back() = ' ';
  const auto store = open_on({damaged, one_item(item("key", "value"))});
  EXPECT_EQ(store->load("key")->text(), "value");
  EXPECT_THAT(operations(), ElementsAre("GetItem", "GetItem"));

  const auto always = open_on({damaged});
  const Error error = thrown_by([&] { always->load("key"); });
  EXPECT_EQ(error.code(), Code::unavailable);
  EXPECT_THAT(error.what(), HasSubstr("crc32"));
}

TEST_F(DynamoDb, FetchesFreshCredentialsWhenTheseHaveExpired) {
  const auto store = open_on([](const ScriptedRequest& request) {
    if (request.header("authorization").find("Credential=FRESH/") != std::string::npos)
      return one_item(item("key", "value"));
    ::setenv("AWS_ACCESS_KEY_ID", "FRESH", 1);
    return problem("ExpiredTokenException",
                   "The security token included in the request is expired");
  });
  EXPECT_EQ(store->load("key")->text(), "value");
  EXPECT_EQ(operations().size(), 2U);
}

TEST_F(DynamoDb, SaysWhatForbidsItWithoutSecrets) {
  ::setenv("AWS_SECRET_ACCESS_KEY", "a-secret-that-nobody-may-read", 1);
  for (const char* type :
       {"UnrecognizedClientException", "InvalidSignatureException", "AccessDeniedException",
        "MissingAuthenticationToken", "ExpiredTokenException"}) {
    const auto store = open_on({problem(type, "no")});
    const Error error = thrown_by([&] { store->save("key", as_bytes("value")); });
    EXPECT_EQ(error.code(), Code::permission_denied) << error.what();
    EXPECT_THAT(error.what(), AllOf(HasSubstr(type), Not(HasSubstr("a-secret"))));
  }
}

TEST_F(DynamoDb, SaysThatAValueIsTooLarge) {
  const auto store =
      open_on({problem("ValidationException", "Item size has exceeded the maximum allowed size")});
  EXPECT_EQ(thrown_by([&] { store->save("key", as_bytes("value")); }).code(),
            Code::resource_exhausted);
  const Buffer large(kMostValueBytes + 1);
  EXPECT_EQ(thrown_by([&] { store->save("key", large); }).code(), Code::resource_exhausted);
  EXPECT_EQ(operations().size(), 1U) << "the second is not even sent";
}

TEST_F(DynamoDb, TakesNoForeignItemForAValue) {
  const auto store = open_on([](const ScriptedRequest& request) {
    if (operation(request) == "Scan")
      return answer(R"({"Items":[{"key":{"S":"foreign"}},{"key":{"S":"ours"},"bytes":{"N":"5"}},
                        {"key":{"S":"odd"},"bytes":{"N":"-1"}}]})");
    return one_item(R"({"key":{"S":"foreign"},"colour":{"S":"red"},"value":{"S":"text"}})");
  });
  EXPECT_THAT(store->list(""), ElementsAre(Entry{"ours", 5}));
  const Error error = thrown_by([&] { store->load("foreign"); });
  EXPECT_EQ(error.code(), Code::data_corrupt);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("'foreign'"), HasSubstr("not written by this")));
}

TEST_F(DynamoDb, RefusesRepliesThatMakeNoSense) {
  for (const char* text :
       {R"({"Item":7})", R"({"Item":{}})", R"({"Item":{"key":{"N":"1"}}})",
        R"({"Item":{"key":{"S":"another"},"bytes":{"N":"0"}}})",
        R"({"Item":{"key":{"S":"key"},"bytes":{"N":"1"}}})",
        R"({"Item":{"key":{"S":"key"},"bytes":{"N":"3"},"value":{"B":"AA"}}})",
        R"({"Item":{"key":{"S":"key"},"bytes":{"N":"3"},"value":{"B":"A A="}}})",
        R"({"Item":{"key":{"S":"key"},"bytes":{"N":"1"},"value":{"B":"@0"}}})",
        R"({"Item":{"key":{"S":"key"},"bytes":{"N":"1"},"value":{"B" : "@7"}}})",
        R"({"Item":{"key":{"S":"key"},"bytes":{"N":"2"},"value":{"B":"AA=="}}})"}) {
    const auto store = open_on({answer(text)});
    const Error error = thrown_by([&] { store->load("key"); });
    EXPECT_EQ(error.code(), Code::data_corrupt) << text << ": " << error.what();
    EXPECT_THAT(error.what(), HasSubstr("key")) << text;
  }
}

TEST_F(DynamoDb, RefusesRepliesWithoutEnd) {
  std::string deep = R"({"Item":)";
  for (int i = 0; i < 142'000; ++i) deep += '[';
  for (const std::string& text :
       {deep, deep + std::string(142'000, ']') + "}", std::string((24U << 20U) + 1, ' ')}) {
    const auto store = open_on({answer(text)});
    // What is no reply may be a lost one; what is longer than any is damaged.
    const Code expected = text.front() == '{' ? Code::unavailable : Code::data_corrupt;
    EXPECT_EQ(thrown_by([&] { store->load("key"); }).code(), expected);
    EXPECT_EQ(thrown_by([&] { store->list(""); }).code(), expected);
  }
}

TEST_F(DynamoDb, ReadsAgainWhatWasCutOrComesFromElsewhere) {
  for (const char* text : {"", "null", "[]", "{", R"({"Item":{"key":{"S":"k)", "<html>no</html>"}) {
    // Content-Length matches the truncated text, as after a proxy, so only the JSON shows it.
    const auto store = open_on({answer(text)});
    const Error error = thrown_by([&] { store->load("key"); });
    EXPECT_EQ(error.code(), Code::unavailable) << text << ": " << error.what();
    EXPECT_THAT(error.what(), HasSubstr("key")) << text;
  }
  ScriptedAnswer portal = answer("<html>Please log in</html>");
  portal.marked = false;
  portal.headers = {{"content-type", "text/html"}};
  const std::string whole = R"({"Item":{"key":{"S":"key"},"bytes":{"N":"0"}}})";
  for (const int status : {200, 302, 403, 404}) {
    portal.status = status;
    const auto store = open_on({portal, answer(whole)});
    EXPECT_TRUE(store->load("key")) << status;
  }
}

TEST_F(DynamoDb, RefusesKeysThatItDidNotAskFor) {
  for (const std::string& text :
       {R"({"Responses":{"table":[)" + item("c", "3") + "]}}",
        R"({"Responses":{"table":[]},"UnprocessedKeys":{"table":{"Keys":[)" + key_of("c") +
            "]}}}"}) {
    const auto store = open_on({answer(text)});
    const std::vector<std::string> keys = {"a", "b"};
    EXPECT_EQ(thrown_by([&] { store->load_all(keys, Deadline::in(0)); }).code(),
              Code::data_corrupt);
  }
}

TEST_F(DynamoDb, SaysWhenSomethingElseAnswers) {
  const auto store = open_on({{.status = 404, .body = "<html>Not here</html>"}});
  const Error error = thrown_by([&] { store->load("key"); });
  EXPECT_EQ(error.code(), Code::data_corrupt);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("HTTP 404"), HasSubstr("not DynamoDB's")));
}

TEST_F(DynamoDb, ReadsAScanPageByPage) {
  const auto store = open_on({
      answer(R"({"Items":[{"key":{"S":"p/b"},"bytes":{"N":"2"}}],"LastEvaluatedKey":)" +
             key_of("p/\"b\"") + "}"),
      answer(R"({"Items":[],"LastEvaluatedKey":)" + key_of("p/c") + "}"),
      answer(R"({"Items":[{"key":{"S":"p/a"},"bytes":{"N":"1"}},
                          {"key":{"S":"other"},"bytes":{"N":"1"}}],
                 "ConsumedCapacity":{"CapacityUnits":2.5}})"),
  });
  EXPECT_THAT(store->list("p/"), ElementsAre(Entry{"p/a", 1}, Entry{"p/b", 2}));
  ASSERT_EQ(bodies().size(), 3U);
  EXPECT_THAT(bodies()[0], AllOf(HasSubstr("begins_with"), HasSubstr("\"ConsistentRead\":true"),
                                 Not(HasSubstr("ExclusiveStartKey"))));
  EXPECT_THAT(bodies()[1], HasSubstr(R"("ExclusiveStartKey":{"key":{"S":"p/\"b\""}})"));
  EXPECT_EQ(meter_->usage().list.requests, 3U);
  EXPECT_EQ(meter_->usage().read_units, 1 + 1 + 2.5);

  const auto circling = open_on({answer(R"({"Items":[],"LastEvaluatedKey":)" + key_of("a") + "}")});
  EXPECT_EQ(thrown_by([&] { circling->list(""); }).code(), Code::data_corrupt);
}

TEST_F(DynamoDb, TakesItsOwnUnheardCreationForItsOwn) {
  for (const char* there : {"mine", "theirs"}) {
    int puts = 0;
    const auto store = open_on([&](const ScriptedRequest& request) -> ScriptedAnswer {
      if (operation(request) == "GetItem") return one_item(item("key", there));
      EXPECT_THAT(request.body, HasSubstr("attribute_not_exists"));
      if (++puts == 1) return {.status = 500, .body = "lost on the way"};
      return problem("ConditionalCheckFailedException");
    });
    EXPECT_EQ(store->create("key", as_bytes("mine")), std::string_view(there) == "mine");
  }
  const auto store = open_on({problem("ConditionalCheckFailedException")});
  EXPECT_FALSE(store->create("key", as_bytes("mine")));
  EXPECT_THAT(operations(), ElementsAre("PutItem"));
}

/// A table in the states that the script says.
class DynamoDbTable : public testing::Test {
 protected:
  std::shared_ptr<Storage> open_on(aws::Script script, const std::string& options = "") {
    server_ = std::make_unique<aws::ScriptedServer>(std::move(script));
    return open_plain(Uri::parse("dynamodb://table?endpoint=" + server_->url() + options));
  }
  std::vector<std::string> operations() const {
    std::vector<std::string> out;
    for (const ScriptedRequest& request : server_->requests()) out.push_back(operation(request));
    return out;
  }
  static ScriptedAnswer table(const std::string& status, const std::string& name = "key",
                              const std::string& type = "S", const std::string& more = "") {
    return answer(R"({"Table":{"TableStatus":")" + status +
                  R"(","KeySchema":[{"KeyType":"HASH","AttributeName":")" + name + "\"}" + more +
                  R"(],"AttributeDefinitions":[{"AttributeType":")" + type +
                  R"(","AttributeName":")" + name + "\"}]}}");
  }

  aws::ScopedEnvironment environment_{aws::ScopedEnvironment::with_keys()};
  std::unique_ptr<aws::ScriptedServer> server_;
};

TEST_F(DynamoDbTable, IsNotFoundUnlessItIsToBeMade) {
  const auto store =
      open_on({problem("ResourceNotFoundException", "Requested resource not found")});
  const Error error = thrown_by([&] { store->load("key"); });
  EXPECT_EQ(error.code(), Code::not_found);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("'table'"), HasSubstr("?create=true")));
}

TEST_F(DynamoDbTable, IsMadeAndWaitedFor) {
  const auto store = open_on(
      {problem("ResourceNotFoundException"), answer("{}"), problem("ResourceNotFoundException"),
       table("CREATING"), table("ACTIVE"), answer("{}")},
      "&create=true");
  EXPECT_FALSE(store->load("key").has_value());
  EXPECT_THAT(operations(), ElementsAre("DescribeTable", "CreateTable", "DescribeTable",
                                        "DescribeTable", "DescribeTable", "GetItem"));
  EXPECT_THAT(server_->requests()[1].body, HasSubstr("PAY_PER_REQUEST"));
}

TEST_F(DynamoDbTable, MayBeMadeByAnotherMeanwhile) {
  const auto store = open_on({problem("ResourceNotFoundException"),
                              problem("ResourceInUseException"), table("ACTIVE"), answer("{}")},
                             "&create=true");
  EXPECT_FALSE(store->load("key").has_value());
}

TEST_F(DynamoDbTable, MayCallItsKeyAsItLikes) {
  const auto store = open_on({table("UPDATING", "the \\\"id\\\""), answer("{}")});
  store->save("a", as_bytes("1"));
  store->save("b", as_bytes("2"));
  EXPECT_THAT(operations(), ElementsAre("DescribeTable", "PutItem", "PutItem")) << "asked once";
  EXPECT_THAT(server_->requests()[1].body, HasSubstr(R"("the \"id\"":{"S":"a"})"));
}

TEST_F(DynamoDbTable, MustHaveOneStringForAKey) {
  for (const ScriptedAnswer& odd :
       {table("ACTIVE", "key", "N"),
        table("ACTIVE", "key", "S", R"(,{"AttributeName":"at","KeyType":"RANGE"})"),
        table("ACTIVE", "value"), table("ACTIVE", "bytes")}) {
    const auto store = open_on({odd});
    const Error error = thrown_by([&] { store->load("key"); });
    EXPECT_EQ(error.code(), Code::invalid_argument) << error.what();
    EXPECT_THAT(error.what(), HasSubstr("one string attribute"));
  }
  const auto store = open_on({answer("{}")});
  EXPECT_EQ(thrown_by([&] { store->load("key"); }).code(), Code::data_corrupt);
}

TEST(DynamoDbUri, SaysWhatIsWrongWithIt) {
  const aws::ScopedEnvironment environment(aws::ScopedEnvironment::with_keys());
  for (const auto& [uri, why] : std::vector<std::pair<std::string, std::string>>{
           {"dynamodb://ab", "3 to 255"},
           {"dynamodb://my%20table", "3 to 255"},
           {"dynamodb://me:secret@table", "3 to 255"},
           {"dynamodb://table:80", "3 to 255"},
           {"dynamodb://table?regoin=x", "did you mean 'region'?"},
           {"dynamodb://table?create=maybe", "true or false"},
           {"dynamodb://table?endpoint=nothing", "nothing"}}) {
    const Error error = thrown_by([&, uri = uri] { open_plain(Uri::parse(uri)); });
    EXPECT_EQ(error.code(), Code::invalid_argument) << uri;
    EXPECT_THAT(error.what(), AllOf(HasSubstr(why), Not(HasSubstr("secret")))) << uri;
  }
}

TEST(DynamoDbUnits, AreThoseThatAWSWrites) {
  // docs.aws.amazon.com, "DynamoDB read and write operations": 1 KB written, 4 KB read
  // consistently.
  EXPECT_EQ(write_units(1), 1);
  EXPECT_EQ(write_units(1024), 1);
  EXPECT_EQ(write_units(1025), 2);
  EXPECT_EQ(read_units(0), 1);
  EXPECT_EQ(read_units(4096), 1);
  EXPECT_EQ(read_units(4097), 2);
  EXPECT_LE(item_bytes(std::string(255, 'n'), std::string(200, 'k'), kMostValueBytes),
            kMostItemBytes);
}

TEST(ParseReply, ReadsBytesHoweverTheyAreWritten) {
  for (const char* value : {R"("B":"Zm9v")", R"("B" : "Zm9v")", R"("B":"Zm\u0039v")"}) {
    Reply reply = parse_reply(
        R"({"Item":{"key":{"S":"k"},"bytes":{"N":"3"},"value":{)" + std::string(value) + "}}}",
        "key");
    ASSERT_EQ(reply.items.size(), 1U) << value;
    EXPECT_EQ(reply.items[0].take_value().text(), "foo") << value;
  }
}

}  // namespace
}  // namespace lambdaml::storage::dynamodb
